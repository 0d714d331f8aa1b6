/* What is known of a local container: read from the engine's JSON by the keeper, packed, and unpacked by the proxy.
 *
 *     engine's JSON ──container_read()──> struct container ──container_pack()──> bytes ──container_unpack()──> the same
 *
 * Facts: shared knowledge "docker-swarm", section 2. Fields that an engine's version lacks are empty; what names a file (the sandbox)
 * is taken only when it looks as the engine writes it. Bounds: CONTAINER_PAIRS_MAX variables and labels, CONTAINER_BYTES_MAX bytes; of networks
 * the first CONTAINER_NETWORKS_MAX are taken.
 * Owner: whoever has the struct; all texts lie in its arena. Pure; any thread. */
#ifndef OUTRIDER_ATTACH_CONTAINER_H
#define OUTRIDER_ATTACH_CONTAINER_H

#include "base/arena.h"
#include "base/text.h"

#define CONTAINER_PAIRS_MAX 8192u
#define CONTAINER_BYTES_MAX (2u << 20)
#define CONTAINER_NETWORKS_MAX 64u
#define CONTAINER_ID_LENGTH 64u

struct container_pair {
	struct str key, value;
};

struct container_network {
	struct str name, address, address6; /* without prefix lengths */
};

enum container_state { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_PAUSED, CONTAINER_ENDED };

struct container {
	struct arena arena;
	struct str id, name, image, hostname;
	struct str sandbox; /* basename of its network namespace's file; empty: it has none */
	struct str network_mode, entry; /* "host", "container:ID", …; path of its first process */
	uint8_t state;      /* enum container_state */
	/* The keeper's alone, they are not packed: */
	struct str log_driver; /* "json-file" */
	uint64_t started;      /* ns since 1970; 0: not yet */
	bool terminal;         /* its output has no frames */
	size_t n_env, n_labels, n_networks;
	struct container_pair *env, *labels;
	struct container_network *networks;
};

/* Body of GET /containers/ID/json. false: err; c is released then. */
bool container_read(struct container *c, struct str body, struct err *err) MUST_CHECK;
void container_release(struct container *c); /* a zeroed one is fine */

struct str container_label(const struct container *c, const char *key); /* {NULL, 0}: it has none */
struct str container_env(const struct container *c, const char *key);

struct container_rule { /* of the operator: who may have a sidecar */
	bool all; /* also those that say nothing of us: outrider.expose=all */
	struct str stacks, networks; /* comma lists; empty: any. A container without a stack stands in none that is listed */
};

/* Does it want a sidecar (DESIGN section 2, "Opt in"), and may it have one? *why: why not, in words for a log; NULL when it says nothing
 * of us at all, or when it does. */
bool container_opts_in(const struct container *c, const struct container_rule *rule, const char **why);

/* Failure shows in t->failed. */
void container_pack(const struct container *c, struct text *t);
/* The texts are copied. false: no memory, or bytes that container_pack() did not make. */
bool container_unpack(struct container *c, struct str bytes, struct err *err) MUST_CHECK;

#endif
