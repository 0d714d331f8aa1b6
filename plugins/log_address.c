#include "log_address.h"

static bool take_port(struct str *s, uint16_t otherwise, uint16_t *ret, struct err *err)
{
	bool bare6 = s->n && s->p[0] == '[' && s->p[s->n - 1] == ']';
	size_t colon = bare6 ? SIZE_MAX : str_rfind(*s, ':');
	uint64_t n = otherwise;

	if (colon != SIZE_MAX) {
		if (!str_u64(str_make(s->p + colon + 1, s->n - colon - 1), &n) || n < 1 || n > 65535)
			return err_set(err, "its port is a number from 1 to 65535");
		s->n = colon;
	}
	*ret = (uint16_t)n;
	return n || err_set(err, "its port is missing");
}

static bool take_host(struct str s, struct log_address *a, struct err *err)
{
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = str_make(s.p + 1, s.n - 2);
	else if (str_find(s, ':') != SIZE_MAX)
		return err_set(err, "an IPv6 address stands in brackets");
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '/' || s.p[i] == '@' || s.p[i] == '?' || s.p[i] == '[' || (unsigned char)s.p[i] <= 0x20)
			return err_set(err, "behind // stands host:port, and nothing else");
	return (s.n && str_copy(s, a->host, sizeof(a->host))) || err_set(err, "its host is missing, or too long");
}

bool log_address_parse(struct str s, uint16_t udp_port, uint16_t tcp_port, bool unix_too, struct log_address *a, struct err *err)
{
	static const struct str udp = { "udp://", 6 }, tcp = { "tcp://", 6 }, path = { "unix:", 5 };

	*a = (struct log_address){ .way = LOG_PEER_UDP };
	if (unix_too && str_starts(s, path)) {
		a->way = LOG_PEER_UNIX;
		if (s.n == path.n || (s.p[path.n] != '/' && s.p[path.n] != '@'))
			return err_set(err, "behind unix: stands an absolute path, unix:/dev/log");
		return addr_parse(s, &a->path, err) && (str_copy(str_make(s.p + path.n, s.n - path.n), a->host, sizeof(a->host)) || err_set(err, "its path is too long"));
	}
	if (!str_starts(s, udp) && !str_starts(s, tcp))
		return err_set(err, "its address begins with udp://%s", unix_too ? ", tcp:// or unix:/" : " or tcp://");
	a->way = str_starts(s, udp) ? LOG_PEER_UDP : LOG_PEER_TCP;
	s = str_make(s.p + udp.n, s.n - udp.n);
	return take_port(&s, a->way == LOG_PEER_UDP ? udp_port : tcp_port, &a->port, err) && take_host(s, a, err);
}
