/* Writes lines to a descriptor that may block (stderr), or to a file, never waiting for it: lines gather in a bounded text, a thread
 * (net/task.h) writes them, in pieces of whole lines that a pipe takes at once. While the reader is slow lines gather; what does not fit
 * is dropped and counted, as is what could not be written (a full disk, a reader that left). Of a line that was written in part the
 * next batch begins on a line of its own.
 *
 * A file is opened by the thread, as is what has to be opened again: a file system that hangs, hangs the thread alone.
 * Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_LINE_WRITER_H
#define OUTRIDER_PLUGINS_LINE_WRITER_H

#include "base/text.h"
#include "plugin.h"

struct line_writer;

/* fd: borrowed, open for as long as the process lives. max: bytes that wait; as many again may be on their way. NULL: no memory. */
struct line_writer *line_writer_new(struct loop *l, int fd, size_t max) MUST_CHECK;
/* The file is made (0640) when the first line is written. */
struct line_writer *line_writer_file(struct loop *l, struct str path, size_t max) MUST_CHECK;
void line_writer_on_trouble(struct line_writer *w, void (*fn)(void *arg, const char *why), void *arg); /* "" = written again */
/* Its end is added. own: of the agent's own log; not gathered with others for a moment, and the last eighth of max is for such (log_queue.h). */
void line_writer_put(struct line_writer *w, struct str line, bool own);
void line_writer_reopen(struct line_writer *w); /* a file: before the next line */
/* Calls done when all is written, or `patience` is over. */
void line_writer_flush(struct line_writer *w, usec patience, void (*done)(void *arg), void *arg);
/* The end: what waits is written, for at most `patience`; later lines are dropped. Turn the loop once more before freeing it. NULL is fine. */
void line_writer_stop(struct line_writer *w, usec patience);
void line_writer_free(struct line_writer *w); /* after line_writer_stop(); NULL is fine */

struct sink_counts line_writer_counts(const struct line_writer *w); /* lines */

#endif
