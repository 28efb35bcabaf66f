/*
 * The central names of TT-Metalium's data movement kernels, over warren's calls.
 *
 * Coordinates are warren's: one pair for each tile, whichever network. There
 * are no DRAM banks of their own: a bank is the SRAM of a tile, bank 0 at 0,0
 * and so on along the rows of the grid, or of the rectangle that the word
 * banks=WxH names; pages of an interleaved buffer go round the banks.
 * A transfer that cannot be ends the program with a message.
 */
#ifndef WARREN_TT_DATAFLOW_H
#define WARREN_TT_DATAFLOW_H

#include <cstdint>

#include "tt/kernel.h"
#include "tt/print.h"

#define tt_l1_ptr
#define tt_reg_ptr
#define FORCE_INLINE inline __attribute__((always_inline))

constexpr uint32_t INVALID = 0, VALID = 1;
constexpr uint32_t NUM_CIRCULAR_BUFFERS = WARREN_TT_CBS;
constexpr uint8_t noc_index = 0;

extern "C" uint8_t my_x[2], my_y[2];

namespace tt {
enum CBIndex : uint8_t {
	c_0, c_1, c_2, c_3, c_4, c_5, c_6, c_7, c_8, c_9, c_10, c_11, c_12, c_13, c_14, c_15,
	c_16, c_17, c_18, c_19, c_20, c_21, c_22, c_23, c_24, c_25, c_26, c_27, c_28, c_29, c_30
};
enum CB : uint8_t {
	c_in0, c_in1, c_in2, c_in3, c_in4, c_in5, c_in6, c_in7,
	c_out0 = 16, c_out1, c_out2, c_out3, c_out4, c_out5, c_out6, c_out7,
	c_intermed0 = 24, c_intermed1, c_intermed2, c_intermed3, c_intermed4, c_intermed5, c_intermed6
};
}

/* The formats that the compute kernels know. */
enum class DataFormat : uint8_t { Float32 = 0, Float16_b = 5, Invalid = 255 };

/* Arguments. Those of run time are words of the command line, see tt/kernel.h;
 * those of compile time are -DKERNEL_COMPILE_TIME_ARGS=N,N... */

inline uint32_t warren_tt_argument(const uint32_t *args, uint32_t n, int i)
{
	if (i < 0 || static_cast<uint32_t>(i) >= n)
		warren_tt_no_argument(args == warren_tt.common, n, i);
	return args[i];
}

template <typename T> inline T get_arg_val(int i)
{
	static_assert(sizeof(T) == 4, "arguments are words");
	union {
		uint32_t word;
		T value;
	} u = {warren_tt_argument(warren_tt.args, warren_tt.nargs, i)};
	return u.value;
}

template <typename T> inline T get_common_arg_val(int i)
{
	static_assert(sizeof(T) == 4, "arguments are words");
	union {
		uint32_t word;
		T value;
	} u = {warren_tt_argument(warren_tt.common, warren_tt.ncommon, i)};
	return u.value;
}

inline uint32_t get_arg_addr(int i) { return reinterpret_cast<uintptr_t>(&warren_tt.args[i]); }
inline uint32_t get_common_arg_addr(int i) { return reinterpret_cast<uintptr_t>(&warren_tt.common[i]); }

#ifdef KERNEL_COMPILE_TIME_ARGS
constexpr uint32_t kernel_compile_time_args[] = {KERNEL_COMPILE_TIME_ARGS};
#define get_compile_time_arg_val(i) (kernel_compile_time_args[i])
#else
template <int I> struct warren_tt_compile_time {
	static_assert(I < 0, "arguments of compile time are given as: warren cc -DKERNEL_COMPILE_TIME_ARGS=N,N...");
	static constexpr uint32_t value = 0;
};
#define get_compile_time_arg_val(i) (warren_tt_compile_time<(i)>::value)
#endif

inline uint32_t get_absolute_logical_x() { return warren_tt.x; }
inline uint32_t get_absolute_logical_y() { return warren_tt.y; }

/* Circular buffers. */

inline void cb_reserve_back(uint32_t cb, uint32_t pages) { warren_cb_reserve_back(warren_tt_buffer(cb), pages); }
inline void cb_push_back(uint32_t cb, uint32_t pages) { warren_cb_push_back(warren_tt_buffer(cb), pages); }
inline void cb_wait_front(uint32_t cb, uint32_t pages) { warren_cb_wait_front(warren_tt_buffer(cb), pages); }
inline void cb_pop_front(uint32_t cb, uint32_t pages) { warren_cb_pop_front(warren_tt_buffer(cb), pages); }

