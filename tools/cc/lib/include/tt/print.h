/*
 * The printing of TT-Metalium's kernels, to the core's console:
 * DPRINT << "x = " << x << ENDL() and DEVICE_PRINT("x = {}\n", x).
 */
#ifndef WARREN_TT_PRINT_H
#define WARREN_TT_PRINT_H

#include <cstdint>
#include <stdio.h>

struct ENDL {};
struct HEX {};
struct DEC {};

struct warren_tt_printer {
	mutable bool hex = false;
	const warren_tt_printer &operator<<(const char *s) const { return fputs(s, stdout), *this; }
	const warren_tt_printer &operator<<(char c) const { return putchar(c), *this; }
	const warren_tt_printer &operator<<(float f) const { return printf("%g", static_cast<double>(f)), *this; }
	const warren_tt_printer &operator<<(double f) const { return printf("%g", f), *this; }
	const warren_tt_printer &operator<<(int v) const { return *this << static_cast<long>(v); }
	const warren_tt_printer &operator<<(unsigned v) const { return *this << static_cast<unsigned long>(v); }
	const warren_tt_printer &operator<<(long v) const { return printf(hex ? "%lx" : "%ld", v), *this; }
	const warren_tt_printer &operator<<(unsigned long v) const { return printf(hex ? "%lx" : "%lu", v), *this; }
	const warren_tt_printer &operator<<(long long v) const { return printf(hex ? "%llx" : "%lld", v), *this; }
	const warren_tt_printer &operator<<(unsigned long long v) const { return printf(hex ? "%llx" : "%llu", v), *this; }
	const warren_tt_printer &operator<<(ENDL) const { return putchar('\n'), fflush(stdout), *this; }
	const warren_tt_printer &operator<<(HEX) const { return hex = true, *this; }
	const warren_tt_printer &operator<<(DEC) const { return hex = false, *this; }
};

#define DPRINT (warren_tt_printer())

/* What one of a kernel's cores says: there is one, which says it all. */
#define DPRINT_DATA0(x) x
#define DPRINT_DATA1(x) x
#define DPRINT_UNPACK(x) x
#define DPRINT_MATH(x) x
#define DPRINT_PACK(x) x

/* warren_tt_format prints a text up to its next {}, and returns what is behind. */
inline const char *warren_tt_format(const char *s)
{
	for (; *s && *s != '{'; s++)
		putchar(*s);
	while (*s && *s++ != '}')
		;
	return s;
}

inline void warren_tt_print(const char *s)
{
	fputs(s, stdout);
	fflush(stdout);
}

template <typename T, typename... Rest> inline void warren_tt_print(const char *s, T first, Rest... rest)
{
	s = warren_tt_format(s);
	DPRINT << first;
	warren_tt_print(s, rest...);
}

#define DEVICE_PRINT(...) warren_tt_print(__VA_ARGS__)

#endif
