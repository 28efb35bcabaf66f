// A product of matrices of integers.
#include "start.h"

enum { N = 64 };
static int a[N][N], b[N][N], c[N][N];

int work(void)
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			a[i][j] = i * 3 + j;
			b[i][j] = i - j * 5;
		}
	int check = 0;
	for (int round = 0; round < 1000; round++) {
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++) {
				int sum = 0;
				for (int k = 0; k < N; k++)
					sum += a[i][k] * b[k][j];
				c[i][j] = sum;
			}
		check += c[round % N][(round * 7) % N];
		a[round % N][round % 7]++;
	}
	return check;
}
