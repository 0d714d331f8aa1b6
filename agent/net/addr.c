#include "net/addr.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>

#define IP_TEXT_MAX 64 /* longest accepted text of an IP, with NUL */
#define UN_OFFSET offsetof(struct sockaddr_un, sun_path)

/* As inet_pton(AF_INET), which wants a copy with a NUL: lists of thousands of instances are read. */
static bool four_from_text(struct str s, uint8_t ret[4])
{
	const char *p = s.p, *end = s.p + s.n;

	for (unsigned i = 0; i < 4; i++) {
		unsigned value = 0, digits = 0;
		if (i && (p == end || *p++ != '.'))
			return false;
		for (; p < end && *p >= '0' && *p <= '9' && digits < 3; p++, digits++)
			value = value * 10 + (unsigned)(*p - '0');
		if (!digits || value > 255 || (digits > 1 && p[-(int)digits] == '0'))
			return false;
		ret[i] = (uint8_t)value;
	}
	return p == end;
}

static bool ip_from_text(struct str s, uint16_t port, struct addr *ret)
{
	char z[IP_TEXT_MAX];
	uint8_t four[4];

	if (s.n && four_from_text(s, four)) {
		memset(ret, 0, sizeof(*ret));
		memcpy(&ret->in.sin_addr, four, sizeof(four));
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(port);
		ret->len = sizeof(ret->in);
		return true;
	}
	if (s.n == 0 || s.n >= sizeof(z) || memchr(s.p, 0, s.n))
		return false;
	memcpy(z, s.p, s.n);
	z[s.n] = 0;

	struct addr a;
	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET6, z, &a.in6.sin6_addr) != 1)
		return false;
	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(port);
	a.len = sizeof(a.in6);
	*ret = a;
	return true;
}

static bool unix_parse(struct str s, struct addr *ret, struct err *err)
{
	struct addr a;
	memset(&a, 0, sizeof(a));
	bool abstract = s.n > 0 && s.p[0] == '@';
	if (s.n < 2 || (!abstract && s.p[0] != '/'))
		return err_set(err, "\"unix:%.*s\": expected unix:/path or unix:@name", STR_ARG(s));
	if (s.n >= sizeof(a.un.sun_path))
		return err_set(
			err, "unix socket name of %zu bytes: at most %zu", s.n, sizeof(a.un.sun_path) - 1);
	if (memchr(s.p, 0, s.n))
		return err_set(err, "unix socket name holds a NUL byte");
	a.un.sun_family = AF_UNIX;
	memcpy(a.un.sun_path, s.p, s.n);
	if (abstract)
		a.un.sun_path[0] = 0;
	a.len = (socklen_t)(UN_OFFSET + s.n + (abstract ? 0 : 1));
	*ret = a;
	return true;
}

static bool port_parse(struct str s, uint16_t *ret)
{
	uint64_t v;
	if (s.n > 5 || !str_u64(s, &v) || v > UINT16_MAX)
		return false;
	*ret = (uint16_t)v;
	return true;
}

bool addr_parse(struct str s, struct addr *ret, struct err *err)
{
	if (str_starts(s, STR("unix:")))
		return unix_parse(str_make(s.p + 5, s.n - 5), ret, err);

	size_t colon = str_rfind(s, ':');
	uint16_t port;
	if (colon == SIZE_MAX || !port_parse(str_make(s.p + colon + 1, s.n - colon - 1), &port))
		return err_set(err,
			"\"%.*s\" is no address: expected IP:port, [IPv6]:port, :port or unix:/path",
			STR_ARG(s));
	struct str host = str_make(s.p, colon);
	if (host.n == 0)
		host = STR("0.0.0.0");
	bool bracketed = host.p[0] == '[';
	if (!bracketed && str_find(host, ':') != SIZE_MAX)
		return err_set(err, "\"%.*s\": write an IPv6 address in brackets, [%.*s]:%u", STR_ARG(s),
			STR_ARG(host), port);
	if (!addr_parse_ip(host, port, ret))
		return err_set(err, "\"%.*s\": \"%.*s\" is no IP address", STR_ARG(s), STR_ARG(host));
	return true;
}

