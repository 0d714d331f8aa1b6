/* What changed lately: a rollout, a configuration, an ejection, a circuit … each a sentence with its time, for the marks on the page's charts.
 *
 *     the place that logs it ──change_note()──> the last CHANGES_KEPT, told at once to who listens
 *
 * Many sidecars of a node see the same (an instance of a service that all of them call has gone): what equals a change of the last
 * CHANGES_SAME is not kept again, but is theirs as well. One per process. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_UI_CHANGES_H
#define OUTRIDER_CONTROL_UI_CHANGES_H

#include "base/clock.h"
#include "base/json.h"

#define CHANGES_KEPT 256u
#define CHANGES_SAME (5 * USEC_SEC)
#define CHANGES_WINDOW (600 * USEC_SEC) /* what charts show: of older ones only /ui/changes tells */
#define CHANGE_TEXT_MAX 400u

enum change_kind {
	CHANGE_ROLLOUT,        /* instances of an upstream came, left, or have another version */
	CHANGE_CONFIG,         /* new options are in force */
	CHANGE_CONFIG_REFUSED, /* they were wrong, the former stay */
	CHANGE_EJECTED,
	CHANGE_READMITTED,
	CHANGE_CIRCUIT,
	CHANGE_SIDECAR_UP,
	CHANGE_SIDECAR_DOWN,
	CHANGE_HANDLER, /* of the service's own: takes requests, or does not */
	CHANGE_REGISTRY,
	CHANGE_DRAIN,
	CHANGE_KINDS
};

struct change { /* what is to be told; all borrowed for the call */
	enum change_kind kind;
	uint64_t seat;                      /* of the sidecar that saw it; 0: of the agent itself */
	struct str node, service, upstream; /* empty: none */
	struct str subject;                 /* an endpoint's address, a registry; empty: none */
	usec wall;
};

struct changes;

struct changes *changes_new(void); /* NULL: no memory */
void changes_free(struct changes *c);
/* With a sentence. NULL is fine for c: nobody keeps them. */
void change_note(struct changes *c, const struct change *what, const char *fmt, ...) PRINTF_LIKE(3, 4);
void change_vnote(struct changes *c, const struct change *what, const char *fmt, va_list ap);
/* Told of each that is kept: its JSON, and whose it is (changes_is_of() with `number`). Not from within change_note(). */
void changes_listen(struct changes *c, void (*fn)(void *arg, uint64_t number, struct str json), void *arg);
/* Those after `since` that are of that sidecar (0: all) and not older than `oldest` (wall), as JSON into an open array, oldest first. What would
 * take more than `max` bytes is cut at its old end. How many were left out for that. */
uint32_t changes_print(
	const struct changes *c, struct json *j, uint64_t seat, uint64_t since, usec oldest, size_t max);
bool changes_is_of(const struct changes *c, uint64_t number, uint64_t seat);
uint64_t changes_last(const struct changes *c); /* number of the newest; 0: there was none */

const char *change_word(enum change_kind k);

#endif
