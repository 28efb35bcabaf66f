/*
 * warren.h: what a program says to the machine that warren simulates.
 *
 * A program runs on one or more cores, which number themselves from 0: its
 * ranks. All cores of a tile share the tile's SRAM; each has private memory
 * besides, where a stock program lies. Cores of other tiles are reached over
 * the network-on-chip: by messages, or by writing to, reading from and adding
 * to their memory.
 *
 * Functions return 0 or a value of at least 0, or a negative errno. A core
 * that parks costs nothing while it waits. On any other machine,
 * qemu-riscv32 or the host's own, the calls return -ENOSYS, and a program is
 * rank 0 of 1: what needs no network runs there unmodified.
 *
 * A remote address is a pointer as the other core sees it. Images are alike on
 * all ranks, so the address of a global variable is good everywhere.
 *
 * C99 and C++. Build with "warren cc".
 */
#ifndef WARREN_H
#define WARREN_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers of the runtime's calls. Those of Linux work as well. */
enum {
	WARREN_CALL_INFO = 2000,
	WARREN_CALL_SEND,
	WARREN_CALL_RECV,
	WARREN_CALL_PUT,
	WARREN_CALL_GET,
	WARREN_CALL_ADD,
	WARREN_CALL_FENCE,
	WARREN_CALL_WAIT,
	WARREN_CALL_BARRIER,
	WARREN_CALL_MARK,
	WARREN_CALL_SLEEP,
	WARREN_CALL_MCAST,
	WARREN_CALL_ALLOC,
	WARREN_CALL_CB,
	WARREN_CALL_HOST
};

/* What warren_info can be asked. */
enum {
	WARREN_RANK,         /* this core's number in the program */
	WARREN_SIZE,         /* how many cores the program has */
	WARREN_CORE,         /* this core's number in the machine */
	WARREN_X,            /* this tile's column */
	WARREN_Y,            /* this tile's row */
	WARREN_INDEX,        /* this core's number in its tile */
	WARREN_ROLE,         /* the number of this core's role */
	WARREN_TILE_CORES,   /* how many cores the tile has */
	WARREN_SRAM,         /* where the tile's SRAM begins */
	WARREN_SRAM_SIZE,    /* its bytes */
	WARREN_WIDTH,        /* columns of the machine */
	WARREN_HEIGHT,       /* rows of the machine */
	WARREN_MHZ,          /* the clock */
	WARREN_PRIVATE,      /* where the private memory begins */
	WARREN_PRIVATE_SIZE, /* its bytes */
	WARREN_TILE,         /* this tile's number */
	WARREN_TILES,        /* how many tiles the machine has */
	WARREN_TILE_AT,      /* the tile of a number as a destination, see warren_tile */
	WARREN_TILE_SRAM     /* where the SRAM of the tile of a number begins */
};

/* How warren_wait compares: the word with the value. */
enum {
	WARREN_EQUAL,
	WARREN_NOT_EQUAL,
	WARREN_AT_LEAST, /* unsigned */
	WARREN_BELOW,    /* unsigned */
	WARREN_PASSED    /* a counter that may wrap: (int32_t)(word - value) >= 0 */
};

/* The rank of what is no core: the machine's files. */
#define WARREN_HOST 0xffffffffu

/* The longest message, and the number of a core's channels. */
#define WARREN_MESSAGE 65536u
#define WARREN_CHANNELS 16u

/* One call with up to five arguments. *second gets what register a1 holds
 * afterwards; it may be null. */
static inline uint32_t warren_call(uint32_t number, uintptr_t a, uintptr_t b, uintptr_t c,
	uintptr_t d, uintptr_t e, uint32_t *second)
{
#if defined(__riscv) && __riscv_xlen == 32
	register uintptr_t a0 __asm__("a0") = a;
	register uintptr_t a1 __asm__("a1") = b;
	register uintptr_t a2 __asm__("a2") = c;
	register uintptr_t a3 __asm__("a3") = d;
	register uintptr_t a4 __asm__("a4") = e;
	register uintptr_t a7 __asm__("a7") = number;
	__asm__ volatile("ecall"
		: "+r"(a0), "+r"(a1)
		: "r"(a2), "r"(a3), "r"(a4), "r"(a7)
		: "memory");
	if (second)
		*second = a1;
	return a0;
#else
	(void)number, (void)a, (void)b, (void)c, (void)d, (void)e;
	if (second)
		*second = WARREN_HOST;
	return (uint32_t)-38;
#endif
}

