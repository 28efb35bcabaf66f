/*
 * What clusters share, in the style of Snitch's runtime: all cores of a cluster
 * count under a lock in its memory, each compute core in a piece of its own as
 * well, and the data mover of the first cluster fetches the next one's count.
 *
 *	warren cc -m occamy -O2 -o lock.elf testdata/riscv/snitch/lock.c
 *	mkdir procs/lock
 *	printf 'exec %s\non 0-17\ncores 18\nstart\n' $PWD/lock.elf >procs/lock/ctl  # two clusters of occamy
 *	cat procs/lock/wait procs/lock/stdout
 */
#include <snrt.h>
#include "printf.h"

struct shared {
	volatile uint32_t lock, count;
};

int main(void)
{
	struct shared *s = (struct shared *)snrt_l1_alloc_cluster_local(sizeof *s, 64);
	uint32_t *own = (uint32_t *)snrt_l1_alloc_compute_core_local(4 * sizeof *own, 32);
	struct shared *next = (struct shared *)snrt_l1_alloc(sizeof *next);
	if (!s || !next || (own == NULL) != snrt_is_dm_core() || (uintptr_t)s % 64 || (uintptr_t)own % 32)
		return 2;
	for (int i = 0; i < 100; i++) {
		snrt_mutex_acquire(&s->lock);
		uint32_t n = s->count;
		for (volatile int wait = 0; wait < 10; wait++)
			;
		s->count = n + 1 + snrt_cluster_idx();
		snrt_mutex_release(&s->lock);
		if (own)
			own[i % 4]++;
	}
	if (own && own[0] + own[1] + own[2] + own[3] != 100)
		return 3;
	snrt_global_barrier();
	if (snrt_is_dm_core() && snrt_cluster_idx() == 0) {
		snrt_dma_start_1d(next, snrt_remote_l1_ptr(s, 0, 1), sizeof *next);
		snrt_dma_wait_all();
		printf("this cluster counted %u, the next %u\n", (unsigned)s->count, (unsigned)next->count);
	}
	snrt_global_barrier();
	return 0;
}
