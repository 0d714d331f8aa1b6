/* What reload.c, reload_job.c, reload_print.c and config_cache.c share. */
#ifndef OUTRIDER_CONTROL_RELOAD_INT_H
#define OUTRIDER_CONTROL_RELOAD_INT_H

#include "base/rng.h"
#include "control/judge.h"
#include "control/reload.h"
#include "net/timer.h"

#define RELOAD_RETRY (10 * USEC_SEC)
#define RELOAD_CHANGED_MAX 240u

struct reload_job;

struct reload {
	struct reload_config cfg;
	struct sources *sources; /* owned */
	uint64_t seed;

	struct options *options; /* owned; in force; NULL before the first good ones */
	struct properties properties;
	struct reload_stats stats;
	struct reload_notes rejected; /* why the last job was refused; empty when it was not */
	struct reload_notes held;     /* options that wait for a restart */
	usec rejected_at;             /* wall */
	char changed[RELOAD_CHANGED_MAX]; /* keys of the last change */

	struct reload_job *job; /* owned; NULL: none is under way */
	bool dirty;             /* values came since the job began */
	bool retry;             /* the last job failed for want of memory or a port, not for what was said */
	bool first_over;        /* reload_first() has returned */
	usec job_began;
	struct timer gap;
	struct mail next;  /* the next slice */
	bool next_posted;
	struct list watches;
	struct cache_writer *writer; /* NULL: no outrider.config-cache */
};

/* --- reload_job.c --------------------------------------------------------------------------------------------------- */

enum job_end { JOB_MORE, JOB_APPLIED, JOB_UNCHANGED, JOB_REJECTED };

/* NULL: no memory. Takes references to the values that sources have now. */
struct reload_job *job_new(struct reload *r) MUST_CHECK;
void job_free(struct reload_job *j); /* NULL is fine */
/* Works for at most about RELOAD_SLICE. */
enum job_end job_slice(struct reload_job *j);

/* --- config_cache.c ------------------------------------------------------------------------------------------------- */

struct cache_writer;
/* Reads the file of outrider.config-cache into the sources that have said nothing yet. Returns how many got values. */
size_t cache_read(struct reload *r, const char *path);
/* Writes what the sources have said, on a thread of its own; a later call while it writes makes it write once more. */
void cache_write(struct reload *r);
/* Leaves a thread that writes to itself after half a second; turn the loop once more then. NULL is fine. */
void cache_writer_free(struct cache_writer *w);

#endif
