/* The terminal of `outrider top`: taken over, drawn on, and given back whatever ends the program.
 *
 * While it is held: another screen, no cursor, no echo, keys at once. Signals come through a descriptor; those of a crash (SIGSEGV,
 * SIGABRT …) give the terminal back and then end the process as they would have. Only SIGKILL leaves it as it is (`reset` helps).
 * One at a time in a process. Thread: main's, and it must be opened before others start, so that none of them takes a signal. */
#ifndef OUTRIDER_CONTROL_TOP_TERM_H
#define OUTRIDER_CONTROL_TOP_TERM_H

#include "base/err.h"
#include "base/text.h"

#include <stddef.h>

/* Blocks the signals that term_signal() tells of, in the calling thread and those that it starts. The descriptor, or -1. */
int term_signals(struct err *err) MUST_CHECK;
/* The next pending one, 0: none. */
int term_signal(int fd);

bool term_open(struct err *err) MUST_CHECK;
void term_close(void); /* nothing when it is not held */
/* The size now; 80x24 when it is not known. */
void term_size(unsigned *columns, unsigned *lines);
/* Lines that end in '\n', as many as the screen has, in place of what is there. false: nobody is there any more. */
bool term_draw(struct str lines) MUST_CHECK;
/* What was typed, at most cap bytes; a lone Escape is waited for to become a sequence. 0: nothing; -1: the terminal is gone. */
int term_read(char *dst, size_t cap);
/* SIGTSTP: given back, stopped, and taken again when the process goes on. */
bool term_stop(struct err *err) MUST_CHECK;

#endif
