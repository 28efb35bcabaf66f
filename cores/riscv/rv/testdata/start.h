// Start-up code and the two calls that the programs here use: they run
// without a library, under Linux and on a bare hart.
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

int work(void);

static long call(long number, long a, long b, long c)
{
	register long a0 asm("a0") = a;
	register long a1 asm("a1") = b;
	register long a2 asm("a2") = c;
	register long a7 asm("a7") = number;
	asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
	return a0;
}

// main writes the result of the work in hexadecimal, and exits.
__attribute__((used)) static void start(void)
{
	u32 v = work();
	char line[9];
	for (int i = 7; i >= 0; i--, v >>= 4)
		line[i] = "0123456789abcdef"[v & 15];
	line[8] = '\n';
	call(64, 1, (long)line, sizeof line);
	call(93, 0, 0, 0);
	for (;;)
		;
}

asm(".globl _start\n"
    "_start: .option push\n .option norelax\n"
    "la gp, __global_pointer$\n .option pop\n"
    "j start\n");

void *memcpy(void *to, const void *from, unsigned n)
{
	char *t = to;
	const char *f = from;
	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int c, unsigned n)
{
	char *t = to;
	while (n--)
		*t++ = c;
	return to;
}
