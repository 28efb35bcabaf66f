/* Where kernels look for it. */
#include "tt/print.h"
