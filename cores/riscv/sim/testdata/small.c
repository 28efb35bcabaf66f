/* What a test asks for by its arguments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <warren.h>

static volatile int spin = 1;
static volatile uint32_t steps;

static int stuck(uint32_t rank, uint32_t size)
{
	uint32_t x;
	return warren_recv(rank == size - 1 ? 2 : 1, &x, sizeof x, NULL);
}

static int echo(void)
{
	char buf[256];
	for (;;) {
		int n = warren_recv(0, buf, sizeof buf, NULL);
		if (n == 0)
			return 0;
		for (int i = 0; i < n; i++)
			if (buf[i] >= 'a' && buf[i] <= 'z')
				buf[i] -= 32;
		warren_host(1, buf, n);
	}
}

static int upper(void)
{
	char buf[64];
	int n, all = 0;
	while ((n = read(0, buf, sizeof buf)) > 0) {
		write(1, buf, n);
		all += n;
	}
	return all % 100;
}

int main(int argc, char **argv)
{
	uint32_t rank = warren_rank(), size = warren_size();
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "exit"))
		return rank == 0 ? atoi(argv[2]) : 0;
	if (!strcmp(what, "args")) {
		for (int i = 0; i < argc; i++)
			printf("%lu %s\n", (unsigned long)rank, argv[i]);
		const char *env = getenv("COLOUR");
		printf("%s\n", env ? env : "none");
		return 0;
	}
	if (!strcmp(what, "load"))
		return *(volatile int *)0x70000000;
	if (!strcmp(what, "text")) {
		*(volatile int *)main = 0;
		return 1;
	}
	if (!strcmp(what, "illegal"))
		__asm__ volatile(".word 0");
	if (!strcmp(what, "spin"))
		while (spin)
			steps++;
	if (!strcmp(what, "sleep"))
		return warren_sleep(4000000000u) < 0;
	if (!strcmp(what, "deadlock"))
		return stuck(rank, size);
	if (!strcmp(what, "echo"))
		return echo();
	if (!strcmp(what, "copy"))
		return upper();
	if (!strcmp(what, "fill")) { /* ARG pieces, each until it is written */
		static char piece[1000];
		memset(piece, 'x', sizeof piece);
		for (int i = 0; i < atoi(argv[2]); i++)
			while (write(1, piece, sizeof piece) < 0)
				warren_sleep(10000);
		return 0;
	}
	if (!strcmp(what, "abort")) {
		if (rank == 1)
			warren_call(94, 7, 0, 0, 0, 0, NULL); /* exit_group */
		while (spin)
			;
	}
	if (!strcmp(what, "flood")) {
		uint32_t x = rank;
		for (int i = 0; i < 200; i++)
			if (rank)
				warren_send(0, 0, &x, sizeof x);
		if (rank == 0) {
			warren_sleep(50000);
			uint32_t sum = 0;
			for (uint32_t i = 0; i < 200 * (size - 1); i++) {
				warren_recv(0, &x, sizeof x, NULL);
				sum += x;
			}
			printf("sum %lu\n", (unsigned long)sum);
		}
		return 0;
	}
	if (!strcmp(what, "bad")) {
		char c;
		int n = 0;
		n += warren_put(size, &c, &c, 1) >= 0;
		n += warren_put(warren_at(99, 99), &c, &c, 1) >= 0;
		n += warren_put(0, (void *)0x70000000, &c, 1) >= 0;
		n += warren_put(0, (void *)main, &c, 1) >= 0;
		n += warren_put(0, &c, (void *)0x70000000, 1) >= 0;
		n += warren_put(0, &c, &c, 0xfffffff0u) >= 0;
		n += warren_get(0, &c, (void *)0xfffffffc, 64) >= 0;
		n += warren_send(0, 16, &c, 1) >= 0;
		n += warren_send(0, 0, &c, 70000) >= 0;
		n += warren_recv(99, &c, 1, NULL) >= 0;
		n += warren_mcast(3, 3, 1, 1, 0, &c, 1) >= 0;
		n += warren_alloc(0xffffff00u, 16, "huge") != NULL;
		n += warren_alloc(16, 3, "crooked") != NULL;
		n += write(1, (void *)0x70000000, 4) >= 0;
		n += read(0, (void *)main, 4) >= 0;
		n += read(7, &c, 1) >= 0;
		return n;
	}
	return 0;
}
