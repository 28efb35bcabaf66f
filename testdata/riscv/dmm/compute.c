/* The compute core of the distributed multiplication: see dmm.h and dmm.c. */
#include "dmm.h"

int main(int argc, char **argv)
{
	dmm d;
	dmm_start(&d, argc, argv);
	warren_barrier();
	for (uint32_t k = 0; d.inside && k < d.n; k++)
		dmm_compute_step(&d, k);
	warren_barrier();
	return 0;
}
