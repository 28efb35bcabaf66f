/*
 * Fibonacci numbers by recursion: calls and returns.
 *
 *	warren cc -O2 -o fib.elf testdata/riscv/bench/fib.c
 *	fib.elf [REPETITIONS]        on one core, or under qemu-riscv32
 *
 * Prints a checksum. One repetition is about 0.7 million instructions. Compiles
 * for the host as well, as all of this folder does.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((noinline)) static uint32_t fib(uint32_t n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1, sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum = sum * 31 + fib(22 + (i & 1));
	printf("fib %08lx\n", (unsigned long)sum);
	return 0;
}
