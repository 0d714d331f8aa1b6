#include "control/option_value.h"

#include "control/access_format.h"
#include "control/option_balance.h"
#include "control/option_buckets.h"
#include "control/option_fields.h"
#include "control/option_levels.h"
#include "control/option_trace.h"
#include "control/upstreams.h"

#include <stdio.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- numbers -------------------------------------------------------------------------------------------------- */

static bool in_range(const struct option_row *row, uint64_t v)
{
	return v >= row->min && (row->max == 0 || v <= row->max);
}

static bool parse_uint(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)why;
	return str_u64(s, ret) && in_range(row, *ret);
}

static bool parse_duration(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	if (!duration_parse(s, ret)) {
		uint64_t bare;
		if (str_u64(s, &bare))
			err_set(why, "the unit is missing");
		return false;
	}
	return in_range(row, *ret);
}

static bool parse_size(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)why;
	return size_parse(s, ret) && in_range(row, *ret);
}

static bool parse_percent(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)why;
	return s.n > 1 && s.p[s.n - 1] == '%' && str_u64(str_make(s.p, s.n - 1), ret) && *ret <= 100 &&
	       in_range(row, *ret);
}

static bool parse_bool(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	static const char *const words[] = { "off", "on", "false", "true" };

	(void)row;
	(void)why;
	for (size_t i = 0; i < COUNT(words); i++) {
		if (!str_ieq(s, str_of(words[i])))
			continue;
		*ret = i & 1;
		return true;
	}
	return false;
}

static bool parse_choice(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	struct str rest = str_of(row->unit), word;

	(void)why;
	for (uint64_t i = 0; str_next(&rest, '|', &word); i++) {
		if (!str_ieq(s, word))
			continue;
		*ret = i;
		return true;
	}
	return false;
}

/* --- words ------------------------------------------------------------------------------------------------------ */

static bool parse_text(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)ret;
	(void)why;
	return in_range(row, s.n);
}

static bool parse_name(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)row;
	(void)ret;
	return service_name_check(s, why);
}

static bool parse_secret(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)ret;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 127)
			return err_set(why, "it has a byte that is not visible ASCII");
	if (!in_range(row, s.n))
		return err_set(why, "it has %zu bytes", s.n);
	return true;
}

static bool parse_prefix(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)ret;
	if (s.n == 0 || s.p[0] != '/')
		return err_set(why, "a path begins with /");
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 127 || s.p[i] == '?' || s.p[i] == '#')
			return err_set(why, "a path has visible ASCII bytes, without ? and #");
	return in_range(row, s.n);
}

static bool parse_check(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	return str_ieq(s, STR("tcp")) || parse_prefix(row, s, ret, why);
}

static bool parse_sampler(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	struct sampler_policy p;

	(void)row;
	(void)ret;
	(void)why;
	return option_sampler(s, &p);
}

static bool parse_trace_fields(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	uint8_t order[4];

	(void)row;
	(void)ret;
	(void)why;
	return option_trace_kinds(s, order);
}

static bool parse_access_format(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	struct access_format f;

	(void)row;
	(void)ret;
	return access_format_parse(s, &f, why);
}

static bool host_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       c == '.';
}

/* A host name, "*.suffix", or an IP address. */
static bool host_pattern(struct str s, struct err *why)
{
	struct addr ip;

	if (addr_parse_ip(s, 0, &ip))
		return true;
	if (str_starts(s, STR("*.")))
		s = str_make(s.p + 2, s.n - 2);
	for (size_t i = 0; i < s.n; i++)
		if (!host_byte(s.p[i]))
			return err_set(why, "\"%.*s\" is no host name", (int)(s.n < 80 ? s.n : 80), s.p);
	if (s.n == 0 || s.n > 253 || s.p[0] == '.' || s.p[0] == '-')
		return err_set(why, "a host name is expected, without a port");
	return true;
}

static bool parse_host(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)row;
	(void)ret;
	return host_pattern(s, why);
}

