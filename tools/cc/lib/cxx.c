/*
 * What C++ needs where there is no library of it: memory for new, guards of
 * local variables (one thread runs), and the end of a call that cannot be.
 * Exceptions and the types of run time are not had.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define WEAK __attribute__((weak))

void *warren_new(size_t size) __asm__("_Znwj") WEAK;
void *warren_new_array(size_t size) __asm__("_Znaj") WEAK;
void warren_delete(void *p) __asm__("_ZdlPv") WEAK;
void warren_delete_sized(void *p, size_t size) __asm__("_ZdlPvj") WEAK;
void warren_delete_array(void *p) __asm__("_ZdaPv") WEAK;
void warren_delete_array_sized(void *p, size_t size) __asm__("_ZdaPvj") WEAK;
void warren_pure(void) __asm__("__cxa_pure_virtual") WEAK;
int warren_guard_acquire(uint8_t *done) __asm__("__cxa_guard_acquire") WEAK;
void warren_guard_release(uint8_t *done) __asm__("__cxa_guard_release") WEAK;

void *warren_new(size_t size)
{
	void *p = malloc(size ? size : 1);
	if (!p)
		abort();
	return p;
}

void *warren_new_array(size_t size) { return warren_new(size); }
void warren_delete(void *p) { free(p); }
void warren_delete_sized(void *p, size_t size) { (void)size, free(p); }
void warren_delete_array(void *p) { free(p); }
void warren_delete_array_sized(void *p, size_t size) { (void)size, free(p); }
void warren_pure(void) { abort(); }
int warren_guard_acquire(uint8_t *done) { return !*done; }
void warren_guard_release(uint8_t *done) { *done = 1; }

/* What destructors of globals are known by to __cxa_atexit. */
WEAK void *__dso_handle;
