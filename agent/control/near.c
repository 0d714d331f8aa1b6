#include "control/near.h"

#include "base/mem.h"

#include <stdlib.h>

static bool ip_of(const struct addr *a, struct near_ip *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (a->sa.sa_family == AF_INET6) {
		memcpy(ret->byte, &a->in6.sin6_addr, sizeof(ret->byte));
		return true;
	}
	memcpy(ret->byte, mapped, sizeof(mapped));
	memcpy(ret->byte + sizeof(mapped), &a->in.sin_addr, 4);
	return a->sa.sa_family == AF_INET;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct near_ip));
}

static bool has(const struct near_ip *ip, size_t n, const struct near_ip *one)
{
	return n && bsearch(one, ip, n, sizeof(*ip), compare);
}

/* Sorted, each once; returns how many. */
static size_t tidy(struct near_ip *ip, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(ip, n, sizeof(*ip), compare);
	for (size_t i = 0; i < n; i++)
		if (!kept || compare(&ip[kept - 1], &ip[i]) != 0)
			ip[kept++] = ip[i];
	return kept;
}

/* false: there are more. */
static bool read(struct str text, struct near_ip *ip, size_t *n)
{
	struct str line;
	struct addr a;

	*n = 0;
	while (str_next(&text, '\n', &line)) {
		if (!addr_parse_ip(line, 0, &a))
			continue;
		if (*n == NEAR_MAX)
			return false;
		*n += ip_of(&a, &ip[*n]);
	}
	return true;
}

static size_t differ(const struct near_ip *a, size_t n_a, const struct near_ip *b, size_t n_b, struct near_ip *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < n_a; i++)
		if (!has(b, n_b, &a[i]))
			ret[n++] = a[i];
	return n;
}

bool near_replace(struct near *n, struct str text)
{
	size_t lines = 1, now;

	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	struct near_ip *ip = mem_zarray(lines < NEAR_MAX ? lines : NEAR_MAX, sizeof(*ip));
	struct near_ip *changed = mem_zarray(n->n + (lines < NEAR_MAX ? lines : NEAR_MAX), sizeof(*changed));
	if (!ip || !changed) {
		mem_free(ip);
		mem_free(changed);
		return false;
	}
	bool all = read(text, ip, &now);
	now = tidy(ip, now);
	n->n_changed = differ(ip, now, n->ip, n->n, changed);
	n->n_changed += differ(n->ip, n->n, ip, now, changed + n->n_changed);
	n->n_changed = tidy(changed, n->n_changed);
	mem_free(n->ip);
	mem_free(n->changed);
	n->ip = ip;
	n->changed = changed;
	n->n = now;
	n->all_changed = !n->known;
	n->known = true;
	return all;
}

void near_release(struct near *n)
{
	mem_free(n->ip);
	mem_free(n->changed);
	*n = (struct near){ .known = false };
}

enum near_place near_where(const struct near *n, const struct addr *a)
{
	struct near_ip ip;

	if (!n || !n->known || !ip_of(a, &ip))
		return NEAR_UNKNOWN;
	return addr_is_loopback(a) || has(n->ip, n->n, &ip) ? NEAR_HERE : NEAR_ELSEWHERE;
}

bool near_changed(const struct near *n, const struct addr *a)
{
	struct near_ip ip;

	return ip_of(a, &ip) && (n->all_changed || has(n->changed, n->n_changed, &ip));
}
