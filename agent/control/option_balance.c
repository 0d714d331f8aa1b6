#include "control/option_balance.h"

#include "control/option_value.h"
#include "http/octets.h"

#define SHOWN(s) (int)((s).n < 80 ? (s).n : 80), (s).p

static bool fits(const struct option_row *row, struct str s, struct err *why)
{
	return !row->max || s.n <= row->max || err_set(why, "it has more than %zu bytes", (size_t)row->max);
}

/* --- subsets -------------------------------------------------------------------------------------------------------- */

/* "5%", "5", "0.25%" to parts of BALANCE_SHARES, which are hundredths of a percent. */
static bool parse_share(struct str s, uint32_t *ret)
{
	if (s.n && s.p[s.n - 1] == '%')
		s.n--;
	size_t point = str_find(s, '.'), digits = point == SIZE_MAX ? 0 : s.n - point - 1;
	uint64_t whole, part = 0;

	if (!str_u64(str_make(s.p, point == SIZE_MAX ? s.n : point), &whole) || whole > 100 || digits > 2 ||
		(point != SIZE_MAX && !str_u64(str_make(s.p + point + 1, digits), &part)))
		return false;
	*ret = (uint32_t)(whole * 100 + (digits == 1 ? part * 10 : part));
	return *ret <= BALANCE_SHARES;
}

/* "version=2:5%": the last ':' parts the share. */
static bool parse_subset(struct str item, struct option_subset *ret, struct err *why)
{
	size_t equals = str_find(item, '='), colon = str_rfind(item, ':');

	if (equals == SIZE_MAX || equals == 0)
		return err_set(why, "\"%.*s\" has no key= before the value", SHOWN(item));
	if (colon == SIZE_MAX || colon < equals)
		return err_set(why, "\"%.*s\" has no share, such as :5%%", SHOWN(item));
	struct str share = str_trim(str_make(item.p + colon + 1, item.n - colon - 1));
	if (!parse_share(share, &ret->share))
		return err_set(why,
			"\"%.*s\": a share is a percentage from 0 to 100%%, with two decimals at most",
			SHOWN(item));
	ret->key = str_trim(str_make(item.p, equals));
	ret->value = str_trim(str_make(item.p + equals + 1, colon - equals - 1));
	return true;
}

static bool is_there(const struct option_subset *at, uint32_t n, const struct option_subset *one)
{
	for (uint32_t i = 0; i < n; i++)
		if (str_eq(at[i].key, one->key) && str_eq(at[i].value, one->value))
			return true;
	return false;
}

bool option_subsets(
	struct str list, struct option_subset at[OPTION_SUBSETS_MAX], uint32_t *n, struct err *why)
{
	struct option_subset one = { 0 };
	struct str item;
	uint32_t sum = 0;

	*n = 0;
	while (option_item_next(&list, &item)) {
		if (*n == OPTION_SUBSETS_MAX)
			return err_set(why, "there are more than %u subsets", OPTION_SUBSETS_MAX);
		if (!parse_subset(item, &one, why))
			return false;
		if (is_there(at, *n, &one))
			return err_set(why, "\"%.*s\" stands there twice", SHOWN(item));
		at[(*n)++] = one;
		sum += one.share;
	}
	if (sum > BALANCE_SHARES)
		return err_set(why, "the shares add up to more than 100%%");
	return true;
}

bool option_subsets_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	struct option_subset at[OPTION_SUBSETS_MAX];
	uint32_t n;

	(void)ret;
	return fits(row, s, why) && option_subsets(s, at, &n, why);
}

/* --- names ------------------------------------------------------------------------------------------------------------- */

static bool is_token(struct str s)
{
	return s.n && octets_token(s.p, s.p + s.n) == s.p + s.n;
}

/* A parameter's name as it stands in a URL. */
static bool is_parameter(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 127 || strchr("&=#?", s.p[i]))
			return false;
	return s.n > 0;
}

bool option_hash(struct str s, enum hash_kind *kind, struct str *name, struct err *why)
{
	static const struct {
		const char *prefix;
		enum hash_kind kind;
		bool (*good)(struct str name);
	} kinds[] = { { "header:", HASH_HEADER, is_token }, { "cookie:", HASH_COOKIE, is_token },
		{ "query:", HASH_QUERY, is_parameter } };

	*kind = HASH_CLIENT;
	*name = STR("");
	if (s.n == 0 || str_eq(s, STR("client")))
		return true;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct str prefix = str_of(kinds[i].prefix);
		if (!str_starts(s, prefix))
			continue;
		*kind = kinds[i].kind;
		*name = str_trim(str_make(s.p + prefix.n, s.n - prefix.n));
		return kinds[i].good(*name) || err_set(why, "behind %s stands no name", kinds[i].prefix);
	}
	return err_set(why, "there is no such key");
}

bool option_hash_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	enum hash_kind kind;
	struct str name;

	(void)ret;
	return fits(row, s, why) && option_hash(s, &kind, &name, why);
}

bool option_cookie_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)ret;
	if (!fits(row, s, why))
		return false;
	return s.n == 0 || is_token(s) ||
	       err_set(why, "a cookie's name has letters, digits and -_.!#$&'*+^`|~ only");
}
