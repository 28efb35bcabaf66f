#include "run.h"

static u8 data[4096];

u32 run(void) {
	for (u32 i = 0; i < sizeof data; i++)
		data[i] = i * 7 + (i >> 5);
	u32 crc = ~0u;
	for (int round = 0; round < LOOPS(50); round++)
		for (u32 i = 0; i < sizeof data; i++) {
			crc ^= data[i];
			for (int k = 0; k < 8; k++)
				crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
		}
	return ~crc;
}
