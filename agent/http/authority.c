#include "http/h1.h"
#include "http/octets.h"

#include <arpa/inet.h>

#define V6_TEXT_MAX 45 /* INET6_ADDRSTRLEN without its NUL */
#define PORT_DIGITS 5
#define HOST_MAX 255 /* bytes of a name (RFC 1035); more is no host */

/* The text between brackets. Zone names have no meaning for anybody else and are refused. */
static bool is_v6(struct str s)
{
	char z[V6_TEXT_MAX + 1];
	struct in6_addr addr;

	if (s.n > V6_TEXT_MAX || !str_copy(s, z, sizeof(z)))
		return false;
	return memchr(s.p, 0, s.n) == NULL && inet_pton(AF_INET6, z, &addr) == 1;
}

/* "" (legal, RFC 3986 section 3.2.3: no port said) or 1..65535. */
static bool port_of(struct str s, uint16_t *port)
{
	uint64_t n;

	*port = 0;
	if (s.n == 0)
		return true;
	if (s.n > PORT_DIGITS || !str_u64(s, &n) || n == 0 || n > UINT16_MAX)
		return false;
	*port = (uint16_t)n;
	return true;
}

bool authority_split(struct str authority, struct str *host, uint16_t *port)
{
	const char *s = authority.p, *end = s + authority.n, *e;

	if (authority.n == 0)
		return false;
	if (*s == '[') {
		e = memchr(s, ']', authority.n);
		if (!e)
			return false;
		*host = str_make(s + 1, (size_t)(e - s - 1));
		e++;
		if (host->n == 0 || !is_v6(*host))
			return false;
	} else {
		e = octets_span(s, end, OCTET_HOST);
		*host = str_make(s, (size_t)(e - s));
		if (host->n == 0 || host->n > HOST_MAX)
			return false;
	}
	if (e == end) {
		*port = 0;
		return true;
	}
	return *e == ':' && port_of(str_make(e + 1, (size_t)(end - e - 1)), port);
}
