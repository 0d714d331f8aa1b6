/* What engine.c and engine_look.c share. */
#ifndef OUTRIDER_ATTACH_ENGINE_INT_H
#define OUTRIDER_ATTACH_ENGINE_INT_H

#include "attach/engine.h"
#include "attach/engine_ask.h"
#include "base/list.h"
#include "base/rng.h"
#include "base/table.h"

struct known { /* a container that was listed or told of */
	struct list link;
	char id[CONTAINER_ID_LENGTH + 1];
	uint64_t said;    /* hash of what was told last; 0: nothing yet */
	uint64_t listed;  /* number of the list that had it last */
	bool wanted;      /* to be asked for (again) */
	bool asked;       /* an ask is out */
	bool told;        /* container() was called and gone() was not */
	bool runs;        /* it did when it was told of, and no event said otherwise */
	bool joined;      /* it is starting, and stands on a network */
	usec starting;    /* it may be starting until then; 0: it is not */
	bool unread;      /* the last answer about it could not be taken */
	bool unread_said; /* and once that was said */
	unsigned fails;   /* asks in a row that had no answer */
	usec until;       /* not asked before that */
};

struct look { /* an ask for one container */
	struct engine_ask ask;
	struct engine *of;
	struct known *k;
};

struct engine {
	struct engine_config cfg;
	struct engine_ask ask; /* _ping, info, the list: one after the other */
	struct look looks[ENGINE_ASKS];
	struct timer look_timer; /* the next ask for a container that had no answer */
	struct list all; /* struct known */
	struct table by_id;
	size_t n;
	unsigned api; /* 0: not yet agreed on */
	uint64_t lists; /* asked so far */
	bool counted; /* the first list came */
	bool listed;  /* and each of it was looked at */
	bool troubled;
	bool refused;  /* the last ask for a container was */
	unsigned good; /* lists that came since the event stream was opened */
	struct rng rng;
	struct timer timer; /* the next list, or the next try */
	usec pause;
	/* the event stream */
	struct stream stream;
	bool streaming, answered;
	usec since; /* of `answered` */
	bool skips; /* what is left of a line that is too long */
	struct text line; /* head, then a line as it comes */
};

/* --- engine_look.c: single containers --------------------------------------------------------------------------- */
struct known *engine_know(struct engine *e, struct str id); /* NULL: no memory, too many, or no id */
void engine_want(struct engine *e, struct known *k);         /* ask for it soon */
void engine_forget(struct engine *e, struct known *k);       /* gone() if it was told of */
void engine_look_on(struct engine *e);                       /* starts as many asks as may be out */
void engine_looks_init(struct engine *e);
void engine_looks_stop(struct engine *e);
/* --- engine_events.c ---------------------------------------------------------------------------------------------- */
void engine_events_open(struct engine *e);
void engine_events_close(struct engine *e);
/* --- engine.c ------------------------------------------------------------------------------------------------------- */
void engine_look_up(struct engine *e); /* is it well again? */
void engine_trouble(struct engine *e, const char *fmt, ...) PRINTF_LIKE(2, 3); /* and another try after a pause */

#endif
