#include "bus_address.h"

#include <stdio.h>

#define SHAPE "expected spring-bus:amqp://[user:password@]HOST[:PORT][/VHOST], or amqps:"

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* RFC 3986 section 2.1. false: a bad code, too long, or a control byte, which no such name has. */
static bool decode(struct str s, char *dst, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '%') {
			if (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
				return false;
			c = (unsigned char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
			i += 2;
		}
		if (c < 0x20 || c == 0x7f || n + 1 >= cap)
			return false;
		dst[n++] = (char)c;
	}
	dst[n] = '\0';
	return true;
}

static struct str after(struct str s, size_t at)
{
	return str_make(s.p + at + 1, s.n - at - 1);
}

static bool parse_credentials(struct str s, struct bus_address *ret, struct err *err)
{
	size_t colon = str_find(s, ':');
	struct str user = str_make(s.p, colon == SIZE_MAX ? s.n : colon);

	if (!decode(user, ret->user, sizeof(ret->user)) ||
		!decode(colon == SIZE_MAX ? STR("") : after(s, colon), ret->password, sizeof(ret->password)))
		return err_set(err,
			"user or password before @ is too long, or has a bad %%-code (write %% as %%25)");
	return true;
}

static bool parse_host(struct str s, struct bus_address *ret, struct err *err)
{
	bool bracket = s.n > 0 && s.p[0] == '[';
	size_t colon = str_rfind(s, ':');
	uint64_t number;

	if (colon != SIZE_MAX && !(bracket && s.p[s.n - 1] == ']')) {
		if (!str_u64(after(s, colon), &number) || number < 1 || number > 65535)
			return err_set(
				err, "'%.*s' is no port (1 to 65535); " SHAPE, STR_ARG(after(s, colon)));
		ret->port = (uint16_t)number;
		s.n = colon;
	}
	if (bracket && s.n > 2 && s.p[s.n - 1] == ']')
		s = str_make(s.p + 1, s.n - 2);
	else if (str_find(s, ':') != SIZE_MAX)
		return err_set(err, "an IPv6 address stands in brackets; " SHAPE);
	return (s.n > 0 && decode(s, ret->host, sizeof(ret->host))) ||
	       err_set(err, "the host is missing or too long; " SHAPE);
}

bool bus_address_parse(struct str text, struct bus_address *ret, struct err *err)
{
	struct str s = str_trim(text);
	size_t at, slash;

	*ret = (struct bus_address){ .port = BUS_PORT, .vhost = "/" };
	ret->secure = str_istarts(s, STR("amqps://"));
	if (!ret->secure && !str_istarts(s, STR("amqp://")))
		return err_set(err, SHAPE);
	if (ret->secure)
		ret->port = BUS_PORT_TLS;
	s = after(s, ret->secure ? 7 : 6);
	if ((at = str_rfind(s, '@')) != SIZE_MAX) {
		if (!parse_credentials(str_make(s.p, at), ret, err))
			return false;
		s = after(s, at);
	}
	if ((slash = str_find(s, '/')) != SIZE_MAX) {
		struct str vhost = after(s, slash);
		if (vhost.n > 0 && !decode(vhost, ret->vhost, sizeof(ret->vhost)))
			return err_set(err, "the virtual host is too long, or has a bad %%-code");
		s.n = slash;
	}
	return parse_host(s, ret, err);
}

void bus_address_name(const struct bus_address *a, char dst[BUS_NAME_MAX])
{
	bool v6 = strchr(a->host, ':') != NULL;
	snprintf(dst, BUS_NAME_MAX, "%s%s%s:%u", v6 ? "[" : "", a->host, v6 ? "]" : "", a->port);
}
