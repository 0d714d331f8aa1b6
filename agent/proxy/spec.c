#include "proxy/spec.h"

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* memcmp order of the lower-cased asked name and a name that is lower case already. */
static int compare(struct str asked, struct str name)
{
	size_t n = asked.n < name.n ? asked.n : name.n;

	for (size_t i = 0; i < n; i++) {
		int d = (unsigned char)lower(asked.p[i]) - (unsigned char)name.p[i];
		if (d)
			return d;
	}
	return (asked.n > name.n) - (asked.n < name.n);
}

struct spec_upstream *spec_find_upstream(const struct spec_sidecar *s, struct str name)
{
	uint32_t from = 0, to = s->n_upstreams;

	if (name.n && name.p[name.n - 1] == '.')
		name.n--;
	while (from < to) {
		uint32_t mid = from + (to - from) / 2;
		int c = compare(name, s->upstreams[mid]->name);
		if (c == 0)
			return s->upstreams[mid];
		if (c < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return NULL;
}

static bool host_matches(const struct spec_route *r, struct str host)
{
	return r->host.n == 0 || str_host_fits(r->host, host);
}

/* Whole segments: "/a" matches "/a", "/a/b", "/a?q", not "/ab". */
static bool prefix_matches(struct str prefix, struct str path)
{
	if (!str_starts(path, prefix))
		return false;
	if (path.n == prefix.n || prefix.p[prefix.n - 1] == '/')
		return true;
	return path.p[prefix.n] == '/' || path.p[prefix.n] == '?';
}

bool spec_route_matches(const struct spec_route *r, struct str host, struct str path)
{
	return host_matches(r, host) && prefix_matches(r->prefix, path);
}

struct spec_upstream *spec_policy_at(const struct spec_sidecar *s, uint32_t i)
{
	if (i < s->n_upstreams)
		return s->upstreams[i];
	i -= s->n_upstreams;
	for (uint32_t k = 0; k < s->n_routes; k++)
		if (s->routes[k].own && i-- == 0)
			return s->routes[k].own;
	return NULL;
}
