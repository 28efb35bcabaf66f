/* Does anything that a program may do, in an order that its argument and its
 * rank decide: for tests that do anything to the machine meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <warren.h>

static uint32_t seed;
static volatile uint32_t words[64];
static char buf[4096], copy[4096];

static uint32_t pick(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void csr_barrier(void)
{
#if defined(__riscv)
	__asm__ volatile(".option push\n\t.option arch, +zicsr\n\tcsrr x0, 0x7c2\n\t.option pop" : : : "memory");
#endif
}

static int act(uint32_t rank, uint32_t size)
{
	uint32_t to = pick(size), x0 = pick(2), y0 = pick(2);
	void *sram = (void *)(uintptr_t)warren_info(WARREN_SRAM);
	switch (pick(24)) {
	case 0: case 1: return warren_send(to, pick(4), buf, pick(sizeof buf));
	case 2: case 3: return warren_try_recv(pick(4), copy, sizeof copy, NULL);
	case 4: return warren_recv(pick(4), copy, sizeof copy, NULL);
	case 5: return warren_put(to, copy, buf, pick(sizeof buf));
	case 6: return warren_get(to, copy, buf, pick(sizeof buf));
	case 7: return warren_put(warren_at(x0, y0), (char *)sram + 1024, buf, 64);
	case 8: return warren_add(to, (void *)&words[pick(64)], 1);
	case 9: return warren_fetch_add(to, (void *)&words[pick(64)], 1);
	case 10: return warren_mcast(x0, y0, 1, 1, (char *)sram + 2048, buf, 64);
	case 11: return warren_fence();
	case 12: return warren_barrier();
	case 13: return warren_tile_barrier();
	case 14: csr_barrier(); return 0;
	case 15: return warren_sleep(pick(5000));
	case 16: warren_mark(pick(100)); return 0;
	case 17: return printf("%lu says %lu\n", (unsigned long)rank, (unsigned long)pick(1000));
	case 18: return fflush(stdout);
	case 19: return read(0, copy, pick(200));
	case 20: return warren_host(pick(4), buf, pick(300));
	case 21: return warren_alloc(pick(300), 16, "chaos") != NULL;
	case 22: return pick(4) ? 0 : warren_wait(&words[pick(64)], pick(6), pick(3));
	default:
		for (uint32_t i = pick(3000); i; i--)
			words[i % 64] += i;
		return 0;
	}
}

int main(int argc, char **argv)
{
	uint32_t rank = warren_rank(), size = warren_size();
	uint32_t n = argc > 2 ? atoi(argv[2]) : 50;
	seed = (argc > 1 ? atoi(argv[1]) : 0) + rank * 7919;
	while (n--)
		act(rank, size);
	switch (pick(20)) {
	case 0: return *(volatile int *)0x70000000;
	case 1: *(volatile int *)main = 0; return 0;
	case 2: __asm__ volatile(".word 0"); return 0;
	case 3: warren_call(94, pick(300), 0, 0, 0, 0, NULL); return 0;
	}
	return pick(3);
}
