#include "run.h"

__attribute__((noinline)) static u32 fib(u32 n) {
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

u32 run(void) {
	u32 sum = 0;
	for (int round = 0; round < LOOPS(10); round++)
		sum += fib(22);
	return sum;
}
