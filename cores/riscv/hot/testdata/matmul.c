#include "run.h"

enum { N = 64 };
static int a[N][N], b[N][N], c[N][N];

__attribute__((noinline)) static void multiply(void) {
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			int s = 0;
			for (int k = 0; k < N; k++)
				s += a[i][k] * b[k][j];
			c[i][j] = s;
		}
}

u32 run(void) {
	u32 sum = 0;
	for (int round = 0; round < LOOPS(20); round++) {
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++) {
				a[i][j] = i * 3 + j + round;
				b[i][j] = i - j * 5;
			}
		multiply();
		for (int i = 0; i < N; i++)
			sum = sum * 31 + c[i][(i * 7) % N];
	}
	return sum;
}