/* --- addresses and lists --------------------------------------------------------------------------------------- */

bool option_item_next(struct str *rest, struct str *item)
{
	while (str_next(rest, ',', item))
		if (item->n)
			return true;
	return false;
}

bool option_address(struct str s, struct addr *ret, struct err *why)
{
	struct str local = STR("localhost:");
	char buf[32];

	if (!str_istarts(s, local))
		return addr_parse(s, ret, why);
	struct str port = str_make(s.p + local.n, s.n - local.n);
	if (port.n > 5)
		return err_set(why, "the port is a number up to 65535");
	int n = snprintf(buf, sizeof(buf), "127.0.0.1:%.*s", STR_ARG(port));
	return addr_parse(str_make(buf, (size_t)n), ret, why);
}

bool option_handler(struct str s, uint16_t *ret_port, struct addr *ret, struct err *why)
{
	uint64_t port;
	struct addr a = { 0 };

	if (s.n && s.p[0] >= '0' && s.p[0] <= '9' && str_find(s, ':') == SIZE_MAX) {
		if (!str_u64(s, &port) || port == 0 || port > UINT16_MAX)
			return err_set(why, "a port is a number from 1 to 65535");
		*ret_port = (uint16_t)port;
		*ret = a;
		return true;
	}
	if (!option_address(s, &a, why))
		return false;
	if (a.sa.sa_family != AF_UNIX && addr_port(&a) == 0)
		return err_set(why, "the port must not be 0");
	*ret_port = addr_port(&a);
	*ret = a;
	return true;
}

typedef bool (*item_fn)(struct str item, struct err *why);

static bool each_item(struct str list, size_t max, item_fn fn, struct err *why)
{
	struct str item;

	for (size_t n = 0; option_item_next(&list, &item); n++) {
		if (n == max)
			return err_set(why, "the list has more than %zu items", max);
		if (!fn(item, why))
			return false;
	}
	return true;
}

static bool listen_item(struct str item, struct err *why)
{
	struct addr a = { .len = 0 };
	return option_address(item, &a, why);
}

static bool parse_listen(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)row;
	(void)ret;
	if (s.n == 0)
		return err_set(why, "the list is empty");
	return each_item(s, OPTION_LISTEN_MAX, listen_item, why);
}

static bool parse_handler(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	struct addr a;
	uint16_t port;

	(void)row;
	(void)ret;
	return option_handler(s, &port, &a, why);
}

static bool endpoint_item(struct str item, struct err *why)
{
	struct addr a = { .len = 0 };

	if (!option_address(item, &a, why))
		return false;
	if (a.sa.sa_family != AF_UNIX && addr_port(&a) == 0)
		return err_set(why, "an endpoint needs a port from 1 to 65535");
	return true;
}

static bool parse_endpoints(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)row;
	(void)ret;
	return each_item(s, OPTIONS_LIST_MAX, endpoint_item, why);
}

bool option_cidr_item(struct str item, bool (*each)(void *arg, const struct cidr *c), void *arg, struct err *why)
{
	static const char *const private_blocks[] = {
		"127.0.0.0/8", "::1/128",   "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
		"fc00::/7",    "fe80::/10", "169.254.0.0/16",
	};
	struct cidr c;

	if (str_ieq(item, STR("none")))
		return true;
	if (!str_ieq(item, STR("private")))
		return cidr_parse(item, &c, why) && each(arg, &c);
	for (size_t i = 0; i < COUNT(private_blocks); i++)
		if (!cidr_parse(str_of(private_blocks[i]), &c, why) || !each(arg, &c))
			return false;
	return true;
}

static bool any_cidr(void *arg, const struct cidr *c)
{
	(void)arg;
	(void)c;
	return true;
}

static bool cidr_item(struct str item, struct err *why)
{
	return option_cidr_item(item, any_cidr, NULL, why);
}

static bool parse_cidrs(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)row;
	(void)ret;
	return each_item(s, OPTIONS_LIST_MAX, cidr_item, why);
}