inline bool cb_pages_reservable_at_back(uint32_t cb, uint32_t pages)
{
	return warren_cb_can_reserve(warren_tt_buffer(cb), pages);
}

inline bool cb_pages_available_at_front(uint32_t cb, uint32_t pages)
{
	return warren_cb_can_read(warren_tt_buffer(cb), pages);
}

inline uint32_t get_write_ptr(uint32_t cb) { return reinterpret_cast<uintptr_t>(warren_tt_buffer(cb)->write); }
inline uint32_t get_read_ptr(uint32_t cb) { return reinterpret_cast<uintptr_t>(warren_tt_buffer(cb)->read); }
inline uint32_t get_tile_size(uint32_t cb) { return warren_tt_buffer(cb)->page; }

inline DataFormat get_dataformat(uint32_t cb)
{
	switch (get_tile_size(cb)) {
	case 2048: return DataFormat::Float16_b;
	case 4096: return DataFormat::Float32;
	default: return DataFormat::Invalid;
	}
}

/* Addresses on the network: a tile, or a rectangle of tiles, and an address in
 * their SRAM. */

inline uint64_t get_noc_addr(uint32_t x, uint32_t y, uint32_t addr, uint8_t = 0)
{
	return static_cast<uint64_t>(warren_at(x, y)) << 32 | addr;
}

inline uint64_t get_noc_addr(uint32_t addr, uint8_t = 0) { return get_noc_addr(warren_tt.x, warren_tt.y, addr); }

inline uint64_t get_noc_multicast_addr(uint32_t x0, uint32_t y0, uint32_t x1, uint32_t y1, uint32_t addr, uint8_t = 0)
{
	return static_cast<uint64_t>(x0 << 24 | y0 << 16 | x1 << 8 | y1) << 32 | addr;
}

template <bool DRAM> inline uint64_t get_noc_addr_from_bank_id(uint32_t bank, uint32_t addr, uint8_t = 0)
{
	return get_noc_addr(bank % warren_tt.width, bank / warren_tt.width % warren_tt.height, addr);
}

/* Transfers. */

inline void *warren_tt_pointer(uint64_t addr) { return reinterpret_cast<void *>(static_cast<uintptr_t>(addr)); }

inline void noc_async_read(uint64_t from, uint32_t to, uint32_t size, uint8_t = 0)
{
	warren_tt_moved(warren_get(from >> 32, warren_tt_pointer(to), warren_tt_pointer(from), size), "noc_async_read", from, to, size);
}

inline void noc_async_write(uint32_t from, uint64_t to, uint32_t size, uint8_t = 0)
{
	warren_tt_moved(warren_put(to >> 32, warren_tt_pointer(to), warren_tt_pointer(from), size), "noc_async_write", to, from, size);
}

inline void noc_async_read_one_packet(uint64_t from, uint32_t to, uint32_t size, uint8_t = 0) { noc_async_read(from, to, size); }
inline void noc_async_write_one_packet(uint32_t from, uint64_t to, uint32_t size, uint8_t = 0) { noc_async_write(from, to, size); }

/* To all tiles of the rectangle but this one. */
inline void noc_async_write_multicast(uint32_t from, uint64_t to, uint32_t size, uint32_t, bool = false, uint8_t = 0)
{
	uint32_t r = to >> 32;
	warren_tt_moved(warren_mcast(r >> 24, r >> 16 & 255, r >> 8 & 255, r & 255, warren_tt_pointer(to),
		warren_tt_pointer(from), size), "noc_async_write_multicast", to, from, size);
}

/* To this tile as well. */
inline void noc_async_write_multicast_loopback_src(uint32_t from, uint64_t to, uint32_t size, uint32_t n, bool = false, uint8_t = 0)
{
	noc_async_write_multicast(from, to, size, n);
	noc_async_write(from, get_noc_addr(static_cast<uint32_t>(to)), size);
}

inline void noc_inline_dw_write(uint64_t to, uint32_t value, uint8_t = 0xf, uint8_t = 0)
{
	warren_tt_moved(warren_put(to >> 32, warren_tt_pointer(to), &value, sizeof value), "noc_inline_dw_write", to, 0, sizeof value);
}

inline void noc_async_read_barrier(uint8_t = 0) { warren_fence(); }
inline void noc_async_write_barrier(uint8_t = 0) { warren_fence(); }
inline void noc_async_atomic_barrier(uint8_t = 0) { warren_fence(); }
inline void noc_async_full_barrier(uint8_t = 0) { warren_fence(); }
inline void noc_async_writes_flushed(uint8_t = 0) {} /* a write has left when it returns */

/* Semaphores: words of SRAM, at the same address in all tiles. */

