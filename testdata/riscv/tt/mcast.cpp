/*
 * A multicast with semaphores, in the style of TT-Metalium's kernels: one tile
 * sends a page to a rectangle of tiles when all of them are ready, and they
 * check it and say so.
 *
 *	warren cc -m blackhole -O2 -o mcast.elf testdata/riscv/tt/mcast.cpp
 *	mkdir procs/cast
 *	echo "exec -on B $PWD/mcast.elf 0 0 3 2 cb0=1024x1" >procs/cast/ctl
 *
 * Runtime arguments: the corners of the rectangle, whose first tile sends. One
 * core of each of its tiles runs this.
 */
#include "dataflow_api.h"
#include "debug/dprint.h"

enum { READY, SENT, DONE }; /* semaphores */

static uint8_t element(uint32_t i) { return static_cast<uint8_t>(i * 37 + 11); }

void kernel_main()
{
	const uint32_t x0 = get_arg_val<uint32_t>(0), y0 = get_arg_val<uint32_t>(1);
	const uint32_t x1 = get_arg_val<uint32_t>(2), y1 = get_arg_val<uint32_t>(3);
	const uint32_t num_dests = (x1 - x0 + 1) * (y1 - y0 + 1) - 1;
	constexpr uint32_t cb = tt::CBIndex::c_0;
	const uint32_t page = get_tile_size(cb), addr = get_write_ptr(cb);
	auto data = reinterpret_cast<volatile tt_l1_ptr uint8_t *>(addr);
	auto ready = reinterpret_cast<volatile tt_l1_ptr uint32_t *>(get_semaphore(READY));
	auto sent = reinterpret_cast<volatile tt_l1_ptr uint32_t *>(get_semaphore(SENT));
	auto done = reinterpret_cast<volatile tt_l1_ptr uint32_t *>(get_semaphore(DONE));

	if (my_x[0] == x0 && my_y[0] == y0) {
		for (uint32_t i = 0; i < page; i++)
			data[i] = element(i);
		noc_semaphore_wait(ready, num_dests);
		noc_semaphore_set(ready, 0);
		noc_async_write_multicast(addr, get_noc_multicast_addr(x0, y0, x1, y1, addr), page, num_dests);
		*sent = VALID;
		noc_semaphore_set_multicast(get_semaphore(SENT), get_noc_multicast_addr(x0, y0, x1, y1, get_semaphore(SENT)), num_dests);
		noc_async_write_barrier();
		noc_semaphore_wait(done, num_dests);
		DPRINT << "multicast of " << page << " bytes to " << num_dests << " tiles: all have it" << ENDL();
		return;
	}
	noc_semaphore_inc(get_noc_addr(x0, y0, get_semaphore(READY)), 1);
	noc_semaphore_wait(sent, VALID);
	uint32_t wrong = 0;
	for (uint32_t i = 0; i < page; i++)
		wrong += data[i] != element(i);
	if (wrong) {
		DPRINT << wrong << " bytes are wrong" << ENDL();
		return;
	}
	noc_semaphore_inc(get_noc_addr(x0, y0, get_semaphore(DONE)), 1);
	noc_async_atomic_barrier();
}