static bool parse_hosts(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)row;
	(void)ret;
	return each_item(s, OPTIONS_LIST_MAX, host_pattern, why);
}

static bool pin_item(struct str item, struct err *why)
{
	struct upstream_pin pin;

	if (upstream_pin_parse(item, &pin, why))
		return true;
	return err_prefix(why, "\"%.*s\"", (int)(item.n < 80 ? item.n : 80), item.p);
}

static bool parse_upstreams(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)row;
	(void)ret;
	return each_item(s, OPTIONS_LIST_MAX, pin_item, why);
}

/* plugin:address, the plug-in's name in small letters, digits and '-'. */
static bool plugin_item(struct str item, struct err *why)
{
	size_t colon = str_find(item, ':');

	for (size_t i = 0; colon != SIZE_MAX && i < colon; i++) {
		char c = item.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9' && i) && !(c == '-' && i))
			colon = SIZE_MAX;
	}
	if (str_eq(item, STR("static")) || str_eq(item, STR("dns")) || str_eq(item, STR("docker")))
		return true; /* these need no address */
	if (colon == SIZE_MAX || colon == 0)
		return err_set(why, "an item does not begin with the name of a plug-in and a colon");
	return true;
}

static bool parse_plugins(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	(void)row;
	(void)ret;
	return each_item(s, OPTIONS_LIST_MAX, plugin_item, why);
}

/* --- one row per type -------------------------------------------------------------------------------------------- */

typedef bool (*parse_fn)(const struct option_row *row, struct str s, uint64_t *ret, struct err *why);
typedef void (*range_fn)(struct text *t, uint64_t v);

static const struct {
	parse_fn parse;
	const char *what;  /* "expected …" */
	range_fn range;    /* how min and max print; NULL: they are not said */
	const char *after; /* behind the range */
} types[OPTION_TYPES] = {
	[OPTION_CHOICE] = { parse_choice, "one of", NULL, "" },
	[OPTION_UINT] = { parse_uint, "a whole number", text_u64, "" },
	[OPTION_BOOL] = { parse_bool, "on or off", NULL, "" },
	[OPTION_DURATION] = { parse_duration, "a duration", duration_text, " (250ms, 2s, 5m, 1h)" },
	[OPTION_SIZE] = { parse_size, "a size", size_text, " (4096, 64KiB, 1MiB, 10MB)" },
	[OPTION_PERCENT] = { parse_percent, "a percentage such as 50%", NULL, "" },
	[OPTION_TEXT] = { parse_text, "a text", text_u64, " bytes" },
	[OPTION_NAME] = { parse_name, "a name such as quotes-service", NULL, "" },
	[OPTION_SECRET] = { parse_secret, "a secret of visible ASCII,", text_u64, " bytes" },
	[OPTION_LISTEN] = { parse_listen, "addresses such as 127.0.0.1:4140,[::1]:4140 or unix:/path", NULL, "" },
	[OPTION_HANDLER] = { parse_handler, "a port, IP:port, unix:/path or unix:@name", NULL, "" },
	[OPTION_ENDPOINTS] = { parse_endpoints, "addresses such as 10.0.0.5:8080,10.0.0.6:8080", NULL, "" },
	[OPTION_CIDRS] = { parse_cidrs, "address blocks such as 10.0.0.0/8,fd00::/8, private or none", NULL, "" },
	[OPTION_HOSTS] = { parse_hosts, "host names such as api.example.org,*.example.net", NULL, "" },
	[OPTION_UPSTREAMS] = { parse_upstreams,
			       "a list of [tcp://]service[:upstream-port]@address:port or service:port", NULL, "" },
	[OPTION_PLUGINS] = { parse_plugins, "a list of plugin:address", NULL, "" },
	[OPTION_PREFIX] = { parse_prefix, "a path such as /api", NULL, "" },
	[OPTION_CHECK] = { parse_check, "tcp, or a path such as /health", NULL, "" },
	[OPTION_STATUSES] = { option_statuses_parse, "statuses, ranges and classes such as 204, 200-399, 5xx or 429,502-504,", NULL, "" },
	[OPTION_SUBSETS] = { option_subsets_parse, "a list of key=value:share such as version=2:5%,tier=gold:10%, at most seven", NULL, "" },
	[OPTION_HASH] = { option_hash_parse, "client, header:NAME, cookie:NAME or query:NAME", NULL, "" },
	[OPTION_COOKIE] = { option_cookie_parse, "the name of a cookie such as OUTRIDER", NULL, "" },
	[OPTION_FIELDS] = { option_fields_parse, "header fields such as Cache-Control: no-store | X-Answered-By: nobody, none that frames the body,", NULL, "" },
	[OPTION_SAMPLER] = { parse_sampler, "always, never, a share such as 5%, or a rate such as 100/s", NULL, "" },
	[OPTION_TRACE_FIELDS] = { parse_trace_fields, "a list of b3, b3-multi, w3c, each once", NULL, "" },
	[OPTION_ACCESS_FORMAT] = { parse_access_format, "json, text, or a template such as %{time} %{method} %{path} %{status}", NULL, "" },
	[OPTION_LOG_LEVELS] = { option_levels_parse, "a list of subsystem=level such as discovery=debug,config=warn", NULL, "" },
	[OPTION_BUCKETS] = { option_buckets_parse, "ascending times such as 5ms,50ms,500ms, from 1us to 1h, at most 20", NULL, "" },
	[OPTION_HOST] = { parse_host, "a host name such as www.example.org or *.example.org", NULL, "" },
};

