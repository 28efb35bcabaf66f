/* The writer of the addition: see reader.cpp. */
#include "dataflow_api.h"
#include "debug/dprint.h"

static uint32_t wrong_in(uint32_t addr, float want)
{
	union {
		float f;
		uint32_t bits;
	} u = {want};
	auto p = reinterpret_cast<volatile tt_l1_ptr uint16_t *>(addr);
	uint32_t wrong = 0;
	for (int i = 0; i < 1024; i++)
		wrong += p[i] != u.bits >> 16;
	return wrong;
}

void kernel_main()
{
	const uint32_t c_addr = get_arg_val<uint32_t>(2);
	const uint32_t n_tiles = get_arg_val<uint32_t>(3);
	constexpr uint32_t cb_out0 = tt::CBIndex::c_16;
	const InterleavedAddrGenFast<true> c = {
		.bank_base_address = c_addr, .page_size = get_tile_size(cb_out0), .data_format = DataFormat::Float16_b};

	for (uint32_t i = 0; i < n_tiles; i++) {
		cb_wait_front(cb_out0, 1);
		noc_async_write_tile(i, c, get_read_ptr(cb_out0));
		noc_async_write_barrier();
		cb_pop_front(cb_out0, 1);
	}

	uint32_t wrong = 0;
	for (uint32_t i = 0; i < n_tiles; i++) {
		noc_async_read_tile(i, c, get_read_ptr(cb_out0));
		noc_async_read_barrier();
		wrong += wrong_in(get_read_ptr(cb_out0), 11 + 3 * static_cast<float>(i));
	}
	DPRINT << "added " << n_tiles << " tiles at " << static_cast<uint32_t>(my_x[0]) << ","
	       << static_cast<uint32_t>(my_y[0]) << ", " << wrong << " elements wrong" << ENDL();
}
