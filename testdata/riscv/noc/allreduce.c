/*
 * All-reduce: every rank has a vector, and all get the sum of them, by a ring
 * or by a tree.
 *
 *	warren cc -O2 -o allreduce.elf testdata/riscv/noc/allreduce.c
 *	mkdir procs/sum
 *	echo "exec $PWD/allreduce.elf ring 1024" >procs/sum/ctl
 *	printf 'kind mesh\ncores 16\nstart\n' >procs/sum/ctl
 *	cat procs/sum/wait procs/sum/stdout
 *
 * The ring moves 2 (n-1) / n of the vector over each link, in 2 (n-1) steps; the
 * tree the whole vector, in 2 log2 n steps. Rank 0 prints both how it went and a
 * checksum, which does not depend on the way.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <warren.h>

static uint32_t rank, size;

static void check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "rank %u: %s: %s\n", (unsigned)rank, what, strerror(-r));
		abort();
	}
}

static void send(uint32_t to, const uint32_t *v, uint32_t n) { check(warren_send(to, 0, v, 4 * n), "send"); }

static void receive(uint32_t *v, uint32_t n)
{
	int r = warren_recv(0, v, 4 * n, NULL);
	check(r, "receive");
	if ((uint32_t)r != 4 * n)
		check(-EMSGSIZE, "receive");
}

static void add(uint32_t *v, const uint32_t *w, uint32_t n)
{
	while (n-- > 0)
		*v++ += *w++;
}

/* Where a rank's part of the vector begins. */
static uint32_t part(uint32_t i, uint32_t n) { return (uint32_t)((uint64_t)n * i / size); }

/* First each part goes round and is summed up on its way, then the sums go
 * round. */
static void ring(uint32_t *v, uint32_t *tmp, uint32_t n)
{
	uint32_t next = (rank + 1) % size;
	for (uint32_t phase = 0; phase < 2; phase++)
		for (uint32_t s = 0; s + 1 < size; s++) {
			uint32_t out = (rank + size - s + phase) % size, in = (out + size - 1) % size;
			uint32_t at = part(in, n), len = part(in + 1, n) - at;
			send(next, v + part(out, n), part(out + 1, n) - part(out, n));
			if (phase == 0) {
				receive(tmp, len);
				add(v + at, tmp, len);
			} else {
				receive(v + at, len);
			}
		}
}

/* Sums go up a binomial tree to rank 0, and come down again. */
static void tree(uint32_t *v, uint32_t *tmp, uint32_t n)
{
	uint32_t bit = 1;
	for (; bit < size && !(rank & bit); bit <<= 1)
		if (rank + bit < size) {
			receive(tmp, n);
			add(v, tmp, n);
		}
	if (rank) {
		send(rank - bit, v, n);
		receive(v, n);
	}
	while ((bit >>= 1))
		if (rank + bit < size)
			send(rank + bit, v, n);
}

int main(int argc, char **argv)
{
	int by_ring = argc < 2 || strcmp(argv[1], "ring") == 0;
	uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 256, sum = 0, wrong = 0;
	if (argc > 1 && !by_ring && strcmp(argv[1], "tree") != 0) {
		fprintf(stderr, "usage: allreduce [ring|tree [WORDS]]\n");
		return 2;
	}
	rank = warren_rank();
	size = warren_size();
	if (n == 0 || n > WARREN_MESSAGE / 4) {
		fprintf(stderr, "want 1 to %u words\n", WARREN_MESSAGE / 4);
		return 2;
	}
	uint32_t *v = malloc(4 * n), *tmp = malloc(4 * n);
	if (!v || !tmp)
		check(-ENOMEM, "vectors");
	for (uint32_t i = 0; i < n; i++)
		v[i] = (rank + 1) * (i + 1);
	warren_barrier();
	uint32_t began = (uint32_t)warren_cycles();
	if (by_ring)
		ring(v, tmp, n);
	else
		tree(v, tmp, n);
	uint32_t took = (uint32_t)warren_cycles() - began;
	for (uint32_t i = 0; i < n; i++) {
		wrong += v[i] != size * (size + 1) / 2 * (i + 1);
		sum = sum * 31 + v[i];
	}
	if (wrong) {
		printf("rank %u: %u of %u words are wrong\n", (unsigned)rank, (unsigned)wrong, (unsigned)n);
		return 1;
	}
	if (rank == 0) {
		printf("allreduce %u ranks %u words %08lx\n", (unsigned)size, (unsigned)n, (unsigned long)sum);
		fprintf(stderr, "%s: %u cycles\n", by_ring ? "ring" : "tree", (unsigned)took);
	}
	return 0;
}
