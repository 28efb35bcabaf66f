/* The reader of the distributed multiplication: see dmm.h and dmm.c. */
#include "dmm.h"

int main(int argc, char **argv)
{
	dmm d;
	dmm_start(&d, argc, argv);
	dmm_fill(&d);
	warren_barrier(); /* all blocks are there */
	for (uint32_t k = 0; d.inside && k < d.n; k++)
		dmm_read_step(&d, k);
	warren_barrier(); /* all is done */
	return 0;
}
