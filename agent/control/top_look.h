/* One look of `outrider top` at an agent: asks its pages and makes a model of them.
 *
 * top_look() blocks; a live screen lets a struct top_watch do it on a thread of its own, so that keys are obeyed while an agent
 * is slow: at most one look is under way, a later wish replaces one that has not begun. The thread ends with the process. */
#ifndef OUTRIDER_CONTROL_TOP_LOOK_H
#define OUTRIDER_CONTROL_TOP_LOOK_H

#include "control/options.h"
#include "control/top_ui.h"

struct top_wish {
	enum top_scope scope;
	enum top_view view;
	bool group;
	bool past; /* the rates of the last minutes too, for the sparklines of the head */
	char service[128];
	usec limit; /* for each page */
	uint64_t number; /* the caller's, to know the answer again */
};

struct top_wish top_wish_of(const struct top_ui *ui, uint64_t number);
/* NULL: err says why. The caller frees the model. */
struct top_model *top_look(const struct options *o, const struct top_wish *w, struct err *err) MUST_CHECK;

struct top_watch;

/* o: nobody else may use it any more. NULL: no memory, no thread. */
struct top_watch *top_watch_start(const struct options *o, struct err *err) MUST_CHECK;
int top_watch_fd(const struct top_watch *w); /* readable when an answer is there */
void top_watch_wish(struct top_watch *w, const struct top_wish *wish);
/* The answer, once: true with *m (owned by the caller) or, when that is NULL, with err. *number: of its wish. */
bool top_watch_answer(struct top_watch *w, struct top_model **m, uint64_t *number, struct err *err);

#endif
