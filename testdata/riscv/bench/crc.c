/*
 * CRC-32 of 64 KiB, by table: dependent loads and exclusive ors.
 *
 *	warren cc -O2 -o crc.elf testdata/riscv/bench/crc.c
 *	crc.elf [REPETITIONS]        on one core, or under qemu-riscv32
 *
 * Prints the CRC. One repetition is about 0.7 million instructions.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 65536 };

static uint32_t table[256];
static uint8_t data[BYTES];

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
		table[i] = c;
	}
}

static uint32_t crc(uint32_t c, const uint8_t *p, size_t n)
{
	c = ~c;
	for (size_t i = 0; i < n; i++)
		c = table[(c ^ p[i]) & 255] ^ c >> 8;
	return ~c;
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1, sum = 0;
	make_table();
	for (uint32_t i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i * 167 + (i >> 8));
	for (uint32_t i = 0; i < n; i++)
		sum = crc(sum, data, BYTES);
	printf("crc %08lx\n", (unsigned long)sum);
	return 0;
}
