// Recursive Fibonacci numbers: calls and returns.
#include "start.h"

__attribute__((noinline)) static u32 fib(u32 n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int work(void)
{
	return fib(39);
}
