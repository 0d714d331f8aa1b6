/* What a Eureka server knows: all instances of all applications, kept up by full answers and deltas. The hash that tells whether
 * a delta left us with the server's picture counts all of them (shared knowledge: eureka, section 4). Thread: its owner's. */
#ifndef OUTRIDER_PLUGINS_EUREKA_APPS_H
#define OUTRIDER_PLUGINS_EUREKA_APPS_H

#include "base/list.h"
#include "base/table.h"
#include "base/text.h"
#include "plugin.h"

#define EUREKA_INSTANCES_MAX 65536u

enum eureka_status { EUREKA_DOWN, EUREKA_OUT_OF_SERVICE, EUREKA_STARTING, EUREKA_UNKNOWN, EUREKA_UP, EUREKA_STATUSES }; /* by name */

struct eureka_instance { /* one block of memory, texts included */
	struct list link;    /* in its application */
	struct str app, key; /* lower case; "app/id" */
	struct str vips;     /* comma list, lower case */
	struct registry_endpoint endpoint;
	uint8_t status;  /* enum eureka_status */
	bool routable;   /* it has an IP address and a plain port */
	bool deleted;    /* in a delta: it left */
	bool kept;       /* the server lost it; not counted, dropped when the grace ends */
	struct registry_meta meta[];
};

struct eureka_answer { /* /apps or /apps/delta, read; zeroed is empty */
	struct eureka_instance **at; /* owned, NULL where eureka_apps_… took it */
	size_t n, cap;
	char hash[256]; /* "" when there was none, or nobody is registered */
	bool has_hash;
};
void eureka_answer_release(struct eureka_answer *a); /* twice harmless */

struct eureka_apps {
	struct table instances, apps; /* by key; by lower-case name: struct eureka_app */
};

void eureka_apps_init(struct eureka_apps *a, uint64_t seed);
void eureka_apps_release(struct eureka_apps *a);
/* Takes all that the full answer lists. What it does not list any more is dropped, or kept as such when `keep`. false: no memory
 * or too many; a is to be thrown away. */
bool eureka_apps_replace(struct eureka_apps *a, struct eureka_answer *full, bool keep) MUST_CHECK;
bool eureka_apps_apply(struct eureka_apps *a, struct eureka_answer *delta) MUST_CHECK; /* false: as above */
void eureka_apps_forget(struct eureka_apps *a); /* those kept */
/* "DOWN_1_UP_8_" */
void eureka_apps_hash(const struct eureka_apps *a, char ret[256]);
/* Adds the service's routable instances: those of the application of that name (lower case), else those whose VIP it is. Borrowed
 * until the next change. *ret is to be mem_free()d; NULL and 0 when there are none. false: no memory. */
bool eureka_apps_find(const struct eureka_apps *a, struct str service, struct registry_endpoint **ret, size_t *n) MUST_CHECK;
uint64_t eureka_sum(const struct registry_endpoint *at, size_t n); /* equal sets have equal sums, in any order */

#endif
