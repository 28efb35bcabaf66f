/*
 * Multiplication of matrices of 64 by 64 integers: loads and multiplications.
 *
 *	warren cc -O2 -o matmul.elf testdata/riscv/bench/matmul.c
 *	matmul.elf [REPETITIONS]     on one core, or under qemu-riscv32
 *
 * Prints a checksum. One repetition is about 1.9 million instructions.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 64 };

static int32_t a[N][N], b[N][N], c[N][N];

static void multiply(void)
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			int32_t sum = 0;
			for (int k = 0; k < N; k++)
				sum += a[i][k] * b[k][j];
			c[i][j] = sum;
		}
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1, sum = 0;
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			a[i][j] = (i * 7 + j * 3) % 101 - 50;
			b[i][j] = (i * 5 + j * 11) % 97 - 48;
		}
	for (uint32_t r = 0; r < n; r++) {
		multiply();
		for (int i = 0; i < N; i++)
			sum = sum * 31 + (uint32_t)c[i][(i + (int)r) % N];
		a[r % N][(r * 13) % N] ^= 1;
	}
	printf("matmul %08lx\n", (unsigned long)sum);
	return 0;
}
