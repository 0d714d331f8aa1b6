/* A borrowed slice of bytes: the one string type of the agent.
 *
 * A `struct str` owns nothing and need not end in NUL. It stays valid as long as the memory that it
 * points into (a received block, an arena, a literal). Functions here never allocate and never fail,
 * but for those that parse, which say so by their result.
 * Thread: pure, any. */
#ifndef OUTRIDER_BASE_STR_H
#define OUTRIDER_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p; /* first byte; may be NULL when n is 0 */
	size_t n;      /* bytes */
};

/* A slice of a string literal, usable in initialisers. */
#define STR(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
/* For printf("%.*s", STR_ARG(s)); never on the request path. */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *z)
{
	return (struct str){ z, z ? strlen(z) : 0 };
}

static inline struct str str_make(const char *p, size_t n)
{
	return (struct str){ p, n };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case folded comparison (names of fields, hosts). */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Without leading and trailing SP, HT, CR, LF. */
struct str str_trim(struct str s);

/* Takes the next piece of `*rest` up to `sep` (which is removed) into `*piece`, trimmed.
 * false when `*rest` is exhausted. An empty piece between two separators is returned as empty. */
bool str_next(struct str *rest, char sep, struct str *piece);

/* Index of the first `c`, or SIZE_MAX. */
size_t str_find(struct str s, char c);
/* Index of the last `c`, or SIZE_MAX. */
size_t str_rfind(struct str s, char c);

/* A host's name against "www.example.org", or "*.example.org": every name below it, by one label or more, never itself. In any case of
 * letters; a trailing dot makes another name. What stands for the star must look like a name: no empty label, no byte that no host has. */
bool str_host_fits(struct str pattern, struct str host);

/* Decimal digits only, the whole slice, no sign, no blanks. false on empty, other bytes, or overflow;
 * `*ret` is untouched then. */
bool str_u64(struct str s, uint64_t *ret);

/* Copies at most cap - 1 bytes and ends them in NUL; returns false when it had to cut. cap >= 1. */
bool str_copy(struct str s, char *dst, size_t cap);

/* A 64-bit hash for tables keyed by trusted names (not collision-proof against an attacker who
 * does not know `seed`; give a random seed where keys come from a network). */
uint64_t str_hash(struct str s, uint64_t seed);

#endif