/* Whether the answer of a call is a negative errno. */
static inline int warren_failed(uint32_t answer) { return answer > 0xfffff000u; }

/* An answer as a value, or as a negative number of this C library's errno: the
 * machine's are Linux', and a few differ. */
static inline int warren_answer(uint32_t answer)
{
	switch (answer) {
	case (uint32_t)-38:
		return -ENOSYS;
	case (uint32_t)-90:
		return -EMSGSIZE;
	default:
		return (int)answer;
	}
}

/* An answer of the machine about itself, one of WARREN_RANK ... WARREN_TILES.
 * On other machines: a size of 1, else 0. */
static inline uint32_t warren_info(uint32_t what)
{
	uint32_t answer = warren_call(WARREN_CALL_INFO, what, 0, 0, 0, 0, NULL);
	if (!warren_failed(answer))
		return answer;
	return what == WARREN_SIZE || what == WARREN_TILE_CORES || what == WARREN_WIDTH ||
			what == WARREN_HEIGHT || what == WARREN_TILES;
}

/* Who and where this core is. Each is a call: keep the answer. */
static inline uint32_t warren_rank(void) { return warren_info(WARREN_RANK); }
static inline uint32_t warren_size(void) { return warren_info(WARREN_SIZE); }
static inline uint32_t warren_core(void) { return warren_info(WARREN_CORE); }
static inline uint32_t warren_x(void) { return warren_info(WARREN_X); }
static inline uint32_t warren_y(void) { return warren_info(WARREN_Y); }
static inline uint32_t warren_index(void) { return warren_info(WARREN_INDEX); }
static inline uint32_t warren_role(void) { return warren_info(WARREN_ROLE); }

/* The destination that is a tile, for warren_put, warren_get and warren_add:
 * its SRAM only. */
static inline uint32_t warren_at(uint32_t x, uint32_t y) { return 0x80000000u | y << 12 | x; }

/* The same for the tile of a number, from 0 to WARREN_TILES - 1: they are numbered
 * as the machine's description has them, which need not be row by row. If
 * there is none, it is no destination (-ENXIO). */
static inline uint32_t warren_tile(uint32_t number)
{
	return warren_call(WARREN_CALL_INFO, WARREN_TILE_AT, number, 0, 0, 0, NULL);
}

/* Sends a message of up to WARREN_MESSAGE bytes to a channel (0 to 15) of a
 * rank. Returns when buf may be used again. Messages of one sender to one
 * channel arrive in order. Parks while 16 messages of this core have found no
 * room at their receivers. */
static inline int warren_send(uint32_t rank, uint32_t channel, const void *buf, uint32_t len)
{
	return warren_answer(warren_call(WARREN_CALL_SEND, rank, channel, (uintptr_t)buf, len, 0, NULL));
}

/* Takes the next message of a channel of this core: parks until there is one,
 * copies at most cap bytes of it, the rest is lost, and returns their number.
 * *from gets the sender's rank, or WARREN_HOST; it may be null. */
static inline int warren_recv(uint32_t channel, void *buf, uint32_t cap, uint32_t *from)
{
	return warren_answer(warren_call(WARREN_CALL_RECV, channel, (uintptr_t)buf, cap, 0, 0, from));
}

/* Like warren_recv, for a channel whose messages come from the file chan/N: who
 * parks here waits for people, and the machine calls that no deadlock, also
 * before anybody opened the file. Other cores may send as well. */
static inline int warren_recv_host(uint32_t channel, void *buf, uint32_t cap, uint32_t *from)
{
	return warren_answer(warren_call(WARREN_CALL_RECV, channel, (uintptr_t)buf, cap, 2, 0, from));
}

/* Like warren_recv, but -EAGAIN where that would park. */
static inline int warren_try_recv(uint32_t channel, void *buf, uint32_t cap, uint32_t *from)
{
	return warren_answer(warren_call(WARREN_CALL_RECV, channel, (uintptr_t)buf, cap, 1, 0, from));
}

