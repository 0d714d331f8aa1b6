#include "control/guard.h"

static const struct guard_row rows[GUARD_VERDICTS] = {
	[GUARD_ALLOW] = { "allowed", 0, "", "" },
	[GUARD_HOST_MISSING] = { "host-missing", 400, "Host is missing or repeated.",
		"Send exactly one Host field." },
	[GUARD_HOST_FOREIGN] = { "host-foreign", 403,
		"Host is neither localhost nor an address of this agent: a web page may have pointed "
		"its own name here.",
		"Ask by IP address or as localhost, or add the name to outrider.admin.hosts." },
	[GUARD_ORIGIN_FOREIGN] = { "origin-foreign", 403, "The request comes from a page of another site.",
		"Open the admin port itself, or ask without a browser." },
	[GUARD_MARK_MISSING] = { "mark-missing", 403, "A request that changes state lacks its mark.",
		"Send the field X-Outrider: 1." },
	[GUARD_TOKEN_UNSET] = { "token-unset", 403,
		"State is changed from elsewhere than loopback only with a token, and none is set.",
		"Set OUTRIDER_ADMIN_TOKEN (or _FILE), or ask on loopback." },
	[GUARD_TOKEN_WRONG] = { "token-wrong", 401, "The bearer token is missing or wrong.",
		"Send Authorization: Bearer with the value of OUTRIDER_ADMIN_TOKEN." },
};

const struct guard_row *guard_row(enum guard_verdict v)
{
	return &rows[(unsigned)v < GUARD_VERDICTS ? v : GUARD_ALLOW];
}

bool guard_secret_eq(struct str a, struct str b)
{
	volatile unsigned char diff = a.n != b.n;
	for (size_t i = 0; i < a.n; i++)
		diff = (unsigned char)(diff | (a.p[i] ^ (b.n ? b.p[i % b.n] : 0)));
	return diff == 0;
}

/* "name:80", "[::1]:80": the name, or the literal without its port. false: neither. */
static bool host_name(struct str host, struct str *ret)
{
	bool literal = host.n && host.p[0] == '[';
	size_t end = literal ? str_find(host, ']') : str_find(host, ':');
	uint64_t port;

	if (end == SIZE_MAX) {
		*ret = host;
		return !literal;
	}
	end += literal;
	*ret = str_make(host.p, end);
	if (end == host.n || str_eq(str_make(host.p + end, host.n - end), STR(":")))
		return true;
	return host.p[end] == ':' && str_u64(str_make(host.p + end + 1, host.n - end - 1), &port) &&
	       port <= UINT16_MAX;
}

static bool is_listed(struct str list, struct str name, const struct addr *literal)
{
	struct str piece;
	struct addr a;

	while (str_next(&list, ',', &piece)) {
		if (str_host_fits(piece, name))
			return true;
		if (literal->len && addr_parse_ip(piece, addr_port(literal), &a) && addr_eq(&a, literal))
			return true;
	}
	return false;
}

static bool host_allowed(const struct guard_policy *p, const struct guard_request *r)
{
	struct str name;
	struct addr literal;

	if (!host_name(r->host, &name))
		return false;
	if (!addr_parse_ip(name, r->local->len && r->local->sa.sa_family != AF_UNIX ? addr_port(r->local) : 0,
		    &literal))
		literal.len = 0;
	if (str_ieq(name, STR("localhost")) || is_listed(p->hosts, name, &literal))
		return true;
	return literal.len && (addr_is_loopback(&literal) || (r->local->len && addr_eq(&literal, r->local)));
}

/* scheme "://" authority, where the authority is the Host that was asked. "null" is foreign. */
static bool origin_allowed(const struct guard_request *r)
{
	struct str o = r->origin;
	if (!o.p)
		return true;
	if (str_istarts(o, STR("http://")))
		o = str_make(o.p + 7, o.n - 7);
	else if (str_istarts(o, STR("https://")))
		o = str_make(o.p + 8, o.n - 8);
	else
		return false;
	return str_ieq(o, r->host);
}

/* W3C Fetch Metadata: a browser says from where a request was made, and what for; nobody else does. */
static bool fetch_allowed(const struct guard_request *r)
{
	return !r->fetch_site.p || str_eq(r->fetch_site, STR("same-origin")) ||
	       str_eq(r->fetch_site, STR("none")) || str_eq(r->fetch_mode, STR("navigate"));
}

static bool is_near(const struct addr *a)
{
	return a->len && (a->sa.sa_family == AF_UNIX || addr_is_loopback(a));
}

static enum guard_verdict judge_change(const struct guard_policy *p, const struct guard_request *r)
{
	if (!str_eq(r->mark, STR("1")))
		return GUARD_MARK_MISSING;
	if (is_near(r->local) && is_near(r->peer))
		return GUARD_ALLOW;
	if (p->token.n == 0)
		return GUARD_TOKEN_UNSET;
	struct str a = r->authorization;
	if (!str_istarts(a, STR("Bearer ")))
		return GUARD_TOKEN_WRONG;
	a = str_trim(str_make(a.p + 7, a.n - 7));
	return guard_secret_eq(a, p->token) ? GUARD_ALLOW : GUARD_TOKEN_WRONG;
}

enum guard_verdict guard_judge(const struct guard_policy *p, const struct guard_request *r)
{
	if (r->host_repeated || str_trim(r->host).n == 0)
		return GUARD_HOST_MISSING;
	if (!host_allowed(p, r))
		return GUARD_HOST_FOREIGN;
	if (!origin_allowed(r) || !fetch_allowed(r))
		return GUARD_ORIGIN_FOREIGN;
	return r->changes_state ? judge_change(p, r) : GUARD_ALLOW;
}
