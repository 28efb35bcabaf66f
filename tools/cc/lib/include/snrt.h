/*
 * The central names of Snitch's runtime, over warren's calls. A tile is a
 * cluster: compute cores, and behind them the one that moves data.
 *
 * Memory of the cluster (L1) is shared by its cores; all else a program has,
 * its variables too, is each core's own, where Snitch has one memory for all
 * (L3). Allocate in L1 what cores share.
 */
#ifndef SNRT_H
#define SNRT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "warren.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who this core is. */

static inline uint32_t snrt_cluster_core_num(void) { return warren_info(WARREN_TILE_CORES); }
static inline uint32_t snrt_cluster_core_idx(void) { return warren_info(WARREN_INDEX); }
static inline uint32_t snrt_cluster_idx(void) { return warren_info(WARREN_TILE); }
static inline uint32_t snrt_cluster_num(void) { return warren_info(WARREN_TILES); }
static inline uint32_t snrt_cluster_dm_core_num(void) { return snrt_cluster_core_num() > 1; }

static inline uint32_t snrt_cluster_compute_core_num(void)
{
	uint32_t n = snrt_cluster_core_num();
	return n > 1 ? n - 1 : n;
}

static inline uint32_t snrt_global_core_idx(void)
{
	return snrt_cluster_idx() * snrt_cluster_core_num() + snrt_cluster_core_idx();
}

static inline uint32_t snrt_global_core_num(void) { return snrt_cluster_num() * snrt_cluster_core_num(); }

static inline uint32_t snrt_global_compute_core_idx(void)
{
	return snrt_cluster_idx() * snrt_cluster_compute_core_num() + snrt_cluster_core_idx();
}

static inline uint32_t snrt_global_compute_core_num(void)
{
	return snrt_cluster_num() * snrt_cluster_compute_core_num();
}

static inline int snrt_is_compute_core(void)
{
	return snrt_cluster_core_idx() < snrt_cluster_compute_core_num();
}

static inline int snrt_is_dm_core(void) { return !snrt_is_compute_core(); }

static inline uint32_t snrt_hartid(void)
{
#if defined(__riscv) && __riscv_xlen == 32
	uint32_t id;
	__asm__ volatile(".option push\n\t.option arch, +zicsr\n\tcsrr %0, mhartid\n\t.option pop" : "=r"(id));
	return id;
#else
	return 0;
#endif
}

/* Barriers. That of a cluster is the read of a register that answers when all
 * of the cluster's cores read it; where there is none, as under qemu, it is a
 * call. */

static inline void snrt_cluster_hw_barrier(void)
{
#if defined(__riscv) && __riscv_xlen == 32
	if (snrt_cluster_core_num() > 1)
		__asm__ volatile(".option push\n\t.option arch, +zicsr\n\tcsrr x0, 0x7c2\n\t.option pop" ::: "memory");
#endif
}

static inline void snrt_global_barrier(void) { warren_barrier(); }

/* Waits for results of the floating-point unit: there is one core for both here. */
static inline void snrt_fpu_fence(void) { __asm__ volatile("" ::: "memory"); }

/* Time. */

static inline uint32_t snrt_mcycle(void) { return (uint32_t)warren_cycles(); }

/* Memory of the cluster. All cores that allocate the same, in the same order,
 * get the same addresses. */

/* How much of L1 the allocator has: what there is, from this many bytes down. */
#ifndef SNRT_L1_BYTES
#define SNRT_L1_BYTES (112u << 10)
#endif

typedef struct {
	uintptr_t next, end;
} warren_snrt_l1;

static inline warren_snrt_l1 *warren_snrt_allocator(void)
{
	static warren_snrt_l1 l1;
	uint32_t size;
	warren_cb all;
	for (size = SNRT_L1_BYTES; !l1.next && size >= 1024; size -= 1024)
		if (warren_cb_make(&all, 31, size, 1) == 0) {
			l1.next = ((uintptr_t)all.begin + 7) & ~(uintptr_t)7;
			l1.end = (uintptr_t)all.end;
		}
	return &l1;
}

/* Where the next allocation will lie. */
static inline void *snrt_l1_next(void) { return (void *)warren_snrt_allocator()->next; }

/* Takes memory of the cluster, of whole eights of bytes, for good; null if
 * there is not enough. */
static inline void *snrt_l1_alloc(size_t size)
{
	warren_snrt_l1 *l1 = warren_snrt_allocator();
	uintptr_t at = l1->next;
	size = (size + 7) & ~(size_t)7;
	if (!at || size > l1->end - at)
		return NULL;
	l1->next = at + size;
	return (void *)at;
}

static inline void *snrt_l1alloc(size_t size) { return snrt_l1_alloc(size); }

/* The same at an address that align divides, a power of two; and for each compute
 * core a piece of its own, when all cores of the cluster ask. */
static inline void *snrt_l1_alloc_cluster_local(size_t size, size_t align)
{
	warren_snrt_l1 *l1 = warren_snrt_allocator();
	uintptr_t at = align > 1 ? (l1->next + align - 1) & ~(uintptr_t)(align - 1) : l1->next;
	if (!l1->next || at > l1->end || size > l1->end - at)
		return NULL;
	l1->next = (at + size + 7) & ~(uintptr_t)7;
	return (void *)at;
}

