/* Statuses, ranges and classes of them, and lists of these (option_value.h). */
#include "control/option_value.h"
#include "proxy/spec.h"

bool option_statuses(struct str s, int *low, int *high)
{
	if (s.n == 3 && s.p[0] >= '1' && s.p[0] <= '5' && str_ieq(str_make(s.p + 1, 2), STR("xx"))) {
		*low = (s.p[0] - '0') * 100;
		*high = *low + 99;
		return true;
	}
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

bool option_status_set(struct str s, struct status_set *ret)
{
	struct str item;
	int low, high;
	unsigned n = 0;

	memset(ret, 0, sizeof(*ret));
	while (option_item_next(&s, &item)) {
		if (n == STATUS_RANGES || !option_statuses(item, &low, &high))
			return false;
		ret->at[n].low = (uint16_t)low;
		ret->at[n++].high = (uint16_t)high;
	}
	return n > 0;
}

bool option_statuses_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	struct status_set set;

	(void)row;
	(void)ret;
	return option_status_set(s, &set) || err_set(why, "statuses are 100 to 599, of a list at most %u items", STATUS_RANGES);
}
