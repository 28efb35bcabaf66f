/*
 * z = a x + y in the style of Snitch's runtime: on each cluster the data mover
 * fetches vectors into the cluster's memory, the compute cores work on a part
 * each, and the data mover takes the result back and checks it.
 *
 *	warren cc -m occamy -O2 -o axpy.elf testdata/riscv/snitch/axpy.c
 *	mkdir procs/axpy
 *	echo "exec $PWD/axpy.elf" >procs/axpy/ctl
 *	printf 'on 0-8\ncores 9\nstart\n' >procs/axpy/ctl      # whole clusters of occamy
 *	cat procs/axpy/wait procs/axpy/stdout
 */
#include <snrt.h>
#include <stdio.h>

enum { L = 1024 };

static double x[L], y[L], z[L];
static const double a = 1.5;

static void axpy(uint32_t n, const double *xs, const double *ys, double *zs)
{
	for (uint32_t i = 0; i < n; i++)
		zs[i] = a * xs[i] + ys[i];
	snrt_fpu_fence();
}

int main(void)
{
	double *local_x = (double *)snrt_l1_alloc(sizeof x);
	double *local_y = (double *)snrt_l1_alloc(sizeof y);
	double *local_z = (double *)snrt_l1_alloc(sizeof z);
	if (!local_x || !local_y || !local_z) {
		fprintf(stderr, "no room in the cluster's memory\n");
		return 2;
	}
	if (snrt_is_dm_core()) {
		for (int i = 0; i < L; i++) {
			x[i] = i;
			y[i] = L - i;
		}
		snrt_dma_start_1d(local_x, x, sizeof x);
		snrt_dma_start_2d(local_y, y, sizeof y / 4, sizeof y / 4, sizeof y / 4, 4);
		snrt_dma_wait_all();
	}
	snrt_cluster_hw_barrier();

	uint32_t began = snrt_mcycle();
	if (snrt_is_compute_core()) {
		uint32_t part = L / snrt_cluster_compute_core_num(), at = snrt_cluster_core_idx() * part;
		axpy(part, local_x + at, local_y + at, local_z + at);
	}
	uint32_t took = snrt_mcycle() - began;
	snrt_cluster_hw_barrier();

	if (snrt_is_compute_core()) {
		fprintf(stderr, "core %u: %u cycles\n", (unsigned)snrt_cluster_core_idx(), (unsigned)took);
		return 0;
	}
	snrt_dma_start_1d(z, local_z, sizeof z);
	snrt_dma_wait_all();
	uint32_t wrong = 0;
	double sum = 0;
	for (int i = 0; i < L; i++) {
		wrong += z[i] != a * i + (L - i);
		sum += z[i];
	}
	printf("cluster %u: sum %.1f, %u wrong\n", (unsigned)snrt_cluster_idx(), sum, (unsigned)wrong);
	return wrong != 0;
}
