/*
 * The distributed multiplication as one program for all cores: see dmm.h. In a
 * tile of three or more, the first reads, the second computes, the third
 * writes; in a smaller one its first core does all of it.
 *
 *	warren cc -O2 -o dmm.elf testdata/riscv/dmm/dmm.c
 *	mkdir procs/dmm
 *	echo "exec $PWD/dmm.elf 4 16" >procs/dmm/ctl    # 4 by 4 tiles, blocks of 16 by 16
 *	printf 'kind mesh\ncores 16\nstart\n' >procs/dmm/ctl    # on a mesh=4x4
 *	cat procs/dmm/wait procs/dmm/stdout
 *
 * As kernels for the roles of a machine of tiles, such as blackhole, with the
 * text in the tiles' SRAM; all cores of the tiles take part in the barriers:
 *
 *	for k in reader:B compute:T1 writer:NC idle:T0 idle:T2; do
 *		warren cc -m blackhole -l1 -role ${k#*:} -O2 -o ${k#*:}.elf testdata/riscv/dmm/${k%:*}.c
 *		echo "exec -on ${k#*:} $PWD/${k#*:}.elf 2 32" >>procs/dmm/ctl
 *	done
 *	printf 'on 0-9,70-79\ncores 20\nstart\n' >procs/dmm/ctl    # the tiles 0,0 1,0 0,1 1,1
 */
#include "dmm.h"

/* A tile of too few cores for three kernels. */
static void alone(dmm *d)
{
	for (uint32_t k = 0; k < d->n; k++) {
		dmm_read_step(d, k);
		dmm_compute_step(d, k);
	}
	dmm_write_step(d);
}

int main(int argc, char **argv)
{
	dmm d;
	uint32_t cores = warren_info(WARREN_TILE_CORES), index = warren_index();
	dmm_start(&d, argc, argv);
	if (index == 0)
		dmm_fill(&d);
	warren_barrier();
	if (!d.inside) {
		/* only the barriers */
	} else if (cores < 3) {
		if (index == 0)
			alone(&d);
	} else if (index < 2) {
		for (uint32_t k = 0; k < d.n; k++)
			(index == 0 ? dmm_read_step : dmm_compute_step)(&d, k);
	} else if (index == 2) {
		dmm_write_step(&d);
	}
	warren_barrier();
	return index == (cores < 3 ? 0 : 2) ? dmm_report(&d) : 0;
}
