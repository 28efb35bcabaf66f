/*
 * Counts lines, words and bytes, as wc does: rank 0 reads standard input and
 * gives blocks of it to the others as they ask, who count; the counts go up a
 * tree.
 *
 *	warren cc -O2 -o wordcount.elf testdata/riscv/noc/wordcount.c
 *	mkdir procs/wc
 *	echo "exec $PWD/wordcount.elf" >procs/wc/ctl
 *	printf 'kind mesh\ncores 64\nstart\n' >procs/wc/ctl
 *	cat README.md >procs/wc/stdin; echo eof >procs/wc/ctl
 *	cat procs/wc/wait procs/wc/stdout; wc <README.md
 *
 * Alone, or under qemu-riscv32, rank 0 counts itself. With a word on the command
 * line, each rank says on standard error how many blocks it had.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <warren.h>

enum { BLOCK = 16384, BLOCKS = 0, ASKS = 1, COUNTS = 2, AHEAD = 2 };

typedef struct {
	uint32_t lines, words, bytes, blocks;
} counts;

/* A block as it goes over the network: whether what came before it ended within
 * a word, then text. */
static char block[1 + BLOCK];

static void check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-r));
		abort();
	}
}

static int blank(char ch) { return ch == ' ' || (ch >= '\t' && ch <= '\r'); }

/* Adds what a text has, and returns whether it ends within a word. */
static int count(counts *c, const char *text, uint32_t n, int within)
{
	c->blocks++;
	c->bytes += n;
	for (uint32_t i = 0; i < n; i++) {
		int in = !blank(text[i]);
		c->words += (uint32_t)(in && !within);
		c->lines += text[i] == '\n';
		within = in;
	}
	return within;
}

/* Reads a block, full unless the input ends, and returns its bytes. */
static uint32_t fill(void)
{
	uint32_t n = 0;
	while (n < BLOCK) {
		ssize_t got = read(0, block + 1 + n, BLOCK - n);
		if (got < 0)
			check(-errno, "standard input");
		if (got <= 0)
			break;
		n += (uint32_t)got;
	}
	return n;
}

/* Gives a block, or if it is empty the end, to the next who asks. */
static void give(uint32_t n)
{
	uint32_t to;
	check(warren_recv(ASKS, NULL, 0, &to), "ask");
	check(warren_send(to, BLOCKS, block, 1 + n), "block");
}

static void deal(counts *c, uint32_t size)
{
	uint32_t n;
	int within = 0;
	while ((n = fill()) > 0) {
		block[0] = (char)within;
		if (size == 1) {
			within = count(c, block + 1, n, within);
			continue;
		}
		within = !blank(block[n]);
		give(n);
	}
	for (uint32_t i = 0; i < (size - 1) * AHEAD; i++)
		give(0);
}

/* Counts blocks until as many ends have come as were asked for ahead. */
static void work(counts *c)
{
	uint32_t ends = 0;
	for (int i = 0; i < AHEAD; i++)
		check(warren_send(0, ASKS, NULL, 0), "ask");
	while (ends < AHEAD) {
		int n = warren_recv(BLOCKS, block, sizeof block, NULL);
		check(n, "block");
		if (n <= 1) {
			ends++;
			continue;
		}
		check(warren_send(0, ASKS, NULL, 0), "ask");
		count(c, block + 1, (uint32_t)n - 1, block[0]);
	}
}

/* Sums up on a binomial tree, at rank 0. */
static void gather(counts *c, uint32_t rank, uint32_t size)
{
	uint32_t bit = 1;
	for (; bit < size && !(rank & bit); bit <<= 1)
		if (rank + bit < size) {
			counts other;
			check(warren_recv(COUNTS, &other, sizeof other, NULL), "counts");
			c->lines += other.lines;
			c->words += other.words;
			c->bytes += other.bytes;
			c->blocks += other.blocks;
		}
	if (rank)
		check(warren_send(rank - bit, COUNTS, c, sizeof *c), "counts");
}

int main(int argc, char **argv)
{
	uint32_t rank = warren_rank(), size = warren_size();
	counts c = {0, 0, 0, 0};
	(void)argv;
	if (rank == 0)
		deal(&c, size);
	else
		work(&c);
	if (argc > 1)
		fprintf(stderr, "rank %u: %u blocks\n", (unsigned)rank, (unsigned)c.blocks);
	gather(&c, rank, size);
	if (rank == 0)
		printf("%u %u %u\n", (unsigned)c.lines, (unsigned)c.words, (unsigned)c.bytes);
	return 0;
}
