#include "control/option_trace.h"

#include "control/option_value.h"
#include "http/trace.h"

#define SHARE_DIGITS 4u /* behind the point: 0.0001% */
#define RATE_MAX 1000000u

/* "12.5" to 125000 parts of a million. */
static bool parts_per_million(struct str s, uint64_t *ret)
{
	size_t point = str_find(s, '.');
	struct str whole = point == SIZE_MAX ? s : str_make(s.p, point), rest = point == SIZE_MAX ? STR("") : str_make(s.p + point + 1, s.n - point - 1);
	uint64_t n = 0, part = 0;

	if (!str_u64(whole, &n) || n > 100 || rest.n > SHARE_DIGITS || (point != SIZE_MAX && !str_u64(rest, &part)))
		return false;
	for (size_t i = rest.n; i < SHARE_DIGITS; i++)
		part *= 10;
	*ret = n * 10000 + part;
	return *ret <= 1000000;
}

bool option_sampler(struct str s, struct sampler_policy *ret)
{
	uint64_t n;

	*ret = (struct sampler_policy){ .kind = SAMPLER_NEVER };
	if (str_ieq(s, STR("never")))
		return true;
	if (str_ieq(s, STR("always"))) {
		ret->kind = SAMPLER_ALWAYS;
		return true;
	}
	if (s.n > 2 && str_ieq(str_make(s.p + s.n - 2, 2), STR("/s")) && str_u64(str_make(s.p, s.n - 2), &n) && n <= RATE_MAX) {
		ret->kind = SAMPLER_RATE;
		ret->rate = (uint32_t)n;
		return true;
	}
	if (s.n < 2 || s.p[s.n - 1] != '%' || !parts_per_million(str_make(s.p, s.n - 1), &n))
		return false;
	ret->kind = n == 1000000 ? SAMPLER_ALWAYS : SAMPLER_SHARE;
	ret->boundary = UINT64_MAX / 1000000 * n;
	return true;
}

bool option_trace_kinds(struct str s, uint8_t order[4])
{
	static const struct { struct str word; uint8_t kind; } rows[] = {
		{ { "b3", 2 }, TRACE_B3 }, { { "b3-multi", 8 }, TRACE_B3_MULTI }, { { "w3c", 3 }, TRACE_W3C },
	};
	struct str item;
	unsigned n = 0, seen = 0;

	memset(order, 0, 4);
	while (option_item_next(&s, &item)) {
		uint8_t kind = 0;
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (str_ieq(item, rows[i].word))
				kind = rows[i].kind;
		if (!kind || seen & kind)
			return false;
		seen |= kind;
		order[n++] = kind;
	}
	return n > 0;
}
