/* Where kernels look for it. */
#include "tt/compute.h"
