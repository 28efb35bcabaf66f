/*
 * What stands behind the headers in the style of TT-Metalium's kernels: what
 * there the host sets up, here the words of the command line do. In any order:
 *
 *	N          the next runtime argument, as C writes numbers
 *	--         those that follow are common runtime arguments
 *	cbN=PxC    circular buffer N (0 to 30) of C pages of P bytes
 *	semN=V     semaphore N (0 to 15) begins with V, not 0
 *	banks=WxH  the banks of interleaved buffers: the tiles of the first W
 *	           columns and H rows (default: all of the grid)
 *
 * All roles of a program are best given the same buffers and semaphores, as
 * these must have the same addresses in all tiles.
 */
#ifndef WARREN_TT_KERNEL_H
#define WARREN_TT_KERNEL_H

#include "warren.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	WARREN_TT_CBS = 31, /* the tile's last circular buffer holds the semaphores */
	WARREN_TT_SEMAPHORES = 16,
	WARREN_TT_SEMAPHORE_STEP = 16, /* bytes from one to the next */
	WARREN_TT_ARGS = 341
};

typedef struct {
	uint32_t args[WARREN_TT_ARGS], common[WARREN_TT_ARGS];
	uint32_t nargs, ncommon;
	uint32_t semaphores; /* where they lie in the tile's SRAM */
	uint32_t x, y;
	uint32_t width, height; /* of the rectangle of tiles that are banks */
	warren_cb cb[WARREN_TT_CBS]; /* shared is null: not made */
} warren_tt_state;

extern warren_tt_state warren_tt;

/* Reads the command line and makes what it says. Returns an exit status: 0, or
 * 2 after it has said what is wrong. */
int warren_tt_start(int argc, char **argv);

/* Ends the program: with what failed, and which number of errno. */
__attribute__((noreturn)) void warren_tt_fail(const char *what, int number);

static inline void warren_tt_check(int answer, const char *what)
{
	if (answer < 0)
		warren_tt_fail(what, -answer);
}

/* The same for a transfer: of so many bytes, there and here. */
__attribute__((noreturn)) void warren_tt_not_moved(const char *what, uint64_t there, uint32_t here, uint32_t size, int number);

static inline void warren_tt_moved(int answer, const char *what, uint64_t there, uint32_t here, uint32_t size)
{
	if (answer < 0)
		warren_tt_not_moved(what, there, here, size, -answer);
}

/* For a runtime argument that there is not, of n. */
__attribute__((noreturn)) void warren_tt_no_argument(int common, uint32_t n, int i);

/* A circular buffer that the command line has made. */
static inline warren_cb *warren_tt_buffer(uint32_t id)
{
	if (id >= WARREN_TT_CBS || !warren_tt.cb[id].shared)
		warren_tt_fail("a circular buffer that no word cbN=PxC makes", EINVAL);
	return &warren_tt.cb[id];
}

/* Of the kernel. */
void kernel_main(void);

#ifdef __cplusplus
}
#endif

#endif
