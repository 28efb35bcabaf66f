/* Something of everything that passes between cores, with output: what it
 * prints, and where memory and time end, must not depend on the host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <warren.h>

static volatile uint32_t counter, slot[64];

static uint32_t work(uint32_t seed, uint32_t n)
{
	while (n--)
		seed = (seed * 1664525u + 1013904223u) ^ seed >> 9;
	return seed;
}

int main(int argc, char **argv)
{
	uint32_t rank = warren_rank(), size = warren_size(), x = rank, from;
	int rounds = argc > 1 ? atoi(argv[1]) : 5;

	for (int i = 0; i < rounds; i++) {
		x = work(x, 300 + 100 * (rank % 7));
		for (uint32_t k = 1; k <= 3; k++)
			warren_send((rank + k * k) % size, k, &x, sizeof x);
		uint32_t y, sum = 0;
		for (uint32_t k = 1; k <= 3; k++) {
			warren_recv(k, &y, sizeof y, &from);
			sum += y ^ from;
		}
		x ^= sum;
		warren_put((rank + 5) % size, (void *)&slot[i % 64], &x, sizeof x);
		warren_add(0, (void *)&counter, rank + 1);
		warren_fence();
		if (i % 2)
			warren_barrier();
		warren_sleep(rank * 37 % 500);
		uint32_t copy[16];
		warren_get((rank + 3) % size, copy, (void *)slot, sizeof copy);
		warren_fence();
		for (int k = 0; k < 16; k++)
			x += copy[k];
		uint32_t before = warren_fetch_add((rank + 1) % size, (void *)&slot[63], 1);
		x += before;
		warren_mark(i);
		if (rank % 4 == 0)
			printf("%lu: round %d %08lx at %lu\n", (unsigned long)rank, i, (unsigned long)x, (unsigned long)warren_cycles());
	}
	warren_barrier();
	if (rank == 0) {
		warren_wait(&counter, WARREN_AT_LEAST, 1);
		printf("counter %lu\n", (unsigned long)counter);
	}
	return 0;
}
