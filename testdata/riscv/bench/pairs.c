/*
 * Neighbours send each other words, eight at a time: the rate of messages.
 *
 *	warren cc -O2 -o pairs.elf testdata/riscv/bench/pairs.c
 *	pairs.elf [ROUNDS]           on an even number of cores
 *
 * Each core sends and takes 8 messages of 4 bytes a round.
 */
#include <stdlib.h>
#include <warren.h>

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1000;
	uint32_t peer = warren_rank() ^ 1, x = 0;

	for (int i = 0; i < rounds; i++) {
		for (int k = 0; k < 8; k++)
			warren_send(peer, 0, &x, sizeof x);
		for (int k = 0; k < 8; k++)
			warren_recv(0, &x, sizeof x, NULL);
	}
	return 0;
}
