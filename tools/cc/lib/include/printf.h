/* Where programs of Snitch's runtime look for printf. */
#ifndef SNRT_PRINTF_H
#define SNRT_PRINTF_H

#include <stdio.h>

#endif
