// A mix like CoreMark's: a linked list that is searched, reversed and sorted,
// small matrices, a state machine over text, and a CRC of it all.
#include "start.h"

struct node {
	struct node *next;
	short value, index;
};

enum { NODES = 120, DIM = 10 };
static struct node nodes[NODES];
static short ma[DIM][DIM], mb[DIM][DIM];
static int mc[DIM][DIM];
static const char text[] = "5012,1.23e+4,-874,+122,hello,-0.5e-3,T0.3e-1F,.5,1e,42,0x7,-110.700,+0.64400,8ab,7,";

static u16 crc16(u32 v, u16 crc)
{
	for (int i = 0; i < 16; i++, v >>= 1) {
		u32 bit = (v ^ crc) & 1;
		crc >>= 1;
		if (bit)
			crc ^= 0xa001;
	}
	return crc;
}

static struct node *reverse(struct node *n)
{
	struct node *before = 0;
	while (n) {
		struct node *next = n->next;
		n->next = before;
		before = n;
		n = next;
	}
	return before;
}

static struct node *find(struct node *n, short value)
{
	while (n && n->value != value)
		n = n->next;
	return n;
}

static int by_value(const struct node *a, const struct node *b)
{
	return a->value - b->value;
}

static int by_index(const struct node *a, const struct node *b)
{
	return a->index - b->index;
}

// sort merges runs of growing length.
__attribute__((noinline)) static struct node *sort(struct node *list, int (*cmp)(const struct node *, const struct node *))
{
	for (int size = 1;; size *= 2) {
		struct node *p = list, *tail = 0;
		int merges = 0;
		list = 0;
		while (p) {
			merges++;
			struct node *q = p;
			int ps = 0, qs = size;
			while (ps < size && q)
				ps++, q = q->next;
			while (ps > 0 || (qs > 0 && q)) {
				struct node *e;
				if (ps == 0 || (qs > 0 && q && cmp(p, q) > 0))
					e = q, q = q->next, qs--;
				else
					e = p, p = p->next, ps--;
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

__attribute__((noinline)) static u16 matrix(u16 crc, int seed)
{
	for (int i = 0; i < DIM; i++)
		for (int j = 0; j < DIM; j++)
			ma[i][j] = seed + i * j, mb[i][j] = i - j + seed;
	for (int i = 0; i < DIM; i++)
		for (int j = 0; j < DIM; j++) {
			int s = 0;
			for (int k = 0; k < DIM; k++) {
				int p = ma[i][k] * mb[k][j];
				s += (p >> 2 & 15) * (p >> 5 & 127);
			}
			mc[i][j] = s;
		}
	int sum = 0, last = 0;
	for (int i = 0; i < DIM; i++)
		for (int j = 0; j < DIM; j++) {
			sum += mc[i][j] > last ? 10 : mc[i][j];
			last = mc[i][j];
		}
	return crc16(sum, crc);
}

enum state { START, SIGN, INT, FLOAT, EXP, SCI, BAD, STATES };

__attribute__((noinline)) static u16 machine(u16 crc)
{
	u32 count[STATES] = {0};
	enum state s = START;
	for (const char *p = text; *p; p++) {
		char c = *p;
		int digit = c >= '0' && c <= '9';
		if (c == ',') {
			count[s]++;
			s = START;
			continue;
		}
		switch (s) {
		case START:
			s = digit ? INT : c == '+' || c == '-' ? SIGN : c == '.' ? FLOAT : BAD;
			break;
		case SIGN:
			s = digit ? INT : c == '.' ? FLOAT : BAD;
			break;
		case INT:
			s = digit ? INT : c == '.' ? FLOAT : c == 'e' ? EXP : BAD;
			break;
		case FLOAT:
			s = digit ? FLOAT : c == 'e' ? EXP : BAD;
			break;
		case EXP:
			s = digit || c == '+' || c == '-' ? SCI : BAD;
			break;
		case SCI:
			s = digit ? SCI : BAD;
			break;
		default:
			break;
		}
	}
	for (int i = 0; i < STATES; i++)
		crc = crc16(count[i], crc);
	return crc;
}

int work(void)
{
	u16 crc = 0;
	for (int i = 0; i < NODES; i++) {
		nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : 0;
		nodes[i].value = i * 37 % 101;
		nodes[i].index = i;
	}
	struct node *list = nodes;
	for (int round = 0; round < 6000; round++) {
		for (int i = 0; i < 30; i++) {
			struct node *n = find(list, (round + i) % 110);
			if (n)
				crc = crc16(n->index, crc);
			if (i % 8 == 0)
				list = reverse(list);
		}
		list = sort(list, by_value);
		crc = crc16(list->index, crc);
		list = sort(list, by_index);
		crc = matrix(crc, round & 15);
		crc = machine(crc);
	}
	return crc;
}
