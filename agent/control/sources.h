/* The chain of outrider.config: opens its sources and keeps the last values that each of them said.
 *
 *     struct sources *s = sources_open(&config, &err);     config.on_change is called when one said something new
 *     struct source_values *v = sources_take(s, i);        stays as it is until values_release(v)
 *
 * Thread: control's. */
#ifndef OUTRIDER_CONTROL_SOURCES_H
#define OUTRIDER_CONTROL_SOURCES_H

#include "base/arena.h"
#include "base/text.h"
#include "plugin.h"

#include <stdatomic.h>

#define SOURCES_MAX 16u
#define SOURCES_VALUES_MAX (32u * 1024u * 1024u) /* bytes of the values of one source */

struct sources;

struct source_values { /* what a source said at one time; never changed; a reference may be released by any thread */
	atomic_uint refs;
	struct arena arena;
	struct source_property *at;
	size_t n;
};

struct source_view {
	const struct source_ops *ops;
	const char *name;    /* "file:/etc/outrider", credentials as *** */
	const char *trouble; /* "" = well */
	bool said;           /* has said values since it was opened; else they are none, or from the cache */
	size_t n;            /* properties */
	uint64_t times;      /* that it said values */
	usec at;             /* wall time of the last; 0 = never */
};

struct sources_config {
	struct loop *loop;
	struct str chain; /* outrider.config */
	struct str service, profiles;
	usec poll;
	struct plugin_settings settings;
	const struct source_ops *const *plugins; /* NULL-terminated; NULL: plugin_sources */
	/* A source said new values (or its trouble changed: values false). */
	void (*on_change)(void *arg, size_t source, bool values);
	void *arg;
};

/* An empty chain is fine. NULL and err: no such plug-in, an address that makes no sense, no memory. */
struct sources *sources_open(const struct sources_config *config, struct err *err) MUST_CHECK;
void sources_close(struct sources *s); /* NULL is fine */
size_t sources_count(const struct sources *s);
struct source_view sources_view(const struct sources *s, size_t i);
void sources_refresh(struct sources *s); /* all read again */
/* A reference to the last values; NULL when there are none. */
struct source_values *sources_take(const struct sources *s, size_t i);
void values_release(struct source_values *v); /* NULL is fine */
/* A copy. NULL: no memory or too many. */
struct source_values *values_copy(const struct source_property *at, size_t n) MUST_CHECK;
/* Values that the source said in an earlier life; what it says itself replaces them. Takes the reference. */
void sources_put_cached(struct sources *s, size_t i, struct source_values *v);

/* The plug-in of an item of the chain, its address in *address; NULL and err. */
const struct source_ops *source_find(struct str item, struct str *address, struct err *err);

#endif