bool addr_parse_ip(struct str s, uint16_t port, struct addr *ret)
{
	if (s.n == 0 || s.p[0] != '[')
		return ip_from_text(s, port, ret);
	if (s.n < 2 || s.p[s.n - 1] != ']')
		return false;
	struct addr a;
	if (!ip_from_text(str_make(s.p + 1, s.n - 2), port, &a) || a.sa.sa_family != AF_INET6)
		return false;
	*ret = a;
	return true;
}

static bool is_ip(const struct addr *a)
{
	return a->len && (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6);
}

static bool is_unix(const struct addr *a)
{
	return a->len && a->sa.sa_family == AF_UNIX;
}

/* The socket's name inside sun_path, without the final NUL of a path. */
static struct str unix_name(const struct addr *a)
{
	size_t n = a->len > UN_OFFSET ? a->len - UN_OFFSET : 0;
	if (n > sizeof(a->un.sun_path))
		n = sizeof(a->un.sun_path);
	if (n && a->un.sun_path[0])
		n = strnlen(a->un.sun_path, n);
	return str_make(a->un.sun_path, n);
}

static void unix_text(const struct addr *a, char dst[ADDR_TEXT_MAX])
{
	struct str s = unix_name(a);
	memcpy(dst, "unix:", 5);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		dst[5 + i] = c > ' ' && c < 127 ? c : (i == 0 && c == 0) ? '@' : '?';
	}
	dst[5 + s.n] = 0;
}

void addr_text(const struct addr *a, char dst[ADDR_TEXT_MAX])
{
	if (is_unix(a)) {
		unix_text(a, dst);
		return;
	}
	char ip[ADDR_TEXT_MAX];
	addr_ip_text(a, ip);
	if (!is_ip(a))
		snprintf(dst, ADDR_TEXT_MAX, "%.32s", ip);
	else if (a->sa.sa_family == AF_INET6)
		snprintf(dst, ADDR_TEXT_MAX, "[%.64s]:%u", ip, addr_port(a));
	else
		snprintf(dst, ADDR_TEXT_MAX, "%.64s:%u", ip, addr_port(a));
}

/* By hand: this one stands on the request path (X-Forwarded-For), and inet_ntop() goes through printf. */
static void ipv4_text(uint32_t ip, char *dst)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		unsigned v = ip >> shift & 255;
		if (v >= 100)
			*dst++ = (char)('0' + v / 100);
		if (v >= 10)
			*dst++ = (char)('0' + v / 10 % 10);
		*dst++ = (char)('0' + v % 10);
		*dst++ = shift ? '.' : '\0';
	}
}

void addr_ip_text(const struct addr *a, char dst[ADDR_TEXT_MAX])
{
	if (is_ip(a) && a->sa.sa_family == AF_INET) {
		ipv4_text(ntohl(a->in.sin_addr.s_addr), dst);
		return;
	}
	const char *word = is_unix(a) ? "unix" : "none";
	if (is_ip(a))
		word = inet_ntop(AF_INET6, &a->in6.sin6_addr, dst, ADDR_TEXT_MAX);
	if (word != dst)
		snprintf(dst, ADDR_TEXT_MAX, "%s", word ? word : "none");
}

