/* Asks an agent's admin port one question and waits for the answer: for the client commands (health, get).
 *
 * HTTP/1.0 over TCP or a Unix socket: the answer ends when the connection closes. Everything together is bound
 * by one time limit, the answer by a maximum. Blocks; never used inside a serving agent. */
#ifndef OUTRIDER_CONTROL_ASK_H
#define OUTRIDER_CONTROL_ASK_H

#include "base/clock.h"
#include "base/text.h"
#include "net/addr.h"

#define ASK_BODY_MAX (4u << 20)
#define ASK_SOCKET                                                                                           \
	"unix:@outrider" /* where a node's or a container's agent answers, whatever its ports are */

struct ask {
	const struct addr *to;
	const char *method; /* "GET" */
	const char *path;   /* with query; begins with '/' */
	const char *token;  /* Authorization: Bearer, or NULL */
	usec limit;         /* for all of it */
};

/* The status (200 …), and the body in *body (init'ed by the caller). 0: no answer; err says why. */
int ask(const struct ask *q, struct text *body, struct err *err) MUST_CHECK;

#endif
