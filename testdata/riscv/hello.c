/*
 * Hello: each core says who it is. Runs on any number of cores, and under
 * qemu-riscv32.
 *
 *	warren cc -O2 -o hello.elf testdata/riscv/hello.c
 *	mkdir procs/hello
 *	echo "exec $PWD/hello.elf" >procs/hello/ctl
 *	printf 'kind mesh\ncores 4\nstart\n' >procs/hello/ctl
 *	cat procs/hello/wait procs/hello/stdout
 */
#include <stdio.h>
#include <warren.h>

int main(int argc, char **argv)
{
	printf("hello from %u of %u at %u,%u", (unsigned)warren_rank(), (unsigned)warren_size(),
		(unsigned)warren_x(), (unsigned)warren_y());
	for (int i = 1; i < argc; i++)
		printf(" %s", argv[i]);
	printf("\n");
	return 0;
}
