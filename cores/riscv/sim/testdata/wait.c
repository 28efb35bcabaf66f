/* Programs that wait for each of the things that a core can wait for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <warren.h>

static char big[65536];
static volatile uint32_t flag;

int main(int argc, char **argv)
{
	uint32_t rank = warren_rank(), size = warren_size(), x = 0;
	const char *what = argc > 1 ? argv[1] : "";
	volatile uint32_t *sram = (void *)(uintptr_t)(warren_info(WARREN_SRAM) + 1024);

	if (!strcmp(what, "sleep"))
		return warren_sleep(argc > 2 ? atoi(argv[2]) : 1000000);
	if (!strcmp(what, "one")) { /* rank 0 ends, the others do not */
		if (rank)
			warren_recv(0, &x, sizeof x, NULL);
		return rank ? 0 : 3;
	}
	if (!strcmp(what, "word"))
		return warren_wait(sram, WARREN_NOT_EQUAL, 0);
	if (!strcmp(what, "barrier")) {
		if (rank == 0)
			warren_recv(0, &x, sizeof x, NULL);
		return warren_barrier();
	}
	if (!strcmp(what, "tile")) {
		for (int i = 0; i < 50; i++)
			warren_tile_barrier();
		if (argc > 2)
			warren_recv(0, &x, sizeof x, NULL);
		return warren_tile_barrier();
	}
	if (!strcmp(what, "input")) {
		char c = 0;
		return read(0, &c, 1) == 1 ? c : 99;
	}
	if (!strcmp(what, "order")) { /* a long message, then a short one: they arrive so */
		if (rank == 0)
			return warren_send(1, 0, big, sizeof big) < 0 || warren_send(1, 0, &x, sizeof x) < 0;
		if (rank == 1) {
			int a = warren_recv(0, big, sizeof big, NULL), b = warren_recv(0, big, sizeof big, NULL);
			return !(a == 65536 && b == 4);
		}
		return 0;
	}
	if (!strcmp(what, "late")) { /* rank 0's puts and messages find rank 1 wherever it is */
		if (rank == 0) {
			warren_recv(1, &x, sizeof x, NULL);
			for (x = 1; x <= 10; x++) {
				while (warren_put(1, (void *)&flag, &x, sizeof x) < 0)
					warren_sleep(10); /* rank 1 has no core: -EAGAIN */
				while (warren_send(1, 0, &x, sizeof x) < 0)
					warren_sleep(10);
			}
			return warren_fence();
		}
		uint32_t got, sum = 0;
		for (int i = 0; i < 10; i++)
			sum += warren_recv(0, &got, sizeof got, NULL) == 4 ? got : 1000;
		warren_wait(&flag, WARREN_AT_LEAST, 10);
		return sum == 55 ? 0 : sum;
	}
	if (!strcmp(what, "puts")) { /* far more than may be on its way */
		if (rank == 0)
			for (int i = 0; i < 2000; i++)
				if (warren_put(size - 1, big, big, sizeof big) < 0)
					return 1;
		return warren_fence();
	}
	if (!strcmp(what, "poison")) { /* its puts are on their way when it is killed */
		for (int i = 0; i < 60; i++)
			big[i] = 0x55;
		for (;;)
			warren_put(1, (void *)sram, big, 60);
	}
	if (!strcmp(what, "clean")) {
		for (int i = 0; i < 20000; i++)
			if (*sram)
				return 1;
		return 0;
	}
	if (!strcmp(what, "full")) { /* rank 0 takes nothing until it is told to */
		if (rank == 0)
			warren_recv(1, &x, sizeof x, NULL);
		for (uint32_t i = 0; i < 200 * (rank ? 1 : size - 1); i++)
			rank ? warren_send(0, 0, &x, sizeof x) : warren_recv(0, &x, sizeof x, NULL);
		return 0;
	}
	if (!strcmp(what, "zeroed")) {
		flag = 7;
		*sram = 5;
		warren_recv(0, &x, sizeof x, NULL);
		return flag == 7 && *sram == 5 ? 0 : 1;
	}
	return 42;
}
