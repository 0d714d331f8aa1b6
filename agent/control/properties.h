/* The merged properties of one service: what all sources say together, before options are made of it.
 *
 *     properties_init(&p, seed);
 *     for each set, the strongest first:
 *             properties_begin_set(&p);
 *             for each key of the set: properties_add(&p, source, key, value, origin)
 *     for each i: properties_resolve(&p, i, environ, &why)
 *     value = properties_find(&p, key)->value;
 *
 * A set is what one file, hash or answer holds. The first value of a key counts (Spring's order). A list `name[0]`,
 * `name[1]` … belongs as a whole to the strongest set that has any of it; so does `name[0].field`.
 * Placeholders `${key}`, `${key:default}`, nested, `\${` for a literal one, are looked for among the merged values, then
 * in the environment; what cannot be resolved stays as it is written.
 * Adding copies. Bounds: PROPERTIES_MAX keys, PROPERTIES_MEMORY_MAX bytes, PROPERTIES_DEPTH_MAX of nested placeholders.
 * Thread: its owner's; once filled it may be read by all. */
#ifndef OUTRIDER_CONTROL_PROPERTIES_H
#define OUTRIDER_CONTROL_PROPERTIES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/table.h"
#include "base/text.h"

#define PROPERTIES_MAX 65536u
#define PROPERTIES_MEMORY_MAX (32u * 1024u * 1024u)
#define PROPERTIES_KEY_MAX 1024u             /* bytes of a key; longer ones are refused */
#define PROPERTIES_VALUE_MAX (1024u * 1024u) /* bytes of a value, resolved */
#define PROPERTIES_DEPTH_MAX 16u
#define PROPERTIES_STEPS_MAX 1000u           /* placeholders looked up for one value */
#define PROPERTIES_WORK_MAX (2u * 1024u * 1024u) /* bytes looked at for one value */

struct property {
	struct str key;
	struct str raw;     /* as the source said it */
	struct str value;   /* resolved; before properties_resolve() the same as raw */
	const char *origin; /* for people */
	uint32_t source;    /* place in the chain: 0 = the strongest */
};

struct properties {
	struct arena arena;
	struct table index; /* key to its place + 1 */
	struct table lists; /* root of a list to the number of its set + 1 */
	struct property *at;
	size_t n, cap;
	uint32_t set;  /* number of the set that is being added */
	uint64_t hash; /* over keys and resolved values, whatever their order; see properties_finish() */
};

void properties_init(struct properties *p, uint64_t seed);
void properties_release(struct properties *p); /* of a zeroed one harmless; texts are wiped: they may be secrets */
void properties_begin_set(struct properties *p);
/* false: no memory or too many (err). A value that a stronger set hides is passed over. */
bool properties_add(struct properties *p, uint32_t source, struct str key, struct str value, struct str origin,
		    struct err *err) MUST_CHECK;
/* Resolves the placeholders of one value. false: a cycle, too deep or too long (err names the key); the value stays raw. */
bool properties_resolve(struct properties *p, size_t i, char *const *environ_, struct err *err) MUST_CHECK;
/* Adds one value to the hash; each once, after it was resolved. */
void properties_hash(struct properties *p, size_t i);
const struct property *properties_find(const struct properties *p, struct str key); /* NULL: not there */
/* `text` with its placeholders replaced, onto `out`. false as properties_resolve(). */
bool properties_expand(const struct properties *p, struct str text, char *const *environ_, struct text *out,
		       struct err *err) MUST_CHECK;

/* "a.b[0].c[1]" gives "a.b"; a key without '[' gives {NULL,0}. */
struct str properties_list_root(struct str key);

#endif
