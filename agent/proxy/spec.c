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
