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

/* "name:80", "[::1]:80", "::1" is no valid Host: the name or literal without its port. */
static struct str host_name(struct str host)
{
	if (host.n && host.p[0] == '[') {
		size_t end = str_find(host, ']');
		return end == SIZE_MAX ? host : str_make(host.p, end + 1);
	}
	size_t colon = str_rfind(host, ':');
	return colon == SIZE_MAX ? host : str_make(host.p, colon);
}

static bool is_listed(struct str list, struct str name)
{
	struct str piece;
	while (str_next(&list, ',', &piece)) {
		if (piece.n && str_ieq(piece, name))
			return true;
	}
	return false;
}

static bool host_allowed(const struct guard_policy *p, const struct guard_request *r)
{
	struct str name = host_name(r->host);
	struct addr literal;
	if (str_ieq(name, STR("localhost")) || is_listed(p->hosts, name) || is_listed(p->hosts, r->host))
		return true;
	if (!addr_parse_ip(name, r->local->len ? addr_port(r->local) : 0, &literal))
		return false;
	return addr_is_loopback(&literal) || (r->local->len && addr_eq(&literal, r->local));
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
	return !r->fetch_site.p || str_eq(r->fetch_site, STR("same-origin")) || str_eq(r->fetch_site, STR("none")) ||
	       str_eq(r->fetch_mode, STR("navigate"));
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
