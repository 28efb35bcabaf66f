/*
 * A deadlock, on purpose: the last rank stands at a barrier, all others wait
 * for a message of their neighbour. The machine tells at once who waits for
 * what.
 *
 *	warren cc -g -o deadlock.elf testdata/riscv/noc/deadlock.c
 *	mkdir procs/stuck
 *	echo "exec $PWD/deadlock.elf" >procs/stuck/ctl
 *	printf 'kind mesh\ncores 4\nstart\n' >procs/stuck/ctl
 *	grep deadlock events
 */
#include <stdio.h>
#include <warren.h>

int main(void)
{
	char text[16];
	uint32_t rank = warren_rank(), size = warren_size();
	if (rank + 1 == size)
		warren_barrier();
	else
		warren_recv(3, text, sizeof text, NULL);
	printf("rank %u got on\n", (unsigned)rank);
	return 0;
}
