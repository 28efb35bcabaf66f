/*
 * A distributed multiplication of matrices, C = A B, on a square of tiles: each
 * holds a block of A, of B and of C in its SRAM. In a tile a reader fetches
 * blocks of A from its row and of B from its column, a compute core multiplies
 * and adds, a writer stores what comes out and sums it up: three kernels, with a
 * circular buffer between each and the next, so that fetching, multiplying and
 * storing go on at once.
 *
 * The words of the command line, the same for all kernels: N, how many tiles the
 * square has on a side; B, how many elements a block has on a side; and if it
 * does not begin at tile 0,0, its first X and Y. Elements are integers, made by
 * formula, so that the sum over C can be checked by another way.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <warren.h>

/* Numbers of the tile's circular buffers. Those of the blocks are used as plain
 * memory that all cores of the tile know, at the same address in all tiles. */
enum { CB_A, CB_B, CB_C, CB_BLOCK_A = 8, CB_BLOCK_B, CB_BLOCK_C, CB_RESULT };

enum { AHEAD = 2 }; /* pages of the buffers between kernels */

typedef struct {
	uint32_t n, b, x0, y0, x, y; /* x and y are this tile's, from x0, y0 on */
	uint32_t bytes;              /* of a block */
	int inside;                  /* the tile belongs to the square */
	warren_cb a, bb, c, block_a, block_b, block_c, result;
} dmm;

static inline void dmm_check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-r));
		abort();
	}
}

static inline uint32_t dmm_word(int argc, char **argv, int i, uint32_t otherwise)
{
	return argc > i ? (uint32_t)strtoul(argv[i], NULL, 0) : otherwise;
}

/* All cores make all handles, in the same order. */
static inline void dmm_start(dmm *d, int argc, char **argv)
{
	d->n = dmm_word(argc, argv, 1, 1);
	d->b = dmm_word(argc, argv, 2, 16);
	d->x0 = dmm_word(argc, argv, 3, 0);
	d->y0 = dmm_word(argc, argv, 4, 0);
	if (d->n < 1 || d->n > 64 || d->b < 1 || d->b > 64) {
		fprintf(stderr, "usage: N (1 to 64 tiles a side) B (1 to 64 elements a side) [X Y]\n");
		exit(2);
	}
	d->x = warren_x() - d->x0;
	d->y = warren_y() - d->y0;
	d->inside = d->x < d->n && d->y < d->n;
	d->bytes = d->b * d->b * 4;
	if (!d->inside)
		return;
	dmm_check(warren_cb_make(&d->result, CB_RESULT, 4, 1), "result");
	dmm_check(warren_cb_make(&d->block_a, CB_BLOCK_A, d->bytes, 1), "block of A");
	dmm_check(warren_cb_make(&d->block_b, CB_BLOCK_B, d->bytes, 1), "block of B");
	dmm_check(warren_cb_make(&d->block_c, CB_BLOCK_C, d->bytes, 1), "block of C");
	dmm_check(warren_cb_make(&d->a, CB_A, d->bytes, AHEAD), "buffer of A");
	dmm_check(warren_cb_make(&d->bb, CB_B, d->bytes, AHEAD), "buffer of B");
	dmm_check(warren_cb_make(&d->c, CB_C, d->bytes, AHEAD), "buffer of C");
}

static inline int32_t dmm_a(uint32_t i, uint32_t j) { return (int32_t)((i * 7 + j * 3) % 101) - 50; }
static inline int32_t dmm_b(uint32_t i, uint32_t j) { return (int32_t)((i * 5 + j * 11) % 97) - 48; }

/* The reader's kernel: it makes the tile's own blocks first. */

static inline void dmm_fill(dmm *d)
{
	int32_t *a = (int32_t *)(void *)d->block_a.begin, *b = (int32_t *)(void *)d->block_b.begin;
	for (uint32_t i = 0; d->inside && i < d->b; i++)
		for (uint32_t j = 0; j < d->b; j++) {
			*a++ = dmm_a(d->y * d->b + i, d->x * d->b + j);
			*b++ = dmm_b(d->y * d->b + i, d->x * d->b + j);
		}
}

static inline void dmm_read_step(dmm *d, uint32_t k)
{
	k = (k + d->x + d->y) % d->n; /* so that not all ask the same tile */
	warren_cb_reserve_back(&d->a, 1);
	warren_cb_reserve_back(&d->bb, 1);
	dmm_check(warren_get(warren_at(d->x0 + k, d->y0 + d->y), d->a.write, d->block_a.begin, d->bytes), "get A");
	dmm_check(warren_get(warren_at(d->x0 + d->x, d->y0 + k), d->bb.write, d->block_b.begin, d->bytes), "get B");
	dmm_check(warren_fence(), "fence");
	warren_cb_push_back(&d->a, 1);
	warren_cb_push_back(&d->bb, 1);
}

/* The compute core's kernel. */

static inline void dmm_multiply(const dmm *d, int32_t *c)
{
	const int32_t *a = (const int32_t *)(const void *)d->a.read, *b = (const int32_t *)(const void *)d->bb.read;
	uint32_t n = d->b;
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < n; k++)
			for (uint32_t j = 0; j < n; j++)
				c[i * n + j] += a[i * n + k] * b[k * n + j];
}

static inline void dmm_compute_step(dmm *d, uint32_t k)
{
	if (k == 0) {
		warren_cb_reserve_back(&d->c, 1);
		memset(d->c.write, 0, d->bytes);
	}
	warren_cb_wait_front(&d->a, 1);
	warren_cb_wait_front(&d->bb, 1);
	dmm_multiply(d, (int32_t *)(void *)d->c.write);
	warren_cb_pop_front(&d->a, 1);
	warren_cb_pop_front(&d->bb, 1);
	if (k + 1 == d->n)
		warren_cb_push_back(&d->c, 1);
}

/* The writer's kernel: the sum over all blocks is added up in the first tile. */

static inline void dmm_write_step(dmm *d)
{
	const int32_t *c;
	uint32_t sum = 0;
	warren_cb_wait_front(&d->c, 1);
	c = (const int32_t *)(const void *)d->c.read;
	for (uint32_t i = 0; i < d->b * d->b; i++)
		sum += (uint32_t)c[i];
	dmm_check(warren_put(warren_at(d->x0 + d->x, d->y0 + d->y), d->block_c.begin, c, d->bytes), "put C");
	dmm_check(warren_add(warren_at(d->x0, d->y0), d->result.begin, sum), "add");
	dmm_check(warren_fence(), "fence");
	warren_cb_pop_front(&d->c, 1);
}

/* What the sum over C must be: over k, what column k of A sums up to, times what
 * row k of B does. */
static inline uint32_t dmm_expected(const dmm *d)
{
	uint32_t size = d->n * d->b, sum = 0;
	for (uint32_t k = 0; k < size; k++) {
		uint32_t a = 0, b = 0;
		for (uint32_t i = 0; i < size; i++) {
			a += (uint32_t)dmm_a(i, k);
			b += (uint32_t)dmm_b(k, i);
		}
		sum += a * b;
	}
	return sum;
}

/* The first tile's writer tells how it went. Returns the exit status. */
static inline int dmm_report(const dmm *d)
{
	uint32_t got, want;
	if (d->x != 0 || d->y != 0)
		return 0;
	got = *(volatile uint32_t *)(void *)d->result.begin;
	want = dmm_expected(d);
	printf("dmm %ux%u sum %08lx %s\n", (unsigned)(d->n * d->b), (unsigned)(d->n * d->b), (unsigned long)got,
		got == want ? "right" : "wrong");
	return got != want;
}
