/* What a registry said of a service at one time: a set of endpoints with all their texts, never changed afterwards. */
#ifndef OUTRIDER_CONTROL_ENDPOINT_SET_H
#define OUTRIDER_CONTROL_ENDPOINT_SET_H

#include "base/arena.h"
#include "plugin.h"

#define ENDPOINT_SET_MEMORY_MAX (16u << 20) /* bytes of one set */

struct endpoint_set {
	unsigned refs; /* control only */
	struct arena arena;
	struct registry_endpoint *at; /* sorted by address, without duplicates; texts in the arena */
	size_t n;
	const char
		*source; /* name of the registry, "eureka:http://…", credentials masked; borrowed for ever */
	usec since;      /* wall time when it was said first */
};

/* A copy, sorted, duplicates dropped (the first one counts), texts cut to sane lengths. NULL: no memory, or more than
 * REGISTRY_ENDPOINTS_MAX. */
struct endpoint_set *endpoint_set_new(
	const struct registry_endpoint *at, size_t n, const char *source) MUST_CHECK;
void endpoint_set_unref(struct endpoint_set *s); /* NULL is fine */
/* Do both say the same, whatever was said when? NULL equals NULL only. */
bool endpoint_set_same(const struct endpoint_set *a, const struct endpoint_set *b);
/* The order of sets: by family, address, port. */
int endpoint_compare(const struct addr *a, const struct addr *b);
/* The value of a metadata key of an endpoint; {NULL, 0}: none. */
struct str endpoint_meta(const struct registry_endpoint *e, struct str key);

#endif
