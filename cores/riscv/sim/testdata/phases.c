/* Does one thing for long, and then another. Prints a checksum. */
#include <stdint.h>
#include <stdio.h>

static uint32_t first(uint32_t x)
{
	for (int i = 0; i < 20000; i++)
		x = x * 1664525u + 1013904223u ^ x >> 7;
	return x;
}

static uint32_t second(uint32_t x)
{
	for (int i = 0; i < 20000; i++)
		x = (x << 5 | x >> 27) + 0x9e3779b9u;
	return x;
}

/* The calls are not to be inlined, and not through pointers that are known. */
static uint32_t (*volatile const phases[])(uint32_t) = {first, second};

int main(void)
{
	uint32_t sum = 1;
	for (int phase = 0; phase < 2; phase++)
		for (int i = 0; i < 40; i++)
			sum = phases[phase](sum);
	printf("%08lx\n", (unsigned long)sum);
	return 0;
}