uint16_t addr_port(const struct addr *a)
{
	if (!is_ip(a))
		return 0;
	return ntohs(a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (is_ip(a) && a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else if (is_ip(a))
		a->in6.sin6_port = htons(port);
}

/* Both families as 16 bytes, IPv4 in its v4-mapped form: what comparing, hashing and matching work on. */
static void ip_bytes(const struct addr *a, uint8_t dst[16])
{
	if (a->sa.sa_family == AF_INET6) {
		memcpy(dst, &a->in6.sin6_addr, 16);
		return;
	}
	memset(dst, 0, 10);
	dst[10] = dst[11] = 0xff;
	memcpy(dst + 12, &a->in.sin_addr, 4);
}

static bool bytes_are_v4(const uint8_t b[16])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	return memcmp(b, mapped, sizeof(mapped)) == 0;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
	if (is_ip(a) && is_ip(b)) {
		uint8_t x[16], y[16];
		ip_bytes(a, x);
		ip_bytes(b, y);
		return memcmp(x, y, 16) == 0 && addr_port(a) == addr_port(b);
	}
	if (is_unix(a) && is_unix(b))
		return str_eq(unix_name(a), unix_name(b));
	return a->len == 0 && b->len == 0;
}

uint64_t addr_hash(const struct addr *a)
{
	if (is_ip(a)) {
		uint8_t b[16];
		ip_bytes(a, b);
		return str_hash(str_make((const char *)b, sizeof(b)), addr_port(a));
	}
	return is_unix(a) ? str_hash(unix_name(a), UINT64_MAX) : 0;
}

/* Is the address in block/bits? (bytes as in struct cidr) */
static bool in_block(const struct addr *a, const uint8_t block[16], unsigned bits)
{
	if (!is_ip(a))
		return false;
	uint8_t b[16];
	ip_bytes(a, b);
	if (bits < 96 && bytes_are_v4(b))
		return false; /* an IPv6 block, ::/0 included, holds no IPv4 address */
	unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(b, block, whole) != 0)
		return false;
	return rest == 0 || ((b[whole] ^ block[whole]) >> (8 - rest)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
	static const uint8_t v4[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127 };
	static const uint8_t v6[16] = { [15] = 1 };
	return in_block(a, v4, 104) || in_block(a, v6, 128);
}

bool addr_is_link_local(const struct addr *a)
{
	static const uint8_t v4[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254 };
	static const uint8_t v6[16] = { 0xfe, 0x80 };
	return in_block(a, v4, 112) || in_block(a, v6, 10);
}

bool addr_is_any(const struct addr *a)
{
	static const uint8_t v4[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	static const uint8_t v6[16] = { 0 };
	return in_block(a, v4, 128) || in_block(a, v6, 128);
}

void addr_unmap(struct addr *a)
{
	if (!is_ip(a) || a->sa.sa_family != AF_INET6)
		return;
	uint8_t b[16];
	ip_bytes(a, b);
	if (!bytes_are_v4(b))
		return;
	uint16_t port = a->in6.sin6_port;
	memset(&a->in, 0, sizeof(a->in));
	a->in.sin_family = AF_INET;
	a->in.sin_port = port;
	memcpy(&a->in.sin_addr, b + 12, 4);
	a->len = sizeof(a->in);
}

bool cidr_parse(struct str s, struct cidr *ret, struct err *err)
{
	size_t slash = str_find(s, '/');
	struct str ip = str_make(s.p, slash == SIZE_MAX ? s.n : slash);
	struct addr a;
	if (!addr_parse_ip(ip, 0, &a))
		return err_set(err, "\"%.*s\" is no address block: expected IP or IP/bits", STR_ARG(s));
	uint64_t max = a.sa.sa_family == AF_INET ? 32 : 128, bits = max;
	if (slash != SIZE_MAX && (!str_u64(str_make(s.p + slash + 1, s.n - slash - 1), &bits) || bits > max))
		return err_set(
			err, "\"%.*s\": the length of the prefix must be 0 to %u", STR_ARG(s), (unsigned)max);

	struct cidr c = { .bits = (uint8_t)(bits + 128 - max) };
	ip_bytes(&a, c.bytes);
	for (unsigned i = 0; i < 16; i++) { /* host bits count for nothing: 10.1.2.3/8 is 10.0.0.0/8 */
		unsigned keep = c.bits > 8 * i ? c.bits - 8 * i : 0;
		if (keep < 8)
			c.bytes[i] = (uint8_t)(c.bytes[i] & (0xff00u >> keep));
	}
	*ret = c;
	return true;
}

bool cidr_has(const struct cidr *c, const struct addr *a)
{
	return in_block(a, c->bytes, c->bits);
}

size_t addr_own(struct addr *dst, size_t max)
{
	struct ifaddrs *all;
	if (getifaddrs(&all) != 0)
		return 0;
	size_t n = 0;
	for (struct ifaddrs *i = all; i && n < max; i = i->ifa_next) {
		int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
		if (family != AF_INET && family != AF_INET6)
			continue;
		socklen_t len = family == AF_INET ? sizeof(dst->in) : sizeof(dst->in6);
		memset(&dst[n], 0, sizeof(dst[n]));
		memcpy(&dst[n].sa, i->ifa_addr, len);
		dst[n++].len = len;
	}
	freeifaddrs(all);
	return n;
}
