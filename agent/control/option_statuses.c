/* Statuses and ranges of them (option_value.h). */
#include "control/option_value.h"

bool option_statuses(struct str s, int *low, int *high)
{
	size_t dash = str_find(s, '-');
	struct str first = dash == SIZE_MAX ? s : str_make(s.p, dash),
		   last = dash == SIZE_MAX ? s : str_make(s.p + dash + 1, s.n - dash - 1);
	uint64_t from, to;

	if (!str_u64(first, &from) || !str_u64(last, &to) || from < 100 || to > 599 || from > to)
		return false;
	*low = (int)from;
	*high = (int)to;
	return true;
}

bool option_statuses_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	int low, high;

	(void)row;
	(void)ret;
	return option_statuses(s, &low, &high) || err_set(why, "statuses are 100 to 599");
}