static inline void *snrt_l1_alloc_compute_core_local(size_t size, size_t align)
{
	size_t step = align > 1 ? (size + align - 1) & ~(align - 1) : size;
	char *all = (char *)snrt_l1_alloc_cluster_local(step * snrt_cluster_compute_core_num(), align);
	return all && snrt_is_compute_core() ? all + step * snrt_cluster_core_idx() : NULL;
}

static inline void snrt_l1_update_next(void *next) { warren_snrt_allocator()->next = (uintptr_t)next; }

/* The clusters' memories as the data mover sees them: those of others lie from
 * SNRT_REMOTE on, one after another. Loads and stores do not reach there. */
#define SNRT_REMOTE 0x20000000u
#define SNRT_CLUSTER_STEP 0x40000u

static inline void *snrt_remote_l1_ptr(void *ptr, uint32_t from, uint32_t to)
{
	uintptr_t offset = (uintptr_t)ptr - warren_info(WARREN_SRAM);
	(void)from;
	return to == snrt_cluster_idx() ? ptr : (void *)(uintptr_t)(SNRT_REMOTE + to * SNRT_CLUSTER_STEP + offset);
}

static inline uint32_t snrt_cluster_base_addrl(void) { return warren_info(WARREN_SRAM); }
static inline uint32_t snrt_cluster_base_addrh(void) { return 0; }

/* A lock among the cores of a cluster: a word in L1, at first 0. */

static inline void snrt_mutex_acquire(volatile uint32_t *lock)
{
#ifdef __riscv_atomic
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		warren_wait(lock, WARREN_EQUAL, 0);
#else
	uint32_t rank = warren_rank();
	while (warren_fetch_add(rank, (void *)(uintptr_t)lock, 1) != 0) {
		warren_fetch_add(rank, (void *)(uintptr_t)lock, (uint32_t)-1);
		warren_wait(lock, WARREN_EQUAL, 0);
	}
#endif
}

static inline void snrt_mutex_ttas_acquire(volatile uint32_t *lock) { snrt_mutex_acquire(lock); }

static inline void snrt_mutex_release(volatile uint32_t *lock)
{
#ifdef __riscv_atomic
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
#else
	warren_fetch_add(warren_rank(), (void *)(uintptr_t)lock, (uint32_t)-1);
#endif
}

/* Transfers: asynchronous, and done after a wait. They are the network's, so
 * from and to this core's own memory, its cluster's, or another cluster's. */

typedef uint32_t snrt_dma_txid_t;

/* What a pointer means to the network: whose memory, and where there. */
static inline uint32_t warren_snrt_whose(const void *ptr, void **there)
{
	uintptr_t at = (uintptr_t)ptr;
	uint32_t cluster;
	*there = (void *)at;
	if (at - SNRT_REMOTE >= snrt_cluster_num() * SNRT_CLUSTER_STEP)
		return warren_rank();
	cluster = (uint32_t)((at - SNRT_REMOTE) / SNRT_CLUSTER_STEP);
	*there = (void *)(uintptr_t)(warren_call(WARREN_CALL_INFO, WARREN_TILE_SRAM, cluster, 0, 0, 0, NULL) +
		(at - SNRT_REMOTE) % SNRT_CLUSTER_STEP);
	return warren_tile(cluster);
}

/* Ends the program, and says why. */
__attribute__((noinline, noreturn, unused)) static void warren_snrt_fail(const void *dst, const void *src, size_t size, int number)
{
	fprintf(stderr, "snrt_dma_start: %lu bytes from %p to %p: %s\n", (unsigned long)size, src, dst,
		number == EXDEV ? "of another cluster, both" : strerror(number));
	abort();
}

static inline snrt_dma_txid_t snrt_dma_start_1d(void *dst, const void *src, size_t size)
{
	void *to, *from;
	uint32_t rank = warren_rank(), whose = warren_snrt_whose(dst, &to), source = warren_snrt_whose(src, &from);
	int r = source == rank ? warren_put(whose, to, from, (uint32_t)size)
		: whose == rank	? warren_get(source, to, from, (uint32_t)size)
				: -EXDEV;
	if (r == -ENOSYS)
		memcpy(dst, src, size);
	else if (r < 0)
		warren_snrt_fail(dst, src, size, -r);
	return 0;
}

/* Rows of size bytes, so many of them, that lie strides apart. */
static inline snrt_dma_txid_t snrt_dma_start_2d(void *dst, const void *src, size_t size,
	size_t dst_stride, size_t src_stride, size_t repeat)
{
	for (; repeat > 0; repeat--) {
		snrt_dma_start_1d(dst, src, size);
		dst = (char *)dst + dst_stride;
		src = (const char *)src + src_stride;
	}
	return 0;
}

static inline void snrt_dma_wait_all(void) { warren_fence(); }
static inline void snrt_dma_wait(snrt_dma_txid_t id) { (void)id, warren_fence(); }

#ifdef __cplusplus
}
#endif

#endif
