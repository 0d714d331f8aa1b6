/* Reads answers of a config server without holding up the loop: a large one on a thread that lives for it alone.
 *
 *     spring_reader_init(&r, loop, on_read, arg);
 *     spring_read(&r, body)      ───────>  on_read, at once or (a large body) on a later turn
 *     spring_reader_stop(&r)     ───────>  no on_read after this
 *
 * One body at a time. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_SPRING_READ_H
#define OUTRIDER_PLUGINS_SPRING_READ_H

#include "read_json.h"

#define SPRING_INLINE_MAX (256u * 1024u) /* bytes that are read at once */

struct spring_reading;

/* why: NULL, or what is wrong with the body; props and answer then say nothing. Valid during the call. */
typedef void (*spring_read_cb)(
	void *arg, const struct config_props *props, const struct spring_answer *answer, const char *why);

struct spring_reader {
	struct loop *loop;
	spring_read_cb cb;
	void *arg;
	struct spring_reading *reading; /* on a thread */
};

void spring_reader_init(struct spring_reader *r, struct loop *loop, spring_read_cb cb, void *arg);
void spring_read(struct spring_reader *r, struct str body); /* body: copied when it must be */
/* Waits for the thread; what it left is freed by the loop's next turn. Of a zeroed one harmless. */
void spring_reader_stop(struct spring_reader *r);

#endif
