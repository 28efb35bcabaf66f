/*
 * The central names of TT-Metalium's compute kernels, in software: there three
 * cores and two engines run one kernel, here one core does it all. Tiles are of
 * 32 by 32 elements, kept as four faces of 16 by 16, in pages of 2048 bytes of
 * bfloat16 or of 4096 bytes of IEEE single; arithmetic is of singles.
 */
#ifndef WARREN_TT_COMPUTE_H
#define WARREN_TT_COMPUTE_H

#include <math.h>

#include "tt/dataflow.h"

#define ALWI inline __attribute__((always_inline))

/* Kernels are written as "void kernel_main()", or as
 * "namespace NAMESPACE { void MAIN { ... } }": both are the one that is called. */
#define MAIN kernel_main()
#define NAMESPACE warren_tt_kernel
namespace warren_tt_kernel {
extern "C" void kernel_main(void);
}

/* The destination registers: tiles of singles. */
constexpr uint32_t warren_tt_registers = 8, warren_tt_elements = 1024;
inline float warren_tt_dst[warren_tt_registers][warren_tt_elements];

inline float *warren_tt_register(uint32_t i)
{
	if (i >= warren_tt_registers)
		warren_tt_fail("a destination register past 7", EINVAL);
	return warren_tt_dst[i];
}

inline float warren_tt_single(uint32_t bits)
{
	union {
		uint32_t bits;
		float value;
	} u = {bits};
	return u.value;
}

/* Rounds to the nearest, ties to even. What is no number stays none. */
inline uint16_t warren_tt_bfloat(float f)
{
	union {
		float value;
		uint32_t bits;
	} u = {f};
	if (f != f)
		return static_cast<uint16_t>(u.bits >> 16 | 0x40);
	return static_cast<uint16_t>((u.bits + 0x7fff + (u.bits >> 16 & 1)) >> 16);
}

/* A tile of a circular buffer, counted from the next to read or to write. */
struct warren_tt_tile {
	uint8_t *at;
	bool half;
	float operator[](uint32_t i) const
	{
		return half ? warren_tt_single(static_cast<uint32_t>(reinterpret_cast<uint16_t *>(at)[i]) << 16)
			: reinterpret_cast<float *>(at)[i];
	}
	void set(uint32_t i, float f) const
	{
		if (half)
			reinterpret_cast<uint16_t *>(at)[i] = warren_tt_bfloat(f);
		else
			reinterpret_cast<float *>(at)[i] = f;
	}
};

inline warren_tt_tile warren_tt_tile_of(const warren_cb *cb, uint8_t *next, uint32_t i)
{
	if (cb->page != 2048 && cb->page != 4096)
		warren_tt_fail("a tile of a page of neither 2048 nor 4096 bytes", EINVAL);
	uint8_t *at = next + i * cb->page;
	if (at >= cb->end)
		at -= cb->end - cb->begin;
	return {at, cb->page == 2048};
}

inline warren_tt_tile warren_tt_in(uint32_t cb, uint32_t i)
{
	return warren_tt_tile_of(warren_tt_buffer(cb), warren_tt_buffer(cb)->read, i);
}

/* Where the element of a row and a column lies in a tile. */
constexpr uint32_t warren_tt_place(uint32_t row, uint32_t col)
{
	return (row >> 4) * 512 + (col >> 4) * 256 + (row & 15) * 16 + (col & 15);
}

/* The registers are one core's: nothing is to be waited for. */
inline void tile_regs_acquire()
{
	for (auto &tile : warren_tt_dst)
		for (float &f : tile)
			f = 0;
}
inline void tile_regs_commit() {}
inline void tile_regs_wait() {}
inline void tile_regs_release() {}
inline void acquire_dst() { tile_regs_acquire(); }
inline void release_dst() {}

/* Nothing is to be prepared. */
template <typename... T> inline void compute_kernel_hw_startup(T...) {}
template <typename... T> inline void unary_op_init_common(T...) {}
template <typename... T> inline void binary_op_init_common(T...) {}
template <typename... T> inline void init_sfpu(T...) {}
template <typename... T> inline void add_tiles_init(T...) {}
template <typename... T> inline void sub_tiles_init(T...) {}
template <typename... T> inline void mul_tiles_init(T...) {}
template <typename... T> inline void add_binary_tile_init(T...) {}
template <typename... T> inline void mul_binary_tile_init(T...) {}
template <typename... T> inline void copy_tile_init(T...) {}
template <typename... T> inline void copy_tile_to_dst_init_short(T...) {}
template <typename... T> inline void mm_init(T...) {}
template <typename... T> inline void mm_init_short(T...) {}
template <typename... T> inline void exp_tile_init(T...) {}
template <typename... T> inline void sqrt_tile_init(T...) {}
template <typename... T> inline void recip_tile_init(T...) {}
template <typename... T> inline void relu_tile_init(T...) {}
template <typename... T> inline void pack_reconfig_data_format(T...) {}
template <typename... T> inline void reconfig_data_format(T...) {}

