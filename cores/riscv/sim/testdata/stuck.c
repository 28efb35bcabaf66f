/* Programs that are stuck, or only look as if they were. */
#include <string.h>
#include <warren.h>

int main(int argc, char **argv)
{
	uint32_t rank = warren_rank(), size = warren_size(), x = 0;
	const char *what = argc > 1 ? argv[1] : "";
	warren_cb cb;

	if (!strcmp(what, "pair")) /* each waits for the other */
		return warren_recv(3, &x, sizeof x, NULL);
	if (!strcmp(what, "host")) /* all wait for files, as they say */
		return warren_recv_host(0, &x, sizeof x, NULL);
	if (!strcmp(what, "missing")) { /* the last one is not at the barrier */
		if (rank + 1 == size)
			warren_recv(1, &x, sizeof x, NULL);
		return warren_barrier();
	}
	if (!strcmp(what, "full")) { /* the first fills a buffer that the second waits to be told of */
		warren_cb_make(&cb, 5, 64, 2);
		if (rank)
			return warren_recv(0, &x, sizeof x, NULL);
		for (int i = 0; i < 3; i++) {
			warren_cb_reserve_back(&cb, 1);
			warren_cb_push_back(&cb, 1);
		}
	}
	if (!strcmp(what, "word")) /* waits for a word that another process may write */
		return warren_wait((void *)(uintptr_t)(warren_info(WARREN_SRAM) + 2048), WARREN_NOT_EQUAL, 0);
	if (!strcmp(what, "chat")) /* never stuck, though both often wait */
		for (;;) {
			if (rank == 0)
				warren_send(1, 0, &x, sizeof x);
			warren_recv(0, &x, sizeof x, NULL);
			if (rank == 1)
				warren_send(0, 0, &x, sizeof x);
		}
	if (!strcmp(what, "sleep")) /* nor is who sleeps, or waits for him */
		return rank == 0 ? warren_sleep(2000000000) : warren_recv(0, &x, sizeof x, NULL);
	return 0;
}
