/* Where kernels look for it. */
#include "tt/dataflow.h"