/* Sends a message to the core's file chan/N, for programs of the host. */
static inline int warren_host(uint32_t channel, const void *buf, uint32_t len)
{
	return warren_answer(warren_call(WARREN_CALL_HOST, channel, (uintptr_t)buf, len, 0, 0, NULL));
}

/* Copies len bytes (up to 1 MiB) from here to memory of a rank, or of a tile.
 * Returns when src may be used again; they have arrived after warren_fence. */
static inline int warren_put(uint32_t to, void *dst, const void *src, uint32_t len)
{
	return warren_answer(warren_call(WARREN_CALL_PUT, to, (uintptr_t)dst, (uintptr_t)src, len, 0, NULL));
}

/* Copies len bytes from memory of a rank, or of a tile, to here. They are here
 * after warren_fence. */
static inline int warren_get(uint32_t from, void *dst, const void *src, uint32_t len)
{
	return warren_answer(warren_call(WARREN_CALL_GET, from, (uintptr_t)src, (uintptr_t)dst, len, 0, NULL));
}

/* Adds to a word of a rank's or a tile's memory, in one step. It is done after
 * warren_fence. */
static inline int warren_add(uint32_t to, void *word, uint32_t value)
{
	return warren_answer(warren_call(WARREN_CALL_ADD, to, (uintptr_t)word, value, 0, 0, NULL));
}

/* The same, but parks until it is done and returns what the word was before. */
static inline uint32_t warren_fetch_add(uint32_t to, void *word, uint32_t value)
{
	return warren_call(WARREN_CALL_ADD, to, (uintptr_t)word, value, 1, 0, NULL);
}

/* Copies len bytes to the same address in the SRAM of each tile of a rectangle,
 * corners included, but this core's own. Returns how many tiles that are. */
static inline int warren_mcast(uint32_t x0, uint32_t y0, uint32_t x1, uint32_t y1, void *dst,
	const void *src, uint32_t len)
{
	return warren_answer(warren_call(WARREN_CALL_MCAST, y0 << 16 | x0, y1 << 16 | x1, (uintptr_t)dst,
		(uintptr_t)src, len, NULL));
}

/* Parks until all puts, gets and adds of this core are done. */
static inline int warren_fence(void)
{
	return warren_answer(warren_call(WARREN_CALL_FENCE, 0, 0, 0, 0, 0, NULL));
}

/* Parks until a word of this core's memory compares to value as op says, and
 * returns the word. A word in SRAM may be changed by the tile's other cores,
 * any word by puts and adds. */
static inline uint32_t warren_wait(const volatile void *word, uint32_t op, uint32_t value)
{
	return warren_call(WARREN_CALL_WAIT, (uintptr_t)word, op, value, 0, 0, NULL);
}

/* Parks until all cores of the program are here. */
static inline int warren_barrier(void)
{
	return warren_answer(warren_call(WARREN_CALL_BARRIER, 0, 0, 0, 0, 0, NULL));
}

/* Parks until all of the program's cores in this tile are here. */
static inline int warren_tile_barrier(void)
{
	return warren_answer(warren_call(WARREN_CALL_BARRIER, 1, 0, 0, 0, 0, NULL));
}

/* Leaves a number where the core's files show it: how far the program is. */
static inline void warren_mark(uint32_t number)
{
	warren_call(WARREN_CALL_MARK, number, 0, 0, 0, 0, NULL);
}

/* Parks for so many cycles. */
static inline int warren_sleep(uint32_t cycles)
{
	return warren_answer(warren_call(WARREN_CALL_SLEEP, cycles, 0, 0, 0, 0, NULL));
}

/* Takes size bytes of the tile's SRAM, at an address that align (a power of
 * two) divides, for good. The name stands in the tile's L1 map. Null if there
 * is no room. */
static inline void *warren_alloc(uint32_t size, uint32_t align, const char *name)
{
	uint32_t at = warren_call(WARREN_CALL_ALLOC, size, align, (uintptr_t)name, 0, 0, NULL);
	return warren_failed(at) ? NULL : (void *)(uintptr_t)at;
}

