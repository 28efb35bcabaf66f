// CRC-32 by a table of bytes.
#include "start.h"

static u32 table[256];
static u8 data[65536];

int work(void)
{
	for (u32 i = 0; i < 256; i++) {
		u32 c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
		table[i] = c;
	}
	for (u32 i = 0; i < sizeof data; i++)
		data[i] = i * 7 + (i >> 8);
	u32 crc = ~0u;
	for (int round = 0; round < 3000; round++)
		for (u32 i = 0; i < sizeof data; i++)
			crc = table[(crc ^ data[i]) & 255] ^ crc >> 8;
	return ~crc;
}
