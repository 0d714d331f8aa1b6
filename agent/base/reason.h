/* The closed list of words with which the agent explains a response of its own, or the end of a
 * connection. One table, agent/reasons.def, makes the enum, the words, and docs/reasons.md. */
#ifndef OUTRIDER_BASE_REASON_H
#define OUTRIDER_BASE_REASON_H

#include <stdint.h>

enum reason {
	REASON_NONE = 0,
#define REASON(id, word, status, stage, blame, cause, remedy) REASON_##id,
#include "reasons.def"
#undef REASON
	REASON_COUNT
};

struct reason_row {
	const char *word;   /* as in x-outrider-reason, logs and metrics: [a-z-]+ */
	uint16_t status;    /* HTTP status of the agent's own answer; 0: no answer is possible */
	const char *stage;  /* step of the exchange: read, route, admit, connect, send, response, relay */
	const char *blame;  /* client, service, upstream, network, config, agent */
	const char *cause;  /* a sentence */
	const char *remedy; /* a sentence */
};

/* r outside the list gives the row of NONE ("none", 0). Never NULL. */
const struct reason_row *reason_row(enum reason r);
static inline const char *reason_word(enum reason r)
{
	return reason_row(r)->word;
}

#endif
