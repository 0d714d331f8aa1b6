/* Spring Cloud Bus: events of any bytes are judged without harm, destinations match as the plain recursive rule says, frames
 * are judged the same however they are cut, an address that is taken has a host. The first byte says which. */
#include "../../plugins/bus_address.h"
#include "../../plugins/bus_event.h"
#include "../../plugins/bus_guard.h"
#include "fuzz.h"

#include <string.h>

static const struct bus_id id = { { "orders", 6 }, { "test", 4 } };

/* --- the rule, written down once more and slow ------------------------------------------------------------------------ */

static bool part(struct str p, struct str s)
{
	if (p.n == 0)
		return s.n == 0;
	struct str p1 = str_make(p.p + 1, p.n - 1), s1 = str_make(s.p + 1, s.n ? s.n - 1 : 0);
	if (p.p[0] == '*')
		return part(p1, s) || (s.n > 0 && part(p, s1));
	return s.n > 0 && (p.p[0] == '?' || p.p[0] == s.p[0]) && part(p1, s1);
}

static bool stars(struct str p)
{
	return p.n == 0 || (p.p[0] == '*' && stars(str_make(p.p + 1, p.n - 1)));
}

static bool parts(const struct str *p, size_t n, const struct str *s, size_t sn)
{
	if (n == 0)
		return sn == 0;
	if (str_eq(p[0], STR("**")))
		return parts(p + 1, n - 1, s, sn) || (sn > 0 && parts(p, n, s + 1, sn - 1));
	return sn > 0 && (s[0].n ? part(p[0], s[0]) : stars(p[0])) && parts(p + 1, n - 1, s + 1, sn - 1);
}

static void check_destination(struct str d)
{
	struct str own[4] = { id.service, id.profiles, STR(""), STR("") }, list[16], rest = str_trim(d), one;
	bool tail = str_eq(rest, STR("**")) || str_ends(rest, STR(":**"));
	size_t n = 0, colons = 0;

	for (size_t i = 0; i < rest.n; i++)
		colons += rest.p[i] == ':';
	if (rest.n == 0 || rest.n > 24 || rest.p[0] == ':' || colons > 10) {
		(void)bus_destination_matches(d, &id);
		return;
	}
	while (str_next(&rest, ':', &one))
		if (one.n)
			list[n++] = one;
	if (colons <= 1 && !tail)
		list[n++] = STR("**");
	FUZZ_CHECK(bus_destination_matches(d, &id) == parts(list, n, own, 4));
}

/* --- frames ----------------------------------------------------------------------------------------------------------- */

static bool feed(const char *p, size_t n, size_t step)
{
	struct bus_guard g = { .begun = false };
	struct err err = { .text = "" };

	for (size_t at = 0; at < n; at += step) {
		if (!bus_guard_feed(&g, p + at, n - at < step ? n - at : step, &err)) {
			FUZZ_CHECK(err.text[0] != '\0');
			return false;
		}
		FUZZ_CHECK(g.left <= BUS_FRAME_MAX && g.head_n < sizeof(g.head));
	}
	return true;
}

static void check_address(struct str text)
{
	struct bus_address a;
	struct err err = { .text = "" };
	char name[BUS_NAME_MAX];

	if (bus_address_parse(text, &a, &err)) {
		bus_address_name(&a, name);
		FUZZ_CHECK(a.host[0] != '\0' && a.port > 0 && a.vhost[0] != '\0' && name[0] != '\0');
	} else {
		FUZZ_CHECK(err.text[0] != '\0');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 2)
		return 0;
	char *copy = fuzz_copy(data + 1, n - 1);
	struct str text = str_make(copy, n - 1);

	switch (data[0]) {
	case 'd':
		check_destination(text);
		break;
	case 'f':
		FUZZ_CHECK(feed(copy, n - 1, n) == feed(copy, n - 1, 1) &&
			   feed(copy, n - 1, n) == feed(copy, n - 1, 3));
		break;
	case 'a':
		check_address(text);
		break;
	default:
		(void)bus_event_judge(text, &id);
	}
	free(copy);
	return 0;
}
