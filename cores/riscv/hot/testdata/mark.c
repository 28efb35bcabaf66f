// What CoreMark does, in small: lists sorted and searched by functions that
// pointers give, matrices, a machine of states driven by text, and checksums
// of it all.
#include "run.h"

typedef struct item {
	struct item *next;
	short key, index;
} item;

enum { ITEMS = 100, N = 12 };
static item items[ITEMS];
static short ma[N][N], mb[N][N];
static int mc[N][N];
static u32 counts[8];

static u32 crc16(u32 crc, u32 v) {
	for (int i = 0; i < 16; i++) {
		u32 bit = (v ^ crc) & 1;
		v >>= 1;
		crc >>= 1;
		if (bit)
			crc ^= 0xa001;
	}
	return crc;
}

static int by_key(const item *a, const item *b) { return a->key - b->key; }
static int by_index(const item *a, const item *b) { return a->index - b->index; }

typedef int compare(const item *, const item *);
compare *volatile orders[2] = {by_key, by_index};

__attribute__((noinline)) static item *sort(item *list, compare *cmp) {
	for (int size = 1;; size *= 2) {
		item *p = list, *tail = 0;
		int merges = 0;
		list = 0;
		while (p) {
			merges++;
			item *q = p;
			int left = 0, right = size;
			for (int i = 0; i < size && q; i++) {
				left++;
				q = q->next;
			}
			while (left > 0 || (right > 0 && q)) {
				item *e;
				if (left && (!right || !q || cmp(p, q) <= 0)) {
					e = p;
					p = p->next;
					left--;
				} else {
					e = q;
					q = q->next;
					right--;
				}
				if (tail)
					tail->next = e;
				else
					list = e;
				tail = e;
			}
			p = q;
		}
		tail->next = 0;
		if (merges <= 1)
			return list;
	}
}

__attribute__((noinline)) static u32 lists(u32 seed) {
	for (int i = 0; i < ITEMS; i++) {
		seed = seed * 1103515245 + 12345;
		items[i].key = seed >> 16 & 0x7fff;
		items[i].index = i;
		items[i].next = i + 1 < ITEMS ? &items[i + 1] : 0;
	}
	u32 crc = seed;
	item *list = sort(items, orders[0]);
	for (item *p = list; p; p = p->next)
		crc = crc16(crc, p->index);
	for (int i = 0; i < 20; i++) {
		item *p = list;
		while (p && p->index != i * 5)
			p = p->next;
		crc += p ? p->key : 0;
	}
	list = sort(list, orders[1]);
	for (item *p = list; p; p = p->next)
		crc = crc16(crc, p->key);
	return crc;
}

__attribute__((noinline)) static u32 matrices(u32 seed) {
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			ma[i][j] = seed + i * j;
			mb[i][j] = seed * i - j;
		}
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			int s = 0;
			for (int k = 0; k < N; k++)
				s += ma[i][k] * mb[k][j];
			mc[i][j] = s;
		}
	u32 crc = 0;
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			int s = 0;
			for (int k = 0; k < N; k++)
				s += (mc[i][k] >> 2 & 15) * (mc[k][j] >> 5 & 127);
			crc = crc16(crc, s);
		}
	return crc;
}

enum { START, SIGN, INT, POINT, FRACTION, EXPONENT, SCIENCE, BAD };

__attribute__((noinline)) static int step(int state, int c) {
	int digit = c >= '0' && c <= '9';
	switch (state) {
	case START: return digit ? INT : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : BAD;
	case SIGN: return digit ? INT : c == '.' ? POINT : BAD;
	case INT: return digit ? INT : c == '.' ? FRACTION : c == 'e' ? EXPONENT : BAD;
	case POINT: return digit ? FRACTION : BAD;
	case FRACTION: return digit ? FRACTION : c == 'e' || c == 'E' ? EXPONENT : BAD;
	case EXPONENT: return digit || c == '-' || c == '+' ? SCIENCE : BAD;
	case SCIENCE: return digit ? SCIENCE : BAD;
	}
	return state;
}

static const char text[] = "5012,1874,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^";

__attribute__((noinline)) static u32 states(u32 seed) {
	int state = START;
	for (const char *p = text; *p; p++) {
		int c = *p;
		if (c == ',') {
			counts[state]++;
			state = START;
			continue;
		}
		state = step(state, c ^ (seed >> 20 == (u32)(p - text) ? 1 : 0));
	}
	u32 crc = seed;
	for (int i = 0; i < 8; i++)
		crc = crc16(crc, counts[i]);
	return crc;
}

u32 run(void) {
	u32 crc = 0x1234;
	for (int round = 0; round < LOOPS(100); round++) {
		crc = crc16(crc, lists(crc));
		crc = crc16(crc, matrices(crc));
		crc = crc16(crc, states(crc * 65537));
	}
	return crc;
}
