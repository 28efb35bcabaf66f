// Start-up and system calls of the programs here, which need no library.
#define LOOPS(n) ((n) * SCALE)
#ifndef SCALE
#define SCALE 1
#endif
typedef unsigned u32;
typedef unsigned char u8;

static inline int call(int n, int a, int b, int c) {
	register int a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c, a7 __asm__("a7") = n;
	__asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
	return a0;
}

u32 run(void);

__attribute__((noreturn, used)) void begin(void) {
	u32 sum = run();
	char text[9];
	for (int i = 0; i < 8; i++)
		text[i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 15];
	text[8] = '\n';
	call(64, 1, (int)text, 9);
	call(93, 0, 0, 0);
	for (;;)
		;
}

__asm__(".globl _start\n_start:\n.option push\n.option norelax\nla gp, __global_pointer$\n.option pop\nj begin\n");

void *memset(void *p, int v, u32 n) {
	u8 *d = p;
	while (n--) {
		*d++ = v;
		__asm__ volatile("");
	}
	return p;
}

void *memcpy(void *p, const void *q, u32 n) {
	u8 *d = p;
	const u8 *s = q;
	while (n--) {
		*d++ = *s++;
		__asm__ volatile("");
	}
	return p;
}
