/* What discovery.c, discovery_life.c and discovery_own.c share; private to them. */
#ifndef OUTRIDER_CONTROL_DISCOVERY_INT_H
#define OUTRIDER_CONTROL_DISCOVERY_INT_H

#include "control/discovery.h"

#include "base/list.h"
#include "base/table.h"
#include "control/met.h"
#include "net/timer.h"

#define DISCOVERY_TROUBLE_MAX 1024u
#define DISCOVERY_TICK USEC_SEC

struct asked { /* one registry of the chain */
	struct discovery *owner;
	const struct registry_ops *ops;
	struct registry *registry;
	struct text name, trouble;
	size_t services, endpoints;
	uint64_t updates;
	usec at;
	usec keep; /* so long its sets are believed without a word of it; 0: without end */
};

struct part {                     /* what one registry says of one service */
	struct endpoint_set *set; /* NULL: nothing */
	bool watched, answered;
	bool stale;  /* the registry is silent for so long that the set is not believed; it is kept, for it may come back unchanged */
	usec silent; /* since when the registry does not answer for it (monotonic); 0: it does */
	usec gone;   /* since when it says that there is none (monotonic); 0: it does not */
};

struct service {
	struct list link; /* the one that was wanted longest ago first */
	struct str name;  /* owned */
	struct part parts[DISCOVERY_REGISTRIES_MAX];
	uint8_t order[DISCOVERY_REGISTRIES_MAX]; /* registries to believe, the strongest first */
	uint8_t n_order;
	const struct endpoint_set *chosen; /* of one of the parts */
	usec wanted;                       /* the last time (monotonic) */
	bool told_unknown;
	bool again; /* it was wanted: who asked is to be told what is known */
};

struct discovery {
	struct discovery_config cfg;
	usec hold, idle;
	struct resolver *names, *dns; /* owned; for peers; DNS only */
	struct table table;           /* name to struct service */
	struct met *met;              /* owned; what agents said */
	struct list services;
	struct timer tick, soon; /* soon: those with `again` */
	size_t n;
	struct asked at[DISCOVERY_REGISTRIES_MAX];
};

extern const struct registry_events discovery_events; /* what registries say; their argument is their struct asked */
void discovery_on_tick(void *discovery);
void discovery_on_soon(void *discovery);

#endif