/* The time of this core in cycles, by the clock of the machine: take differences. */
static inline uint64_t warren_cycles(void)
{
#if defined(__riscv) && __riscv_xlen == 32
	uint32_t low, high, again;
	do {
		__asm__ volatile(".option push\n\t.option arch, +zicsr\n\t"
				 "csrr %0, cycleh\n\tcsrr %1, cycle\n\tcsrr %2, cycleh\n\t"
				 ".option pop"
			: "=r"(high), "=r"(low), "=r"(again));
	} while (high != again);
	return (uint64_t)high << 32 | low;
#else
	return 0;
#endif
}

/*
 * Circular buffers: pages in a tile's SRAM that go from one core of the tile,
 * which reserves and pushes, to one other, which waits and pops.
 *
 * A core makes itself a handle, and all who make one of the same number get the
 * same buffer. Pages that are reserved or waited for together lie in one piece
 * if their number divides that of the buffer, and it is always the same.
 */

/* What all handles share: eight words in SRAM. */
typedef struct {
	uint32_t base;            /* where the pages lie */
	uint32_t page;            /* bytes of a page */
	uint32_t pages;           /* how many there are */
	volatile uint32_t pushed; /* pages pushed since the beginning, modulo 2^32 */
	volatile uint32_t popped; /* pages popped */
	uint32_t reserved[3];
} warren_cb_shared;

typedef struct {
	warren_cb_shared *shared;
	uint32_t page, pages;     /* bytes of a page, and how many there are */
	uint8_t *begin, *end;     /* all pages */
	uint8_t *write, *read;    /* the next page to fill, the next to use */
} warren_cb;

/* Makes a handle of the tile's circular buffer id (0 to 31). The first call in
 * a tile makes the buffer; later ones must ask for the same pages: -EINVAL.
 * -ENOMEM: there is no room. */
static inline int warren_cb_make(warren_cb *cb, uint32_t id, uint32_t page, uint32_t pages)
{
	uint32_t at = warren_call(WARREN_CALL_CB, id, page, pages, 0, 0, NULL);
	if (warren_failed(at))
		return warren_answer(at);
	cb->shared = (warren_cb_shared *)(uintptr_t)at;
	cb->page = page;
	cb->pages = pages;
	cb->begin = (uint8_t *)(uintptr_t)cb->shared->base;
	cb->end = cb->begin + page * pages;
	cb->write = cb->begin + cb->shared->pushed % pages * page;
	cb->read = cb->begin + cb->shared->popped % pages * page;
	return 0;
}

/* Orders this core's own loads and stores. */
static inline void warren_order(void)
{
#if defined(__riscv)
	__asm__ volatile("fence rw, rw" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* Parks until n pages are free, from cb->write on. */
static inline void warren_cb_reserve_back(warren_cb *cb, uint32_t n)
{
	uint32_t least = cb->shared->pushed + n - cb->pages;
	if ((int32_t)(cb->shared->popped - least) < 0)
		warren_wait(&cb->shared->popped, WARREN_PASSED, least);
	warren_order();
}

/* Gives n pages to the reader. */
static inline void warren_cb_push_back(warren_cb *cb, uint32_t n)
{
	warren_order();
	cb->shared->pushed = cb->shared->pushed + n;
	cb->write += n * cb->page;
	if (cb->write >= cb->end)
		cb->write -= cb->page * cb->pages;
}

/* Parks until n pages can be read, from cb->read on. */
static inline void warren_cb_wait_front(warren_cb *cb, uint32_t n)
{
	uint32_t least = cb->shared->popped + n;
	if ((int32_t)(cb->shared->pushed - least) < 0)
		warren_wait(&cb->shared->pushed, WARREN_PASSED, least);
	warren_order();
}

/* Gives n pages back to the writer. */
static inline void warren_cb_pop_front(warren_cb *cb, uint32_t n)
{
	warren_order();
	cb->shared->popped = cb->shared->popped + n;
	cb->read += n * cb->page;
	if (cb->read >= cb->end)
		cb->read -= cb->page * cb->pages;
}

/* Whether n pages are free, or can be read: nothing parks. */
static inline int warren_cb_can_reserve(const warren_cb *cb, uint32_t n)
{
	return (int32_t)(cb->shared->popped - (cb->shared->pushed + n - cb->pages)) >= 0;
}
static inline int warren_cb_can_read(const warren_cb *cb, uint32_t n)
{
	return (int32_t)(cb->shared->pushed - (cb->shared->popped + n)) >= 0;
}

#ifdef __cplusplus
}
#endif

#endif
