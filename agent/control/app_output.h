/* What services write, read from pipes and brought to the hub of log records (control/logs.h).
 *
 *     pipe ──> [app_frames] ──> app_lines ──> app_text ──> app_entry ──> stamps ──> logs_put()
 *
 * One app_output for all streams of a process: they are read in turn, a piece each, for APP_OUTPUT_SLICE of a turn; while there is more the next
 * slice comes after APP_OUTPUT_PAUSE, so that no service's output keeps control from its other work. Whoever writes faster than
 * outrider.app.log-rate is read slower, and waits when its pipe is full; whoever is within it never waits for a sink, which drops and counts what
 * it has no room for.
 * Thread: control's. */
#ifndef OUTRIDER_CONTROL_APP_OUTPUT_H
#define OUTRIDER_CONTROL_APP_OUTPUT_H

#include "base/err.h"
#include "control/log.h"
#include "net/loop.h"

#define APP_OUTPUT_SLICE (4 * USEC_MS)
#define APP_OUTPUT_PAUSE (8 * USEC_MS)
#define APP_OUTPUT_LAST ((size_t)1 << 20) /* bytes of what stands in a pipe at its end that are still read */

struct app_output;
struct app_stream;
struct logs;
struct json;

enum app_kind {
	APP_KIND_STDOUT,
	APP_KIND_STDERR,
	APP_KIND_FRAMES,
	APP_KIND_TERMINAL
}; /* the last two come from a container engine */

struct app_whose { /* copied; what is not known is empty */
	uint64_t seat;
	struct str service, task, stack, slot, node;
};

struct app_counts {                  /* by enum app_source: stdout, stderr */
	uint64_t lines[2], bytes[2]; /* given to the hub; that were read */
	uint64_t merged,
		split; /* lines that were JSON objects; pieces of lines that were too long, or had no end in time */
	uint64_t lost; /* bytes, for lack of memory */
};

struct app_stream_config {
	enum app_kind kind;
	struct app_whose whose;
	size_t line_max;
	uint64_t rate; /* lines per second; 0: any */
	bool colours;
	uint64_t after;    /* engine's streams: what was written until then was read by a former one, ns since 1970; 0: nothing was */
	struct app_counts *counts; /* borrowed: counted on; several streams may have the same */
	/* It is at its end, or broken: to be closed now or later. May be NULL. */
	void (*ended)(void *arg, bool broken);
	/* What an engine says itself of the stream; may be NULL. */
	void (*trouble)(void *arg, struct str why);
	void *arg;
};

struct app_output *app_output_new(struct loop *l, struct logs *hub, struct err *err) MUST_CHECK;
void app_output_free(struct app_output *o); /* its streams are closed; NULL is fine */

/* fd: non-blocking, the stream's from now on, also when NULL is returned: memory is short, or the loop refuses. */
struct app_stream *app_stream_open(
	struct app_output *o, int fd, const struct app_stream_config *config) MUST_CHECK;
/* Engine's streams: when the last line was written that was given on, ns since 1970; 0: none yet. */
uint64_t app_stream_stamp(const struct app_stream *s);
/* Lines that were written at that time or later are somebody else's; the stream ends soon after it. */
void app_stream_until(struct app_stream *s, uint64_t ns);
/* Reads what stands there (APP_OUTPUT_LAST at most) and gives a last line without its end. Others may still hold the pipe open: nobody waits
 * for them. May be called inside ended(). NULL is fine. */
void app_stream_close(struct app_stream *s);

void app_counts_put(struct json *j, const struct app_counts *c); /* members of an object, for pages */

#endif
