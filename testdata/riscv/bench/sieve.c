/*
 * The sieve of Eratosthenes: loops of byte stores.
 *
 *	warren cc -O2 -o sieve.elf testdata/riscv/bench/sieve.c
 *	sieve.elf [REPETITIONS]      on one core, or under qemu-riscv32
 *
 * Prints a checksum. One repetition is about 1.3 million instructions.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 65536 };

static uint8_t composite[LIMIT];

static uint32_t sieve(uint32_t limit)
{
	uint32_t count = 0;
	memset(composite, 0, limit);
	for (uint32_t p = 2; p < limit; p++) {
		if (composite[p])
			continue;
		count++;
		for (uint32_t q = 2 * p; q < limit; q += p)
			composite[q] = 1;
	}
	return count;
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1, sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum = sum * 31 + sieve(LIMIT - (i & 7) * 512);
	printf("sieve %08lx\n", (unsigned long)sum);
	return 0;
}
