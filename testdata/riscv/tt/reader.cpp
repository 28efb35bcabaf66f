/*
 * Adds two vectors of tiles, in the style of TT-Metalium's kernels: this one
 * reads tiles from interleaved buffers, compute.cpp adds them, writer.cpp writes
 * the sums to a third buffer and checks them.
 *
 *	for k in reader:B compute:T1 writer:NC; do
 *		warren cc -m blackhole -O2 -o ${k%:*}.elf testdata/riscv/tt/${k%:*}.cpp
 *	done
 *	mkdir procs/add
 *	words='0x100000 0x120000 0x140000 8 banks=2x2 cb0=2048x2 cb1=2048x2 cb16=2048x2'
 *	echo "exec -on B $PWD/reader.elf $words" >procs/add/ctl
 *	echo "exec -on T1 $PWD/compute.elf $words" >procs/add/ctl
 *	echo "exec -on NC $PWD/writer.elf $words" >procs/add/ctl
 *
 * Runtime arguments: the addresses of the buffers a, b and c in each bank, and
 * how many tiles they have. As no host fills the buffers, the reader does first.
 */
#include "dataflow_api.h"

/* The tile of a number: all its elements are the same small integer, which
 * bfloat16 has exactly. */
static void make_tile(uint32_t addr, float value)
{
	union {
		float f;
		uint32_t bits;
	} u = {value};
	auto p = reinterpret_cast<volatile tt_l1_ptr uint16_t *>(addr);
	for (int i = 0; i < 1024; i++)
		p[i] = static_cast<uint16_t>(u.bits >> 16);
}

static void fill(const InterleavedAddrGenFast<true> &to, uint32_t tiles, float first, float step)
{
	constexpr uint32_t cb = tt::CBIndex::c_0;
	cb_reserve_back(cb, 1);
	for (uint32_t i = 0; i < tiles; i++) {
		make_tile(get_write_ptr(cb), first + step * static_cast<float>(i));
		noc_async_write_tile(i, to, get_write_ptr(cb));
		noc_async_write_barrier();
	}
}

void kernel_main()
{
	const uint32_t a_addr = get_arg_val<uint32_t>(0);
	const uint32_t b_addr = get_arg_val<uint32_t>(1);
	const uint32_t n_tiles = get_arg_val<uint32_t>(3);

	constexpr uint32_t cb_in0 = tt::CBIndex::c_0;
	constexpr uint32_t cb_in1 = tt::CBIndex::c_1;
	const uint32_t tile_bytes = get_tile_size(cb_in0);

	const InterleavedAddrGenFast<true> a = {
		.bank_base_address = a_addr, .page_size = tile_bytes, .data_format = DataFormat::Float16_b};
	const InterleavedAddrGenFast<true> b = {
		.bank_base_address = b_addr, .page_size = tile_bytes, .data_format = DataFormat::Float16_b};
	fill(a, n_tiles, 1, 1);
	fill(b, n_tiles, 10, 2);

	for (uint32_t i = 0; i < n_tiles; i++) {
		cb_reserve_back(cb_in0, 1);
		cb_reserve_back(cb_in1, 1);
		noc_async_read_tile(i, a, get_write_ptr(cb_in0));
		noc_async_read_tile(i, b, get_write_ptr(cb_in1));
		noc_async_read_barrier();
		cb_push_back(cb_in0, 1);
		cb_push_back(cb_in1, 1);
	}
}