template <typename T = void> inline uint32_t get_semaphore(uint32_t id)
{
	if (id >= WARREN_TT_SEMAPHORES)
		warren_tt_fail("a semaphore past 15", EINVAL);
	return warren_tt.semaphores + id * WARREN_TT_SEMAPHORE_STEP;
}

inline void noc_semaphore_inc(uint64_t to, uint32_t by, uint8_t = 0)
{
	warren_tt_moved(warren_add(to >> 32, warren_tt_pointer(to), by), "noc_semaphore_inc", to, 0, sizeof by);
}

inline void noc_semaphore_set(volatile uint32_t *sem, uint32_t value)
{
	warren_order();
	*sem = value;
}

inline void noc_semaphore_wait(volatile uint32_t *sem, uint32_t value)
{
	if (*sem != value)
		warren_wait(sem, WARREN_EQUAL, value);
	warren_order();
}

inline void noc_semaphore_wait_min(volatile uint32_t *sem, uint32_t value)
{
	if (*sem < value)
		warren_wait(sem, WARREN_AT_LEAST, value);
	warren_order();
}

/* These carry the word at from, and come behind what was written before. */
inline void noc_semaphore_set_remote(uint32_t from, uint64_t to, uint8_t = 0)
{
	warren_fence();
	noc_async_write(from, to, sizeof(uint32_t));
}

inline void noc_semaphore_set_multicast(uint32_t from, uint64_t to, uint32_t n, bool = false, uint8_t = 0)
{
	warren_fence();
	noc_async_write_multicast(from, to, sizeof(uint32_t), n);
}

/* Interleaved buffers: page i lies in bank i modulo the number of banks. */

template <bool DRAM> struct InterleavedAddrGen {
	uint32_t bank_base_address;
	uint32_t page_size;
	DataFormat data_format = DataFormat::Invalid;

	uint64_t get_noc_addr(uint32_t page, uint32_t offset = 0, uint8_t = 0) const
	{
		uint32_t banks = warren_tt.width * warren_tt.height;
		return get_noc_addr_from_bank_id<true>(page % banks, bank_base_address + page / banks * page_size + offset);
	}
};

template <bool DRAM> using InterleavedAddrGenFast = InterleavedAddrGen<DRAM>;

/* Takes no compile time arguments here, as all buffers are interleaved. */
template <uint32_t First, uint32_t CommonFirst = 0> struct TensorAccessorArgs {
	static constexpr uint32_t next_compile_time_args_offset() { return First; }
	static constexpr uint32_t next_common_runtime_args_offset() { return CommonFirst; }
};

#ifndef WARREN_PAGE
#define WARREN_PAGE 2048 /* of a TensorAccessor that is not told */
#endif

struct TensorAccessor : InterleavedAddrGen<true> {
	template <typename Args>
	constexpr TensorAccessor(const Args &, uint32_t base, uint32_t page = WARREN_PAGE) : InterleavedAddrGen<true>{base, page} {}
};

template <typename Gen>
inline auto get_noc_addr(uint32_t page, const Gen &gen, uint32_t offset = 0, uint8_t = 0) -> decltype(gen.get_noc_addr(page, offset))
{
	return gen.get_noc_addr(page, offset);
}

template <typename Gen> inline void noc_async_read_page(uint32_t page, const Gen &gen, uint32_t to, uint32_t offset = 0, uint8_t = 0)
{
	noc_async_read(gen.get_noc_addr(page, offset), to, gen.page_size - offset);
}

template <typename Gen> inline void noc_async_write_page(uint32_t page, const Gen &gen, uint32_t from, uint32_t = 0, uint32_t offset = 0, uint8_t = 0)
{
	noc_async_write(from, gen.get_noc_addr(page, offset), gen.page_size - offset);
}

template <typename Gen> inline void noc_async_read_tile(uint32_t page, const Gen &gen, uint32_t to, uint32_t offset = 0, uint8_t = 0)
{
	noc_async_read_page(page, gen, to, offset);
}

template <typename Gen> inline void noc_async_write_tile(uint32_t page, const Gen &gen, uint32_t from, uint8_t = 0)
{
	noc_async_write_page(page, gen, from);
}

/* Waypoints: up to four characters, as a mark. */
#define WAYPOINT(text) warren_mark(warren_tt_waypoint(text))
template <uint32_t N> constexpr uint32_t warren_tt_waypoint(const char (&s)[N])
{
	static_assert(N <= 5, "a waypoint is of up to four characters");
	uint32_t word = 0;
	for (uint32_t i = 0; i + 1 < N; i++)
		word |= static_cast<uint32_t>(static_cast<uint8_t>(s[i])) << 8 * i;
	return word;
}

#endif
