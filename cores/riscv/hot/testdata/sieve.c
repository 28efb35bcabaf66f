#include "run.h"

static u8 composite[65536];

u32 run(void) {
	u32 sum = 0;
	for (int round = 0; round < LOOPS(20); round++) {
		memset(composite, 0, sizeof composite);
		for (u32 i = 2; i < sizeof composite; i++) {
			if (composite[i])
				continue;
			sum += i;
			for (u32 j = i + i; j < sizeof composite; j += i)
				composite[j] = 1;
		}
	}
	return sum;
}
