/* What plug-ins implement. A plug-in is one file (pair) under plugins/ and one exported const struct, listed in
 * plugins/registry.c. It sees base/, net/, http/ and this file, never proxy/, control/ or attach/.
 *
 * Sources say what options and properties a service has (outrider.config). One object per service and place:
 *
 *     control                                        plug-in
 *     ops->open(config, events, arg)   ───────────>  begins to read, returns at once
 *                                      <───────────  on_values: all it knows, each time that something changed
 *                                      <───────────  on_trouble: what is wrong, or "" when it was put right
 *     ops->refresh()                   ───────────>  read again soon
 *     ops->close()                     ───────────>  no callback after this
 *
 * Nothing blocks: every wait is on the loop, what can only block sits on a helper thread. On trouble the last values
 * stand. Thread: the loop's (control). */
#ifndef OUTRIDER_PLUGIN_H
#define OUTRIDER_PLUGIN_H

#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"
#include "net/resolve.h"

#define SOURCE_PROPERTIES_MAX 65536u /* of all sets of one source */
#define SOURCE_PROFILES_MAX 16u

struct source_property {
	struct str key, value;
	struct str origin; /* for people: "file:/etc/outrider/application.yml:12"; never credentials */
	uint32_t set;      /* properties of one file, hash or answer have one number; the first set is the strongest */
};

struct source_config {
	struct loop *loop;
	struct netspace *ns;       /* where its connections are made */
	struct resolver *resolver; /* for names of peers */
	struct str address;        /* what follows "plugin:" in outrider.config; several by '|' */
	struct str service;        /* "application" when there is none */
	struct str profiles;       /* comma list, the last one wins; may be empty */
	usec poll;                 /* for what can only be asked again; jitter it by a tenth */
};

struct source_events {
	/* All properties, sorted by set, strongest first. Valid during the call: the callee copies. Not inside open(). */
	void (*on_values)(void *arg, const struct source_property *at, size_t n);
	/* Called when it changes, not at every try; "" = all is well again. Names the place (file:line). */
	void (*on_trouble)(void *arg, const char *why);
};

struct source; /* the plug-in's own */

struct source_ops {
	const char *name; /* "file" */
	const char *help; /* one line: what its address looks like */
	/* Copies what it keeps of config, but for loop, ns and resolver. NULL and err: the address makes no sense, or memory
	 * is short. A peer or folder that is not there is no error but trouble. */
	struct source *(*open)(const struct source_config *config, const struct source_events *events, void *arg,
			       struct err *err);
	void (*refresh)(struct source *s);
	void (*close)(struct source *s); /* NULL is fine; not inside its callbacks */
	/* For `outrider check`: judges what can be judged without a network; NULL when there is nothing. Calls `say` for every
	 * problem ("file:line: cause; remedy"), `service` for every service and profile that it has values for. */
	bool (*check)(struct str address, void (*say)(void *arg, const char *problem),
		      void (*service)(void *arg, struct str service, struct str profile), void *arg);
	bool local;   /* needs no network: what is wrong with it when the agent starts is an error, not a wait */
	bool trigger; /* holds no values: its on_values (n = 0) only says that the others shall read again */
};

/* plugins/registry.c; NULL-terminated. */
extern const struct source_ops *const plugin_sources[];

#endif
