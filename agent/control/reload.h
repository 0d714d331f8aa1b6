/* Live configuration: what sources say becomes the options and properties that are in force, or is refused as a whole.
 *
 *     a source says something new ──> job: read flags and env ─> merge ─> placeholders ─> options ─> check ─> apply
 *                                                                                        │              │
 *                                                          rejected: the old ones stay <─┴──────────────┘
 *
 * A job runs in slices of RELOAD_SLICE on the control loop, so that no callback is long; changes that come while it runs
 * make one more job, RELOAD_GAP after the last began. What was in force stays until the new is applied.
 * Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_RELOAD_H
#define OUTRIDER_CONTROL_RELOAD_H

#include "base/list.h"
#include "control/log.h"
#include "control/options.h"
#include "control/properties.h"
#include "control/sources.h"

#define RELOAD_SLICE (2 * USEC_MS)
#define RELOAD_GAP (10 * USEC_MS)

struct reload;
struct json;

enum reload_apply { APPLY_MORE, APPLY_DONE, APPLY_FAILED };

struct reload_config {
	struct loop *loop;
	struct log *log;
	struct options *start; /* borrowed: flags and env, checked; what they say of the chain holds for ever */
	enum command command;
	int argc; /* flags and environment are read again with every job; borrowed */
	char **argv;
	char *const *environ_;
	/* Adds further layers behind flags and environment; NULL: there are none. false: no memory. */
	bool (*layers)(void *arg, struct options *o, struct err *err);
	const struct source_ops *const *plugins; /* as in sources_config */
	/* Puts good options in force: specs, listeners. Works until about `until` on clock_now() and says MORE to be called again with
	 * the same options on a later turn; meanwhile the former ones stay in force. FAILED and err: they could not; nothing has
	 * changed then. Not called for the first good ones, which the owner finds by reload_options(). Who frees the reload in
	 * between gives up first what it makes of `o`. */
	enum reload_apply (*apply)(void *arg, const struct options *o, usec until, struct err *err);
	/* A change is in force (problems: no), or was refused; not of the first. May be NULL. */
	void (*ended)(void *arg, bool refused);
	void *arg;
};

struct reload_stats {
	uint64_t version;   /* of what is in force: 1 = the first; 0 = nothing yet */
	uint64_t hash;      /* of all properties; equal for instances that have the same */
	usec at;            /* wall time since which it is in force */
	uint64_t applied, rejected, unchanged; /* jobs by their end */
	uint64_t in_row;    /* rejected since the last good one */
	usec took, slice;   /* the last job: from its first slice to its last, its longest slice */
	usec longest;       /* slice of all jobs */
	size_t properties;
};

/* NULL and err: the chain makes no sense, or memory is short. With an empty chain everything works and never changes. */
struct reload *reload_new(const struct reload_config *config, struct err *err) MUST_CHECK;
void reload_free(struct reload *r); /* NULL is fine */

/* Start: turns the loop until the sources have said what they know, at most outrider.config-wait; then takes what there is.
 * `stop` is asked between turns. false and err: what was said is wrong (problems in reload_problems()), a local source
 * is, or outrider.config-required and one has said nothing. */
bool reload_first(struct reload *r, bool (*stop)(void *arg), void *arg, struct err *err) MUST_CHECK;

/* The same at once, with what is known now, in a process that cannot wait because others are served: what the sources say comes
 * later, as a change. */
bool reload_now(struct reload *r, struct err *err) MUST_CHECK;

/* How many problems the last refused change has; prints none. 0: it was not refused. */
size_t reload_problems(const struct reload *r);
const struct options *reload_options(const struct reload *r);       /* in force; before reload_first() those of the start */
const struct properties *reload_properties(const struct reload *r); /* in force */
struct reload_stats reload_stats(const struct reload *r);
bool reload_source(const struct reload *r, size_t i, struct source_view *ret); /* false: there are no more than i */
/* The first problem of the change that was refused last; false: none was. */
bool reload_problem(const struct reload *r, struct str *key, struct str *why);
/* Keys that the last change changed, for people: "outrider.retry.tries, outrider.mode and 4 more". Values may be secret. "": not known. */
const char *reload_changed(const struct reload *r);
void reload_refresh(struct reload *r); /* POST /refresh: all sources read again */
/* "config": … of /stats; members of an open object of /config. */
void reload_print_stats(const struct reload *r, struct json *j);
void reload_print(const struct reload *r, struct json *j);

/* Called after every change of properties or options that was applied. */
struct reload_watch {
	struct list link;
	void (*fn)(void *arg);
	void *arg;
};
void reload_watch(struct reload *r, struct reload_watch *w);
void reload_unwatch(struct reload_watch *w); /* of a zeroed one harmless */

#endif
