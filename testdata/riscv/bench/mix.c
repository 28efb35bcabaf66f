/*
 * The mix of work that embedded benchmarks such as CoreMark measure: a linked
 * list is sorted and searched, a small matrix multiplied, text run through a
 * state machine, and all of it summed up by a CRC-16. The code is our own.
 *
 *	warren cc -O2 -o mix.elf testdata/riscv/bench/mix.c
 *	mix.elf [REPETITIONS]        on one core, or under qemu-riscv32
 *
 * Prints a checksum. One repetition is about 0.4 million instructions.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint16_t crc16(uint16_t c, uint16_t value)
{
	for (int bit = 0; bit < 16; bit++) {
		uint16_t low = (c ^ value) & 1;
		c >>= 1;
		value >>= 1;
		if (low)
			c ^= 0xa001;
	}
	return c;
}

/* The list. */

enum { NODES = 200 };

struct node {
	struct node *next;
	int16_t key, index;
};

static struct node nodes[NODES];

static struct node *make_list(uint32_t seed)
{
	for (int i = 0; i < NODES; i++) {
		seed = seed * 1103515245u + 12345u;
		nodes[i].key = (int16_t)(seed >> 16 & 0x3ff);
		nodes[i].index = (int16_t)i;
		nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : NULL;
	}
	return nodes;
}

static int by_key(const struct node *a, const struct node *b) { return a->key - b->key; }
static int by_index(const struct node *a, const struct node *b) { return a->index - b->index; }

typedef int order(const struct node *, const struct node *);

/* Merges two sorted lists. */
static struct node *merge(struct node *a, struct node *b, order *less)
{
	struct node head, *tail = &head;
	while (a && b) {
		struct node **from = less(a, b) <= 0 ? &a : &b;
		tail->next = *from;
		tail = *from;
		*from = tail->next;
	}
	tail->next = a ? a : b;
	return head.next;
}

static struct node *sort(struct node *list, order *less)
{
	struct node *slow = list, *fast;
	if (!list || !list->next)
		return list;
	for (fast = list->next; fast && fast->next; fast = fast->next->next)
		slow = slow->next;
	fast = slow->next;
	slow->next = NULL;
	return merge(sort(list, less), sort(fast, less), less);
}

static struct node *reverse(struct node *list)
{
	struct node *done = NULL;
	while (list) {
		struct node *next = list->next;
		list->next = done;
		done = list;
		list = next;
	}
	return done;
}

static uint16_t list_work(uint32_t seed)
{
	struct node *list = sort(make_list(seed), by_key);
	uint16_t c = 0;
	for (int16_t key = 0; key < 64; key++) {
		struct node *n = list;
		while (n && n->key < key * 16)
			n = n->next;
		c = crc16(c, n ? (uint16_t)n->index : 0xffff);
	}
	list = sort(reverse(list), by_index);
	for (int i = 0; i < 10; i++, list = list->next)
		c = crc16(c, (uint16_t)list->key);
	return c;
}

/* The matrix. */

enum { SIDE = 16 };

static uint16_t matrix_work(uint32_t seed)
{
	static int16_t a[SIDE][SIDE], b[SIDE][SIDE];
	static int32_t m[SIDE][SIDE];
	uint16_t c = 0;
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++) {
			a[i][j] = (int16_t)(seed + (uint32_t)(i * j)) % 97;
			b[i][j] = (int16_t)((seed >> 3) + (uint32_t)(i + 3 * j)) % 89;
		}
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++) {
			int32_t sum = 0;
			for (int k = 0; k < SIDE; k++)
				sum += (a[i][k] * b[k][j] >> 2 & 0xf) * (a[i][k] * b[k][j] >> 5 & 0x7f);
			m[i][j] = sum;
		}
	for (int i = 0; i < SIDE; i++)
		c = crc16(c, (uint16_t)(m[i][i] ^ m[i][SIDE - 1 - i]));
	return c;
}

/* The state machine: what kind of number is each word? */

enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, POWER, INVALID, STATES };

static enum state step(enum state s, char ch)
{
	int digit = ch >= '0' && ch <= '9';
	switch (s) {
	case START:
		return digit ? INTEGER : ch == '+' || ch == '-' ? SIGN : ch == '.' ? POINT : INVALID;
	case SIGN:
		return digit ? INTEGER : ch == '.' ? POINT : INVALID;
	case INTEGER:
		return digit ? INTEGER : ch == '.' ? FRACTION : ch == 'e' ? EXPONENT : INVALID;
	case POINT:
	case FRACTION:
		return digit ? FRACTION : ch == 'e' && s == FRACTION ? EXPONENT : INVALID;
	case EXPONENT:
		return digit || ch == '-' ? POWER : INVALID;
	case POWER:
		return digit ? POWER : INVALID;
	default:
		return INVALID;
	}
}

static uint16_t state_work(uint32_t seed)
{
	static const char words[] = "5012,+122,-874,.1e3,-110.700,+0.64400,3e5,-T2,1e-7,9.9.9,T0.3e-1F,77e,+-1,08.5e12,";
	uint32_t count[STATES] = {0};
	uint16_t c = 0;
	char text[sizeof words];
	memcpy(text, words, sizeof words);
	text[seed % (sizeof words - 1)] ^= 3;
	for (int round = 0; round < 8; round++) {
		enum state s = START;
		for (const char *p = text; *p; p++) {
			if (*p == ',') {
				count[s]++;
				s = START;
			} else {
				s = step(s, *p);
			}
		}
	}
	for (int i = 0; i < STATES; i++)
		c = crc16(c, (uint16_t)count[i]);
	return c;
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1;
	uint16_t sum = 0;
	for (uint32_t i = 0; i < n * 2; i++) {
		sum = crc16(sum, list_work(i));
		sum = crc16(sum, matrix_work(i + sum));
		sum = crc16(sum, state_work(i));
	}
	printf("mix %04x\n", sum);
	return 0;
}
