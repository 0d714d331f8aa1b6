/* The order of what files said: by service, then address. */
#include "file_endpoints.h"

#include "base/mem.h"

#include <stdlib.h>

static int compare_names(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	if (a.p == b.p && a.n == b.n) /* of one block of a file */
		return 0;
	int order = n ? memcmp(a.p, b.p, n) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_addresses(const struct addr *a, const struct addr *b)
{
	int order = (a->sa.sa_family > b->sa.sa_family) - (a->sa.sa_family < b->sa.sa_family);

	if (order == 0 && a->sa.sa_family == AF_INET)
		order = memcmp(&a->in.sin_addr, &b->in.sin_addr, sizeof(a->in.sin_addr));
	else if (order == 0)
		order = memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	return order ? order : (int)addr_port(a) - (int)addr_port(b);
}

static int compare(const void *a, const void *b)
{
	const struct file_entry *x = a, *y = b;
	int order = compare_names(x->service, y->service);

	return order ? order : compare_addresses(&x->endpoint.addr, &y->endpoint.addr);
}

/* Of those with one address the one that is up comes first, and stays. */
static int compare_better(const void *a, const void *b)
{
	const struct file_entry *x = a, *y = b;
	int order = compare(a, b);

	return order ? order : (int)x->endpoint.state - (int)y->endpoint.state;
}

static bool is_sorted(const struct file_endpoints *f)
{
	for (size_t i = 1; i < f->n; i++)
		if (compare_better(&f->at[i - 1], &f->at[i]) > 0)
			return false;
	return true;
}

void file_endpoints_sort(struct file_endpoints *f)
{
	size_t kept = 0;

	if (f->n < 2)
		return;
	if (!is_sorted(f))
		qsort(f->at, f->n, sizeof(*f->at), compare_better);
	for (size_t i = 1; i < f->n; i++)
		if (compare(&f->at[kept], &f->at[i]) != 0)
			f->at[++kept] = f->at[i];
	f->n = kept + 1;
	struct file_entry *fitting = mem_resize(
		f->at, f->n * sizeof(*f->at)); /* it stays for long, and doubling left much room */
	if (fitting) {
		f->at = fitting;
		f->cap = f->n;
	}
}

bool file_endpoints_find(const struct file_endpoints *f, struct str service, size_t *from, size_t *to)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (compare_names(f->at[mid].service, service) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*from = *to = low;
	if (low == f->n || !str_eq(f->at[low].service, service))
		return false;
	for (high = low; high < f->n && compare_names(f->at[high].service, f->at[low].service) == 0;)
		high++;
	*from = low;
	*to = high - low > REGISTRY_ENDPOINTS_MAX ? low + REGISTRY_ENDPOINTS_MAX : high;
	return high > low;
}

uint64_t file_endpoints_sum(const struct file_endpoints *f, size_t from, size_t to)
{
	uint64_t sum = to - from;

	for (size_t i = from; i < to; i++) {
		const struct registry_endpoint *e = &f->at[i].endpoint;
		bool four = e->addr.sa.sa_family == AF_INET;
		struct str ip = four ? str_make((const char *)&e->addr.in.sin_addr, 4)
				     : str_make((const char *)&e->addr.in6.sin6_addr, 16);
		sum = str_hash(
			ip, sum * 31u + ((uint64_t)addr_port(&e->addr) << 32) + e->weight * 2u + e->state);
		sum = str_hash(e->instance, str_hash(e->node, str_hash(e->zone, sum)));
		for (size_t k = 0; k < e->n_meta; k++)
			sum = str_hash(e->meta[k].value, str_hash(e->meta[k].key, sum));
	}
	return sum;
}
