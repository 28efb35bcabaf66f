/*
 * What every program begins with, and what the C library calls: it is linked
 * in by "warren cc". It speaks Linux' numbers of calls, so that it serves under
 * qemu-riscv32 as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "warren.h"

/* A program may have functions of these names. */
#define WEAK __attribute__((weak))

enum {
	CALL_CLOSE = 57,
	CALL_LSEEK = 62,
	CALL_READ = 63,
	CALL_WRITE = 64,
	CALL_EXIT = 93,
	CALL_EXIT_GROUP = 94,
	CALL_BRK = 214,
	CALL_CLOCK = 403
};

/* At entry sp points to argc, argv, 0, environment, 0, as on Linux. */
__asm__(".section .text.start, \"ax\", @progbits\n"
	".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	".cfi_startproc\n"
	".cfi_undefined ra\n"
	".option push\n"
	".option norelax\n"
	"	la gp, __global_pointer$\n"
	".option pop\n"
	"	la tp, __tls_start\n"
	"	li s0, 0\n"
	"	mv a0, sp\n"
	"	andi sp, sp, -16\n"
	"	call warren_start\n"
	"	ebreak\n"
	".cfi_endproc\n"
	".size _start, . - _start\n"
	".text\n");

int main(int argc, char **argv, char **envp);
void __libc_init_array(void);
void _init(void);
void _fini(void);
_Noreturn void warren_start(uint32_t *sp);

char **environ;

void _init(void) {}
void _fini(void) {}

void warren_start(uint32_t *sp)
{
	int argc = (int)sp[0];
	char **argv = (char **)(uintptr_t)(sp + 1);
	environ = argv + argc + 1;
	__libc_init_array();
	exit(main(argc, argv, environ));
}

static int linux_call(uint32_t number, uintptr_t a, uintptr_t b, uintptr_t c)
{
	uint32_t r = warren_call(number, a, b, c, 0, 0, NULL);
	if (warren_failed(r)) {
		errno = -warren_answer(r);
		return -1;
	}
	return (int)r;
}

WEAK ssize_t read(int fd, void *buf, size_t n) { return linux_call(CALL_READ, (uintptr_t)fd, (uintptr_t)buf, n); }

WEAK ssize_t write(int fd, const void *buf, size_t n)
{
	return linux_call(CALL_WRITE, (uintptr_t)fd, (uintptr_t)buf, n);
}

WEAK int close(int fd) { return linux_call(CALL_CLOSE, (uintptr_t)fd, 0, 0); }

WEAK int isatty(int fd) { return fd >= 0 && fd <= 2; }

WEAK int open(const char *name, int flags, ...)
{
	(void)name, (void)flags;
	errno = ENOSYS;
	return -1;
}

WEAK off_t lseek(int fd, off_t offset, int whence)
{
	(void)fd, (void)offset, (void)whence;
	errno = ESPIPE;
	return -1;
}

/* The heap lies between the program and the stack; the machine keeps its end. */
WEAK void *sbrk(ptrdiff_t by)
{
	static uintptr_t top;
	uintptr_t old, want;
	if (!top)
		top = warren_call(CALL_BRK, 0, 0, 0, 0, 0, NULL);
	old = top;
	want = old + (uintptr_t)by;
	if (by && warren_call(CALL_BRK, want, 0, 0, 0, 0, NULL) != want) {
		errno = ENOMEM;
		return (void *)-1;
	}
	top = want;
	return (void *)old;
}

WEAK int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	int64_t t[2] = {0, 0};
	(void)zone;
	if (linux_call(CALL_CLOCK, 0, (uintptr_t)t, 0) < 0)
		return -1;
	tv->tv_sec = (time_t)t[0];
	tv->tv_usec = (suseconds_t)((uint32_t)t[1] / 1000);
	return 0;
}

/* Standard streams. Output goes out at the end of a line, when the buffer is
 * full, before the program waits for input, and at the end. */

typedef struct {
	FILE file;
	int fd;
	unsigned at, have;
	char buf[256];
} stream;

static int flush(FILE *f)
{
	stream *s = (stream *)f;
	unsigned done = 0;
	while (done < s->at) {
		ssize_t n = write(s->fd, s->buf + done, s->at - done);
		if (n <= 0) {
			s->at = 0;
			return EOF;
		}
		done += (unsigned)n;
	}
	s->at = 0;
	return 0;
}

static int put(char c, FILE *f)
{
	stream *s = (stream *)f;
	s->buf[s->at++] = c;
	if (c == '\n' || s->at == sizeof s->buf)
		return flush(f) ? _FDEV_ERR : (unsigned char)c;
	return (unsigned char)c;
}

static stream out = {FDEV_SETUP_STREAM(put, NULL, flush, _FDEV_SETUP_WRITE), 1, 0, 0, {0}};
static stream err = {FDEV_SETUP_STREAM(put, NULL, flush, _FDEV_SETUP_WRITE), 2, 0, 0, {0}};

static int get(FILE *f)
{
	stream *s = (stream *)f;
	if (s->at == s->have) {
		ssize_t n;
		flush(&out.file);
		n = read(s->fd, s->buf, sizeof s->buf);
		s->at = s->have = 0;
		if (n <= 0)
			return n < 0 ? _FDEV_ERR : _FDEV_EOF;
		s->have = (unsigned)n;
	}
	return (unsigned char)s->buf[s->at++];
}

static stream in = {FDEV_SETUP_STREAM(NULL, get, NULL, _FDEV_SETUP_READ), 0, 0, 0, {0}};

FILE *const stdin = &in.file;
FILE *const stdout = &out.file;
FILE *const stderr = &err.file;

/* Some picolibcs lose a last line that has no newline. */
char *fgets(char *restrict line, int n, FILE *restrict f)
{
	int c = 0, i = 0;
	while (i < n - 1 && c != '\n' && (c = getc(f)) != EOF)
		line[i++] = (char)c;
	if (n < 1 || i == 0)
		return NULL;
	line[i] = 0;
	return line;
}

/* exit ends this core; the program's other cores run on. */
_Noreturn void _exit(int status)
{
	flush(&out.file);
	flush(&err.file);
	for (;;)
		warren_call(CALL_EXIT, (uintptr_t)status, 0, 0, 0, 0, NULL);
}

/* abort ends all cores of the program, with the status of SIGABRT. */
_Noreturn void abort(void)
{
	flush(&out.file);
	flush(&err.file);
	for (;;)
		warren_call(CALL_EXIT_GROUP, 134, 0, 0, 0, 0, NULL);
}

int kill(pid_t pid, int sig);
WEAK int kill(pid_t pid, int sig)
{
	(void)pid, (void)sig;
	errno = ENOSYS;
	return -1;
}

WEAK pid_t getpid(void) { return 1; }
