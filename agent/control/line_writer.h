/* Writes lines to a descriptor that may block (stderr), never waiting for it: lines gather in a bounded text, a thread (net/task.h)
 * writes them, in pieces of whole lines that a pipe takes at once. While the reader is slow lines gather; what does not fit is lost
 * and counted. Thread: the loop's. */
#ifndef OUTRIDER_CONTROL_LINE_WRITER_H
#define OUTRIDER_CONTROL_LINE_WRITER_H

#include "base/text.h"
#include "net/loop.h"

#define LINE_WRITER_MAX ((size_t)256 * 1024) /* bytes that wait */

struct line_writer;

/* fd: borrowed, open for as long as the process lives. NULL: no memory. */
struct line_writer *line_writer_new(struct loop *l, int fd) MUST_CHECK;
void line_writer_put(void *writer, struct str line); /* its end is added */
/* The end: what waits is written, for at most `patience`; later lines are lost. Turn the loop once more before freeing it. NULL is fine. */
void line_writer_stop(struct line_writer *w, usec patience);
void line_writer_free(struct line_writer *w); /* after line_writer_stop(); NULL is fine */

struct line_writer_counts { uint64_t lines, lost; /* taken, of which still some may wait; left out */ };
struct line_writer_counts line_writer_counts(const struct line_writer *w);

#endif
