#include "proxy/crowd.h"

static uint64_t hash(const void *p, size_t n)
{
	const unsigned char *b = p;
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 0x100000001b3u;
	h ^= h >> 32;
	return h * 0x9e3779b97f4a7c15u;
}

struct crowd_place crowd_place(const struct addr *a)
{
	uint64_t h = a->sa.sa_family == AF_INET	   ? hash(&a->in.sin_addr, sizeof(a->in.sin_addr))
		     : a->sa.sa_family == AF_INET6 ? hash(&a->in6.sin6_addr, 8) /* a client has a /64 to itself */
						   : 0;

	return (struct crowd_place){ { (uint16_t)(h >> 48 & (CROWD_WIDTH - 1)), (uint16_t)(h >> 32 & (CROWD_WIDTH - 1)) } };
}

void crowd_leave(struct crowd *c, struct crowd_place p)
{
	for (unsigned i = 0; i < 2; i++)
		atomic_fetch_sub_explicit(&c->n[i][p.at[i]], 1, memory_order_relaxed);
}

bool crowd_enter(struct crowd *c, struct crowd_place p, uint32_t max, bool observe, bool *would)
{
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < 2; i++) {
		uint32_t n = atomic_fetch_add_explicit(&c->n[i][p.at[i]], 1, memory_order_relaxed);
		least = n < least ? n : least;
	}
	*would = least >= max;
	if (!*would || observe)
		return true;
	crowd_leave(c, p);
	return false;
}
