/*
 * How many primes there are below a limit: each rank sieves a part of the
 * numbers. Rank 0 finds the primes up to the root of the limit, which go down a
 * tree to all; counts are added up in rank 0's memory.
 *
 *	warren cc -O2 -o primes.elf testdata/riscv/noc/sieve.c
 *	mkdir procs/primes
 *	echo "exec $PWD/primes.elf 1000000" >procs/primes/ctl
 *	printf 'kind mesh\ncores 64\nstart\n' >procs/primes/ctl
 *	cat procs/primes/wait procs/primes/stdout
 *
 * Prints the count. Alone, or under qemu-riscv32, it does all of the work.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <warren.h>

enum { BASE = 4096, WINDOW = 16384 };

static uint16_t primes[BASE];
static uint32_t count; /* of primes[] */
static uint8_t composite[WINDOW];
static uint32_t total; /* rank 0's is added to by all */

static void check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-r));
		abort();
	}
}

/* The primes up to root. */
static void find_base(uint32_t root)
{
	memset(composite, 0, sizeof composite);
	for (uint32_t p = 2; p <= root; p++) {
		if (composite[p])
			continue;
		primes[count++] = (uint16_t)p;
		for (uint32_t q = p * p; q <= root; q += p)
			composite[q] = 1;
	}
}

/* From rank 0 down a binomial tree to all. */
static void spread(uint32_t rank, uint32_t size)
{
	uint32_t bit = 1;
	while (bit < size && !(rank & bit))
		bit <<= 1;
	if (rank) {
		int r = warren_recv(0, primes, sizeof primes, NULL);
		check(r, "receive");
		count = (uint32_t)r / sizeof primes[0];
	}
	while ((bit >>= 1))
		if (rank + bit < size)
			check(warren_send(rank + bit, 0, primes, count * sizeof primes[0]), "send");
}

/* The primes from low to below high, which are at most WINDOW numbers. */
static uint32_t sieve(uint32_t low, uint32_t high)
{
	uint32_t n = 0;
	memset(composite, 0, high - low);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t p = primes[i], q = (low + p - 1) / p * p;
		if (q < p * p)
			q = p * p;
		for (; q < high; q += p)
			composite[q - low] = 1;
	}
	for (uint32_t i = low; i < high; i++)
		n += i >= 2 && !composite[i - low];
	return n;
}

int main(int argc, char **argv)
{
	uint32_t limit = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 100000;
	uint32_t rank = warren_rank(), size = warren_size(), root = 0, n = 0;
	if (limit < 2 || limit > 100000000) {
		fprintf(stderr, "want a limit of 2 to 100000000\n");
		return 2;
	}
	while ((root + 1) * (root + 1) < limit)
		root++;
	if (rank == 0)
		find_base(root);
	spread(rank, size);
	uint32_t low = (uint32_t)((uint64_t)limit * rank / size), high = (uint32_t)((uint64_t)limit * (rank + 1) / size);
	for (; low < high; low += WINDOW)
		n += sieve(low, high - low < WINDOW ? high : low + WINDOW);
	if (size == 1) {
		total = n;
	} else {
		check(warren_add(0, &total, n), "add");
		check(warren_fence(), "fence");
		check(warren_barrier(), "barrier");
	}
	if (rank == 0)
		printf("%u primes below %u\n", (unsigned)*(volatile uint32_t *)&total, (unsigned)limit);
	return 0;
}
