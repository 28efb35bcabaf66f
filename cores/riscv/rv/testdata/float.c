// A product of matrices of doubles, and a filter over singles.
#include "start.h"

enum { N = 48, TAPS = 16, LEN = 1024 };
static double a[N][N], b[N][N], c[N][N];
static float in[LEN + TAPS], out[LEN], taps[TAPS];

int work(void)
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			a[i][j] = 1.0 / (1 + i + j);
			b[i][j] = i - 0.3 * j;
		}
	for (int i = 0; i < LEN + TAPS; i++)
		in[i] = 0.01f * (i * 37 % 100);
	for (int i = 0; i < TAPS; i++)
		taps[i] = 1.0f / (3 + i);
	double check = 0;
	for (int round = 0; round < 150; round++) {
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++) {
				double sum = 0;
				for (int k = 0; k < N; k++)
					sum += a[i][k] * b[k][j];
				c[i][j] = sum;
			}
		for (int i = 0; i < LEN; i++) {
			float sum = 0;
			for (int k = 0; k < TAPS; k++)
				sum += taps[k] * in[i + k];
			out[i] = sum;
		}
		check += c[round % N][round * 7 % N] + out[round];
		a[round % N][round % 7] += 1;
	}
	return (int)(check * 1000);
}
