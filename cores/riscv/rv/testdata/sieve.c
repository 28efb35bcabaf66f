// Eratosthenes' sieve over bytes.
#include "start.h"

enum { N = 60000 };
static u8 composite[N];

int work(void)
{
	u32 count = 0;
	for (int round = 0; round < 2000; round++) {
		for (u32 i = 0; i < N; i++)
			composite[i] = 0;
		for (u32 i = 2; i < N; i++) {
			if (composite[i])
				continue;
			count++;
			for (u32 k = i + i; k < N; k += i)
				composite[k] = 1;
		}
	}
	return count;
}
