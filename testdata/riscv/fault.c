/*
 * Faults, on purpose. The core's file fault tells cause, address, function and
 * line.
 *
 *	warren cc -g -o fault.elf testdata/riscv/fault.c
 *	mkdir procs/bad
 *	echo "exec $PWD/fault.elf load" >procs/bad/ctl
 *	printf 'on 3\nstart\n' >procs/bad/ctl
 *	cat procs/bad/wait procs/bad/stderr
 *	cat cores/3/fault
 *
 * The word says which: load, store (to where nothing is), text (a store to what
 * is to be read only), jump (to where nothing is), illegal, break, or stack
 * (recursion without end).
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define NOWHERE 0x40000000u

__attribute__((noinline)) static int bad_load(volatile int *p)
{
	return *p; /* the fault is here */
}

__attribute__((noinline)) static void bad_store(volatile int *p)
{
	*p = 1;
}

static volatile int deepest = 1 << 30;

__attribute__((noinline)) static int bad_stack(volatile char *above, int depth)
{
	volatile char frame[256];
	if (depth == deepest)
		return 0;
	frame[depth & 255] = above[depth & 255];
	return bad_stack(frame, depth + 1) + frame[1];
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "load";
	static const int constant = 1;
	printf("about to %s\n", what);
	if (strcmp(what, "load") == 0)
		return bad_load((volatile int *)(uintptr_t)NOWHERE);
	if (strcmp(what, "store") == 0)
		bad_store((volatile int *)(uintptr_t)NOWHERE);
	if (strcmp(what, "text") == 0)
		bad_store((volatile int *)(uintptr_t)&constant);
	if (strcmp(what, "jump") == 0)
		((void (*)(void))(uintptr_t)NOWHERE)();
#ifdef __riscv
	if (strcmp(what, "illegal") == 0)
		__asm__ volatile(".word 0");
	if (strcmp(what, "break") == 0)
		__asm__ volatile("ebreak");
#endif
	if (strcmp(what, "stack") == 0) {
		volatile char top[256] = {0};
		return bad_stack(top, 0);
	}
	printf("nothing happened\n");
	return 0;
}
