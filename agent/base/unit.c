#include "base/unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct unit {
	const char *name;
	uint64_t factor;
};

/* Smallest first: printing takes the last one that leaves no rest. */
static const struct unit durations[] = {
	{ "us", 1 },
	{ "ms", USEC_MS },
	{ "s", USEC_SEC },
	{ "m", 60 * USEC_SEC },
	{ "h", 3600 * USEC_SEC },
	{ "d", 86400 * USEC_SEC },
};
static const struct unit sizes[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "KB", 1000 },
	{ "MB", 1000000 },
	{ "GB", 1000000000 },
	{ "KiB", 1u << 10 },
	{ "MiB", 1u << 20 },
	{ "GiB", 1u << 30 },
};
static const struct unit size_prints[] = { { "", 1 }, { "KiB", 1u << 10 }, { "MiB", 1u << 20 },
	{ "GiB", 1u << 30 } };

static bool with_unit(struct str s, const struct unit *units, size_t n, uint64_t *ret)
{
	size_t digits = 0;
	uint64_t v;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	struct str word = str_trim(str_make(s.p + digits, s.n - digits));
	if (!str_u64(str_make(s.p, digits), &v))
		return false;
	for (size_t i = 0; i < n; i++)
		if (str_ieq(word, str_of(units[i].name)))
			return !__builtin_mul_overflow(v, units[i].factor, ret);
	return false;
}

bool duration_parse(struct str s, usec *ret)
{
	uint64_t v;

	if (!with_unit(s, durations, COUNT(durations), &v) || v == USEC_NEVER)
		return false;
	*ret = v;
	return true;
}

bool size_parse(struct str s, uint64_t *ret)
{
	uint64_t v;

	if (!with_unit(s, sizes, COUNT(sizes), &v))
		return false;
	*ret = v;
	return true;
}

static void unit_text(struct text *t, uint64_t v, const struct unit *units, size_t n)
{
	size_t best = 0;

	for (size_t i = 0; i < n && v; i++)
		if (v % units[i].factor == 0)
			best = i;
	text_u64(t, v / units[best].factor);
	text_addz(t, units[best].name);
}

void duration_text(struct text *t, usec d)
{
	if (d == 0)
		text_addz(t, "0s");
	else
		unit_text(t, d, durations, COUNT(durations));
}

void size_text(struct text *t, uint64_t bytes)
{
	unit_text(t, bytes, size_prints, COUNT(size_prints));
}
