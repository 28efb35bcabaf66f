/* The writer of the distributed multiplication: see dmm.h and dmm.c. */
#include "dmm.h"

int main(int argc, char **argv)
{
	dmm d;
	dmm_start(&d, argc, argv);
	warren_barrier();
	if (d.inside)
		dmm_write_step(&d);
	warren_barrier();
	return dmm_report(&d);
}
