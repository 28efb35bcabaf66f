/*
 * The main function of a program that has a kernel_main instead, as the kernels
 * of TT-Metalium do. A program with a main of its own does without this.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tt/kernel.h"

warren_tt_state warren_tt;

/* Also names of that interface: a coordinate for each of two networks. */
__attribute__((weak)) uint8_t my_x[2], my_y[2];

typedef struct {
	uint32_t page, pages; /* of circular buffers; 0: none */
} wanted;

static const char *number(const char *s, uint32_t *to)
{
	char *end;
	*to = (uint32_t)strtoul(s, &end, 0);
	return end == s ? NULL : end;
}

/* pair reads AxB. */
static int pair(const char *s, uint32_t *a, uint32_t *b)
{
	if (!(s = number(s, a)) || *s != 'x' || !(s = number(s + 1, b)) || *s || !*a || !*b)
		return -1;
	return 0;
}

/* buffer reads cbN=PxC. */
static int buffer(const char *word, wanted cb[])
{
	uint32_t id;
	const char *s = number(word + 2, &id);
	if (!s || *s != '=' || id >= WARREN_TT_CBS)
		return -1;
	return pair(s + 1, &cb[id].page, &cb[id].pages);
}

/* semaphore reads semN=V. */
static int semaphore(const char *word, uint32_t sem[], int *any)
{
	uint32_t id, value;
	const char *s = number(word + 3, &id);
	if (!s || *s != '=' || id >= WARREN_TT_SEMAPHORES || !(s = number(s + 1, &value)) || *s)
		return -1;
	sem[id] = value;
	*any |= value != 0;
	return 0;
}

static int argument(const char *word, int common)
{
	uint32_t *n = common ? &warren_tt.ncommon : &warren_tt.nargs, value;
	const char *end = number(word, &value);
	if (*n == WARREN_TT_ARGS || !end || *end)
		return -1;
	(common ? warren_tt.common : warren_tt.args)[(*n)++] = value;
	return 0;
}

static int words(int argc, char **argv, wanted cb[], uint32_t sem[], int *any)
{
	int common = 0;
	for (int i = 1; i < argc; i++) {
		int bad = 0;
		if (strcmp(argv[i], "--") == 0)
			common = 1;
		else if (strncmp(argv[i], "cb", 2) == 0)
			bad = buffer(argv[i], cb);
		else if (strncmp(argv[i], "banks=", 6) == 0)
			bad = pair(argv[i] + 6, &warren_tt.width, &warren_tt.height);
		else if (strncmp(argv[i], "sem", 3) == 0)
			bad = semaphore(argv[i], sem, any);
		else
			bad = argument(argv[i], common);
		if (bad) {
			fprintf(stderr, "%s: want N, --, cbN=PxC, semN=V or banks=WxH\n", argv[i]);
			return 2;
		}
	}
	return 0;
}

/* The order is the same on all cores, so that addresses are. */
static void make(const wanted cb[], const uint32_t sem[], int any)
{
	warren_cb at;
	uint32_t step = WARREN_TT_SEMAPHORE_STEP;
	int r = warren_cb_make(&at, WARREN_TT_CBS, step, WARREN_TT_SEMAPHORES);
	if (r != -ENOSYS) /* elsewhere than on our machines a kernel may do without */
		warren_tt_check(r, "semaphores");
	if (r == 0)
		warren_tt.semaphores = at.shared->base;
	for (uint32_t i = 0; i < WARREN_TT_CBS; i++)
		if (cb[i].pages)
			warren_tt_check(warren_cb_make(&warren_tt.cb[i], i, cb[i].page, cb[i].pages), "circular buffer");
	if (!any)
		return; /* SRAM begins with zeros */
	if (r == 0 && warren_fetch_add(warren_rank(), &at.shared->pushed, 1) == 0)
		for (uint32_t i = 0; i < WARREN_TT_SEMAPHORES; i++)
			*(volatile uint32_t *)(uintptr_t)(warren_tt.semaphores + i * step) = sem[i];
	warren_barrier();
}

int warren_tt_start(int argc, char **argv)
{
	wanted cb[WARREN_TT_CBS] = {{0, 0}};
	uint32_t sem[WARREN_TT_SEMAPHORES] = {0};
	int any = 0, bad = words(argc, argv, cb, sem, &any);
	if (bad)
		return bad;
	warren_tt.x = warren_x();
	warren_tt.y = warren_y();
	if (!warren_tt.width) {
		warren_tt.width = warren_info(WARREN_WIDTH);
		warren_tt.height = warren_info(WARREN_HEIGHT);
	}
	my_x[0] = my_x[1] = (uint8_t)warren_tt.x;
	my_y[0] = my_y[1] = (uint8_t)warren_tt.y;
	make(cb, sem, any);
	return 0;
}

void warren_tt_fail(const char *what, int number)
{
	fprintf(stderr, "%s: %s\n", what, strerror(number));
	abort();
}

void warren_tt_not_moved(const char *what, uint64_t there, uint32_t here, uint32_t size, int number)
{
	uint32_t who = (uint32_t)(there >> 32);
	char where[40];
	if (strstr(what, "multicast"))
		snprintf(where, sizeof where, "(%u,%u) to (%u,%u)", (unsigned)(who >> 24), (unsigned)(who >> 16 & 255), (unsigned)(who >> 8 & 255), (unsigned)(who & 255));
	else
		snprintf(where, sizeof where, "(%u,%u)", (unsigned)(who & 0xfff), (unsigned)(who >> 12 & 0xfff));
	fprintf(stderr, "%s: %u bytes at 0x%x of tile %s, and at 0x%x here: %s\n", what, (unsigned)size, (unsigned)there, where, (unsigned)here, strerror(number));
	abort();
}

void warren_tt_no_argument(int common, uint32_t n, int i)
{
	fprintf(stderr, "%sruntime argument %d: there are %u\n", common ? "common " : "", i, (unsigned)n);
	abort();
}

__attribute__((weak)) int main(int argc, char **argv)
{
	int bad = warren_tt_start(argc, argv);
	if (bad)
		return bad;
	kernel_main();
	warren_fence();
	return 0;
}