inline void copy_tile(uint32_t cb, uint32_t tile, uint32_t dst)
{
	float *d = warren_tt_register(dst);
	warren_tt_tile a = warren_tt_in(cb, tile);
	for (uint32_t i = 0; i < warren_tt_elements; i++)
		d[i] = a[i];
}

inline void pack_tile(uint32_t dst, uint32_t cb, uint32_t tile)
{
	const float *d = warren_tt_register(dst);
	warren_tt_tile a = warren_tt_tile_of(warren_tt_buffer(cb), warren_tt_buffer(cb)->write, tile);
	for (uint32_t i = 0; i < warren_tt_elements; i++)
		a.set(i, d[i]);
}

/* Tiles packed without a number follow one another in what was reserved. */
inline void pack_tile(uint32_t dst, uint32_t cb)
{
	static struct {
		uint32_t pushed, next;
	} state[WARREN_TT_CBS];
	uint32_t pushed = warren_tt_buffer(cb)->shared->pushed;
	if (state[cb].pushed != pushed) {
		state[cb].pushed = pushed;
		state[cb].next = 0;
	}
	pack_tile(dst, cb, state[cb].next++);
}

template <typename F> inline void warren_tt_both(uint32_t cb0, uint32_t cb1, uint32_t t0, uint32_t t1, uint32_t dst, F f)
{
	float *d = warren_tt_register(dst);
	warren_tt_tile a = warren_tt_in(cb0, t0), b = warren_tt_in(cb1, t1);
	for (uint32_t i = 0; i < warren_tt_elements; i++)
		d[i] = f(a[i], b[i]);
}

inline void add_tiles(uint32_t cb0, uint32_t cb1, uint32_t t0, uint32_t t1, uint32_t dst)
{
	warren_tt_both(cb0, cb1, t0, t1, dst, [](float a, float b) { return a + b; });
}

inline void sub_tiles(uint32_t cb0, uint32_t cb1, uint32_t t0, uint32_t t1, uint32_t dst)
{
	warren_tt_both(cb0, cb1, t0, t1, dst, [](float a, float b) { return a - b; });
}

inline void mul_tiles(uint32_t cb0, uint32_t cb1, uint32_t t0, uint32_t t1, uint32_t dst)
{
	warren_tt_both(cb0, cb1, t0, t1, dst, [](float a, float b) { return a * b; });
}

/* Adds the product of two tiles to a register, which tile_regs_acquire cleared. */
inline void matmul_tiles(uint32_t cb0, uint32_t cb1, uint32_t t0, uint32_t t1, uint32_t dst, uint32_t = 0)
{
	float *d = warren_tt_register(dst);
	warren_tt_tile a = warren_tt_in(cb0, t0), b = warren_tt_in(cb1, t1);
	for (uint32_t row = 0; row < 32; row++)
		for (uint32_t k = 0; k < 32; k++) {
			float f = a[warren_tt_place(row, k)];
			for (uint32_t col = 0; col < 32; col++)
				d[warren_tt_place(row, col)] += f * b[warren_tt_place(k, col)];
		}
}

template <typename F> inline void warren_tt_each(uint32_t dst, F f)
{
	float *d = warren_tt_register(dst);
	for (uint32_t i = 0; i < warren_tt_elements; i++)
		d[i] = f(d[i]);
}

template <bool Approx = false> inline void exp_tile(uint32_t dst) { warren_tt_each(dst, [](float a) { return expf(a); }); }
inline void sqrt_tile(uint32_t dst) { warren_tt_each(dst, [](float a) { return sqrtf(a); }); }
inline void recip_tile(uint32_t dst) { warren_tt_each(dst, [](float a) { return 1 / a; }); }
inline void relu_tile(uint32_t dst) { warren_tt_each(dst, [](float a) { return a > 0 ? a : 0; }); }

inline void add_binary_tile(uint32_t a, uint32_t b, uint32_t dst)
{
	const float *x = warren_tt_register(a), *y = warren_tt_register(b);
	float *d = warren_tt_register(dst);
	for (uint32_t i = 0; i < warren_tt_elements; i++)
		d[i] = x[i] + y[i];
}

inline void mul_binary_tile(uint32_t a, uint32_t b, uint32_t dst)
{
	const float *x = warren_tt_register(a), *y = warren_tt_register(b);
	float *d = warren_tt_register(dst);
	for (uint32_t i = 0; i < warren_tt_elements; i++)
		d[i] = x[i] * y[i];
}

#endif
