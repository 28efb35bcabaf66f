/* What the cores run that the distributed multiplication has no work for. */
#include <warren.h>

int main(void)
{
	warren_barrier();
	warren_barrier();
	return 0;
}