static void choice_words(struct text *t, const char *unit)
{
	for (const char *c = unit; *c; c++) {
		if (*c == '|')
			text_addz(t, ", ");
		else
			text_char(t, *c);
	}
}

void option_value_accepts(const struct option_row *row, struct text *t)
{
	range_fn range = types[row->type].range;

	text_addz(t, types[row->type].what);
	if (row->type == OPTION_CHOICE) {
		text_char(t, ' ');
		choice_words(t, row->unit);
	}
	if (range && (row->min || row->max)) {
		text_addz(t, " from ");
		range(t, row->min);
		text_addz(t, " to ");
		range(t, row->max);
	}
	text_addz(t, types[row->type].after);
	if (row->flags & OPTION_AUTO)
		text_addz(t, ", or auto");
	if (row->flags & OPTION_OFF)
		text_addz(t, ", or off");
}

static void say_why(const struct option_row *row, const struct err *detail, struct err *why)
{
	struct text t;

	text_init(&t, ERR_MAX);
	if (detail->text[0])
		text_fmt(&t, "%s; ", detail->text);
	text_addz(&t, "expected ");
	option_value_accepts(row, &t);
	err_set(why, "%s", text_z(&t));
	text_release(&t);
}

static bool control_free(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return false;
	return true;
}

bool option_value_parse(const struct option_row *row, struct str value, uint64_t *ret, struct err *why)
{
	struct err detail = { "" };
	uint64_t v = 0;

	if (((row->flags & OPTION_OFF) && str_ieq(value, STR("off"))) ||
	    ((row->flags & OPTION_AUTO) && str_ieq(value, STR("auto")))) {
		*ret = 0;
		return true;
	}
	if (value.n > OPTIONS_VALUE_MAX)
		err_set(&detail, "the value is longer than %u bytes", OPTIONS_VALUE_MAX);
	else if (!control_free(value))
		err_set(&detail, "the value has control bytes");
	else if (types[row->type].parse(row, value, &v, &detail)) {
		*ret = v;
		return true;
	}
	say_why(row, &detail, why);
	return false;
}

struct str option_value_shown(const struct option_row *row, struct str value)
{
	bool secret = row->type == OPTION_SECRET ? value.n > 0 :
						   row->type == OPTION_PLUGINS && str_find(value, '@') != SIZE_MAX;
	return secret ? STR("***") : value;
}
