/* Configuration from Redis: which hashes belong to a service, read as a whole and read again when something changes.
 *
 * Hashes, the strongest first (Spring's order: what is for a profile before what is for all, then what is for the service
 * before what is for all; of several profiles the last one named is the strongest):
 *
 *     outrider:config:<service>:<profile>        outrider:config:application:<profile>
 *     outrider:config:<service>                  outrider:config:application
 *
 * Read by HGETALL over one connection. A second one hears of changes: a message on channel `outrider:config` (a service's
 * name, `application`, or `*`), or keyspace events of these hashes where the server has them on (notify-keyspace-events
 * Kh$g or more). Whatever is missed there the poll finds: REDIS_POLL, jittered by a tenth.
 *
 * Failure (DESIGN section 9): while the server is away, loading, stopped or answers garbage the last values stay. When all
 * hashes are suddenly empty (FLUSHALL, a restart without data, a wrong database) they stay for REDIS_EMPTY_HOLD; then the
 * emptiness is believed. Bounds: REDIS_FIELDS_MAX fields, REDIS_VALUE_MAX bytes each, REDIS_TOTAL_MAX of one hash.
 * Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_REDIS_CONFIG_H
#define OUTRIDER_PLUGINS_REDIS_CONFIG_H

#include "redis_link.h"

#define REDIS_POLL (30 * USEC_SEC)
#define REDIS_EMPTY_HOLD (60 * USEC_SEC)
#define REDIS_READ_GAP (20 * USEC_MS) /* between two readings, however many notices come */
#define REDIS_FIELDS_MAX 10000u
#define REDIS_VALUE_MAX (1u << 20)
#define REDIS_TOTAL_MAX (16u << 20)
#define REDIS_ADDRESSES_MAX 4u
#define REDIS_PROFILES_MAX 16u

struct redis_config;

struct redis_field {
	struct str key, value;
	struct str hash; /* the key of the hash it stands in: its origin */
	unsigned rank;   /* of that hash; 0: the strongest */
};

struct redis_config_events {
	/* New values: all fields of all hashes, the strongest hash first, so of equal keys the first one counts. Called only when they
	 * differ from the last ones. Valid during the call. */
	void (*on_values)(void *arg, const struct redis_field *fields, size_t n);
	/* Something is wrong, or was put right (why = ""). Called when that changes, not at every try. */
	void (*on_trouble)(void *arg, const char *why);
};

struct redis_config_options {
	struct loop *loop;
	struct netspace *ns;
	struct resolver *resolver;
	struct str address;            /* see redis_address_parse(); several by | are tried in turn */
	bool secure;                   /* rediss: */
	const char *ca;                /* CA file; NULL: the system's */
	struct str username, password; /* for addresses that say none; empty: none */
	struct str service;            /* may be empty: only `application` is read */
	struct str profiles;           /* comma list */
	usec poll;                     /* 0: REDIS_POLL */
	usec empty_hold;               /* 0: REDIS_EMPTY_HOLD */
};

/* Everything in `options` is copied, but for loop, ns and resolver. Starts connecting. */
struct redis_config *redis_config_new(const struct redis_config_options *options,
	const struct redis_config_events *events, void *arg, struct err *err) MUST_CHECK;
void redis_config_free(struct redis_config *c);    /* NULL is fine; not inside its callbacks */
void redis_config_refresh(struct redis_config *c); /* read again soon */
/* Whom the values or the trouble that is being told came from; valid during the callback. */
const struct redis_address *redis_config_server(const struct redis_config *c);

/* What one HGETALL answered: n fields added to the end of *set. For the fuzzer and the reading itself. */
struct redis_set {
	struct text bytes;
	struct redis_at {
		size_t at, key_n, value_n;
		unsigned hash;
	} * fields;
	size_t n, cap;
	uint64_t sum[2]; /* over all fields, whatever their order within a hash */
};
bool redis_set_add(struct redis_set *set, unsigned hash, const struct resp_value *values, size_t n,
	uint64_t seed, struct err *err) MUST_CHECK;
void redis_set_clear(struct redis_set *set);

#endif
