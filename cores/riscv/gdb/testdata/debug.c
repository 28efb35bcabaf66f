// What gdb_test.go debugs: a program for a hart without an operating system.
// The hart begins with its rank in a0 and the top of its stack in sp.

struct point {
	int x, y;
};

volatile int watched;
volatile int turns;
double half = 0.5;
struct point origin = {3, 4};

__attribute__((noinline)) int square(int n)
{
	int result = n * n;
	return result;
}

__attribute__((noinline)) int length2(const struct point *p)
{
	int a = square(p->x);
	int b = square(p->y);
	return a + b;
}

__attribute__((noinline)) double scale(double by)
{
	double scaled = by * half;
	return scaled;
}

__attribute__((noinline)) int recurse(int depth)
{
	if (depth == 0)
		return length2(&origin); // deepest
	return recurse(depth - 1) + 1;
}

__attribute__((noinline)) void spin(void)
{
	for (;;)
		turns++; // spinning
}

__attribute__((noinline)) void wild(void)
{
	*(volatile int *)0x10 = 1; // a store that faults
}

int main(int rank)
{
	int sum = recurse(3); // first
	watched = sum;        // store
	sum += watched;       // load
	double d = scale(5.0);
	sum += (int)d;
	switch (rank) { // choice
	case 1:
		spin();
	case 2:
		wild();
	case 3:
		asm volatile("unimp");
	case 4:
		asm volatile("ebreak");
	}
	return sum; // last
}

asm(".globl _start\n"
    "_start:\n"
    ".option push\n"
    ".option norelax\n"
    "	la gp, __global_pointer$\n"
    ".option pop\n"
    "	call main\n"
    "	li a7, 93\n"
    "	ecall\n");
