/* The hub of all log records: the agent's own (log.h), the access log's (access_log.h), and what services wrote.
 *
 *     log_write ─────────┐                 ┌──> sinks of outrider.log (plugin.h): json, text, file, gelf, syslog
 *     access_log_record ─┼─> logs_put() ───┼──> the last ones, kept for GET /log/recent (log_keep.h)
 *     captured output ───┘                 └──> readers of GET /log/tail (log_tail.h)
 *
 * Records of the agent's own log pass by level, which each subsystem may have of its own, and repeated ones are collapsed: of equal records
 * within LOGS_WINDOW the first LOGS_BURST pass, then one that says how many more there were ("repeated":17). Access and app records pass
 * as they are. A sink never delays anybody: what it has no room for is dropped and counted by the sink, with the reason.
 *
 * Between logs_flush() and logs_free() records of the agent's own log go to the descriptor of their struct log again; others are dropped.
 * Thread: control's. */
#ifndef OUTRIDER_CONTROL_LOGS_H
#define OUTRIDER_CONTROL_LOGS_H

#include "control/log.h"

#define LOGS_SINKS_MAX 6u
#define LOGS_LEVELS_MAX 32u           /* subsystems with a level of their own */
#define LOGS_SUBSYSTEM_MAX 32u        /* bytes of a name, with NUL */
#define LOGS_WINDOW (10 * USEC_SEC)
#define LOGS_BURST 3u

struct json;
struct httpd_request;
struct options;
struct logs;

struct logs_config {
	struct loop *loop;
	const struct options *options; /* read during the call: log, log.level, log.levels, and those of sinks */
	struct sink_identity identity; /* borrowed; host NULL: the machine's name */
};

/* Opens what outrider.log names. NULL and err: which is wrong, or memory is short. */
struct logs *logs_new(const struct logs_config *config, struct err *err) MUST_CHECK;
/* The agent leaves: what is collapsed is said, sinks write what they have, for about a second; turns the loop. */
void logs_flush(struct logs *h);
void logs_free(struct logs *h); /* nobody may have it any more; NULL is fine */

/* Hands the record to all; texts are valid during the call. r->json may be empty. Never blocks, never fails. */
void logs_put(struct logs *h, const struct log_record *r);
/* Would a record of the agent's own log pass? Cheap. */
bool logs_wants(const struct logs *h, enum log_level level, struct str subsystem);
bool logs_ended(const struct logs *h); /* logs_flush() was called */
void logs_name_host(struct logs *h, const char *host); /* sinks name it from now on; NULL or "": the machine's name */
void logs_reopen(struct logs *h);      /* all sinks that write files */

/* level LEVEL_COUNT: back to what the options say. subsystem empty: all that have no level of their own. false: LOGS_LEVELS_MAX have one. */
bool logs_set_level(struct logs *h, struct str subsystem, enum log_level level) MUST_CHECK;
enum log_level logs_level(const struct logs *h, struct str subsystem);
struct logs_level_row { const char *subsystem; enum log_level level, start; }; /* LEVEL_COUNT: none of its own */
bool logs_level_row(const struct logs *h, unsigned i, struct logs_level_row *ret); /* false: there are no more than i */

struct logs_sink {
	const char *name;    /* "gelf:udp://graylog:12201", credentials masked */
	const char *trouble; /* "" = all is well */
	struct sink_counts counts;
};
/* false: there are no more than i. */
bool logs_sink(const struct logs *h, unsigned i, struct logs_sink *ret);

struct logs_counts { uint64_t records[LOG_KINDS], repeated, dropped_memory; /* handed to sinks, by kind; collapsed; for lack of memory, to no sink */ };
struct logs_counts logs_counts(const struct logs *h);

struct log_keep;
struct log_tail;
const struct log_keep *logs_kept(const struct logs *h); /* for /log/recent */
struct log_tail *logs_tail(struct logs *h);             /* for /log/tail */

#endif
