/* How a function says why it failed: one sentence for a person, made where the fact is known.
 *
 * Functions return bool (or a pointer) and fill a `struct err` given by the caller; base/ and the
 * libraries above never log, the caller decides and logs once. `err` may be NULL: then nothing is said. */
#ifndef OUTRIDER_BASE_ERR_H
#define OUTRIDER_BASE_ERR_H

#include <stdbool.h>

#define ERR_MAX 512 /* bytes of a message with its NUL */

/* A result that must not be ignored. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

struct err {
	char text[ERR_MAX]; /* "" = no error */
};

/* Sets the message (cut at ERR_MAX - 1) and returns false, so that `return err_set(…)` reads well. */
bool err_set(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts `fmt: ` before the message that stands there. Returns false. */
bool err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
