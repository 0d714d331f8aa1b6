#include "control/option_levels.h"

#include "control/logs.h"
#include "control/nearest.h"

bool option_levels_subsystem(struct str name, struct err *why)
{
	const char *near = NULL;

	for (size_t i = 0; log_subsystems[i]; i++) {
		if (str_eq(name, str_of(log_subsystems[i])))
			return true;
		if (nearest_is_near(name, str_of(log_subsystems[i])))
			near = log_subsystems[i];
	}
	return err_set(why, "there is no subsystem \"%.*s\"%s%s%s", (int)(name.n < 40 ? name.n : 40), name.p ? name.p : "",
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static bool take(struct str item, bool (*fn)(void *arg, struct str subsystem, enum log_level level), void *arg, struct err *err)
{
	size_t equals = str_find(item, '=');
	enum log_level level;

	if (equals == SIZE_MAX || !log_level_parse(str_trim(str_make(item.p + equals + 1, item.n - equals - 1)), &level))
		return err_set(err, "\"%.*s\" is not subsystem=level; levels are error, warn, info, debug", (int)(item.n < 60 ? item.n : 60), item.p);
	struct str name = str_trim(str_make(item.p, equals));
	if (!option_levels_subsystem(name, err))
		return false;
	return !fn || fn(arg, name, level) || err_set(err, "more than %u subsystems have a level of their own", LOGS_LEVELS_MAX);
}

bool option_levels(struct str s, bool (*fn)(void *arg, struct str subsystem, enum log_level level), void *arg, struct err *err)
{
	struct str item;

	while (str_next(&s, ',', &item))
		if (item.n && !take(item, fn, arg, err))
			return false;
	return true;
}

bool option_levels_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)row;
	(void)ret;
	return option_levels(s, NULL, NULL, why);
}
