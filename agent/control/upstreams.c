#include "control/upstreams.h"

#define NAME_MAX_BYTES 128u

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool service_name_check(struct str name, struct err *err)
{
	struct addr ip;

	if (name.n == 0)
		return err_set(err, "the name of the service is missing");
	if (name.n > NAME_MAX_BYTES)
		return err_set(err, "a name has at most %u bytes", NAME_MAX_BYTES);
	for (size_t i = 0; i < name.n; i++)
		if (!is_alnum(name.p[i]) && !strchr("-_.", name.p[i] ? name.p[i] : '?'))
			return err_set(err, "a name consists of letters, digits, '-', '_' and '.'");
	if (!is_alnum(name.p[0]) || !is_alnum(name.p[name.n - 1]))
		return err_set(err, "a name begins and ends with a letter or a digit");
	if (str_ieq(name, STR("default")))
		return err_set(err, "\"default\" is no service name: it stands for every service");
	if (str_ieq(name, STR("localhost")) || addr_parse_ip(name, 0, &ip))
		return err_set(err, "the name of a service is expected, not a host or an address");
	return true;
}

static bool port_parse(struct str s, uint16_t *ret)
{
	uint64_t v;

	if (!str_u64(s, &v) || v == 0 || v > UINT16_MAX)
		return false;
	*ret = (uint16_t)v;
	return true;
}

static bool pin_address(struct str s, struct upstream_pin *pin, struct err *err)
{
	if (!addr_parse(s, &pin->addr, err))
		return false;
	if (!addr_is_loopback(&pin->addr))
		return err_set(err, "a pinned address is a loopback address, such as 127.0.4.1:8080");
	if (addr_port(&pin->addr) == 0)
		return err_set(err, "a pinned address needs a port from 1 to 65535");
	return true;
}

/* service:port */
static bool short_form(struct str item, struct upstream_pin *pin, struct err *err)
{
	size_t colon = str_rfind(item, ':');
	uint16_t port;

	if (colon == SIZE_MAX || !port_parse(str_make(item.p + colon + 1, item.n - colon - 1), &port))
		return err_set(err, "service@address:port or service:port is expected, port from 1 to 65535");
	pin->service = str_make(item.p, colon);
	(void)addr_parse_ip(STR("127.0.0.1"), port, &pin->addr);
	return true;
}

/* service[:upstream-port]@address:port */
static bool long_form(struct str item, size_t at, struct upstream_pin *pin, struct err *err)
{
	struct str left = str_make(item.p, at);
	size_t colon = str_find(left, ':');

	if (!pin_address(str_make(item.p + at + 1, item.n - at - 1), pin, err))
		return false;
	pin->service = str_make(left.p, colon == SIZE_MAX ? left.n : colon);
	if (colon != SIZE_MAX &&
	    !port_parse(str_make(left.p + colon + 1, left.n - colon - 1), &pin->upstream_port))
		return err_set(err, "the upstream port before the @ is a number from 1 to 65535");
	return true;
}

bool upstream_pin_parse(struct str item, struct upstream_pin *ret, struct err *err)
{
	struct upstream_pin pin = { 0 };
	struct str rest = str_trim(item);

	pin.tcp = str_istarts(rest, STR("tcp://"));
	if (pin.tcp)
		rest = str_make(rest.p + 6, rest.n - 6);
	else if (str_istarts(rest, STR("http://")))
		return err_set(err, "no http:// is written here: service@address:port is HTTP already");
	size_t at = str_find(rest, '@');
	if (at == SIZE_MAX && pin.tcp)
		return err_set(err, "tcp:// needs the address where it listens: tcp://service:upstream-port@127.0.4.2:port");
	if (!(at == SIZE_MAX ? short_form(rest, &pin, err) : long_form(rest, at, &pin, err)))
		return false;
	if (!service_name_check(pin.service, err))
		return false;
	*ret = pin;
	return true;
}

int upstream_pin_next(struct str *rest, struct upstream_pin *ret, struct err *err)
{
	struct str item;

	while (str_next(rest, ',', &item)) {
		if (item.n == 0)
			continue;
		return upstream_pin_parse(item, ret, err) ? 1 : -1;
	}
	return 0;
}
