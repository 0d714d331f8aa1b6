/* The agent's own log: records that the hub (control/logs.h) brings to the sinks of outrider.log, as JSON one object per line.
 *
 *     {"time":"2026-11-23T04:05:06.789Z","level":"info","subsystem":"process","message":"serving","workers":2}
 *
 *     log_write(log, LEVEL_INFO, "process", "serving", LOG_FIELDS(log_u64("workers", 2)));
 *
 * Without a hub (while options are read, and of the keeper) a line is written to fd with one write(2), which may block when the reader is
 * slow. It is for the rare events of the slow path (start, stop, a listener that could not be opened), never for exchanges. Messages are
 * constant sentences; what varies stands in fields. A line that cannot be written is counted, not repeated.
 * Thread: control's. */
#ifndef OUTRIDER_CONTROL_LOG_H
#define OUTRIDER_CONTROL_LOG_H

#include "plugin.h"

struct logs;

enum log_type { LOG_END, LOG_TEXT, LOG_U64, LOG_I64, LOG_BOOL };

struct log_field {
	const char *key;
	enum log_type type;
	union {
		const char *text; /* NULL is written as null */
		uint64_t u64;
		int64_t i64;
		bool yes;
	};
};

struct log {
	int fd;            /* borrowed: where lines go while there is no hub */
	struct logs *hub;  /* borrowed: control/logs.h; NULL: none */
	enum log_level level; /* while there is no hub, which has levels of its own */
	uint64_t seat;     /* of the sidecar whose log it is; 0: the agent itself */
	const char *service, *task; /* of the sidecar whose log it is, in every line; borrowed; NULL: left out */
	uint64_t lines, lost; /* written; not written for lack of memory or by a failed write */
};

#define LOG_FIELDS(...) ((const struct log_field[]){ __VA_ARGS__, { .type = LOG_END } })

static inline struct log_field log_text(const char *key, const char *z)
{
	return (struct log_field){ .key = key, .type = LOG_TEXT, .text = z };
}
static inline struct log_field log_u64(const char *key, uint64_t v)
{
	return (struct log_field){ .key = key, .type = LOG_U64, .u64 = v };
}
static inline struct log_field log_i64(const char *key, int64_t v)
{
	return (struct log_field){ .key = key, .type = LOG_I64, .i64 = v };
}
static inline struct log_field log_bool(const char *key, bool v)
{
	return (struct log_field){ .key = key, .type = LOG_BOOL, .yes = v };
}

void log_init(struct log *l, int fd, enum log_level level);
/* fields: LOG_FIELDS(…), or NULL for none. */
void log_write(struct log *l, enum log_level level, const char *subsystem, const char *message,
	const struct log_field *fields);

const char *log_level_word(enum log_level level);
const char *log_kind_word(unsigned kind); /* "agent", "access", "app" */
/* Every word that stands as `subsystem`; NULL-terminated. tests/check/subsystems.py proves it. */
extern const char *const log_subsystems[];
/* "error", "warn", "info", "debug"; false otherwise and *ret is untouched. */
bool log_level_parse(struct str word, enum log_level *ret) MUST_CHECK;

#endif
