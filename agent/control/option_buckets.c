#include "control/option_buckets.h"

#include "control/option_value.h"

#define BOUND_MAX (3600 * USEC_SEC)

bool option_buckets(struct str s, struct duration_bounds *ret)
{
	struct str item;
	usec last = 0, bound;

	*ret = (struct duration_bounds){ 0 };
	while (option_item_next(&s, &item)) {
		if (ret->n == DURATION_BOUNDS_MAX || !duration_parse(item, &bound) || bound <= last || bound > BOUND_MAX)
			return false;
		ret->us[ret->n++] = (uint32_t)bound;
		last = bound;
	}
	for (uint32_t i = ret->n; i < DURATION_BOUNDS_MAX; i++)
		ret->us[i] = UINT32_MAX;
	return ret->n > 0;
}

bool option_buckets_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	struct duration_bounds b;

	(void)row;
	(void)ret;
	(void)why;
	return option_buckets(s, &b);
}
