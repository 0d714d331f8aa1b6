/* Hello: what two agents tell each other on the first request of a connection (DESIGN section 3).
 *
 *     x-outrider-hello: to=quotes-service;service=accountservice;node=n1;zone=z1;v=1     request
 *     x-outrider-hello: service=quotes-service;node=n2;zone=z1;version=2;v=1             response
 *
 * `to` names the service that is wanted: another one answers 421, and the caller drops the address. All else is what the
 * other side shows and balances by; it proves nothing. Sent only where an agent may stand: at port 4143, at an endpoint
 * that a registry marks with outrider=…, or where one answered before. Private to proxy/; thread: the worker's. */
#ifndef OUTRIDER_PROXY_HELLO_H
#define OUTRIDER_PROXY_HELLO_H

#include "proxy/alias.h"

#define HELLO_PROBE_TIME (250 * USEC_MS)   /* an agent at 4143 of an address without a port is waited for so long */
#define HELLO_ABSENT_TIME (30 * USEC_SEC)  /* where none stands, one is looked for again after that */

/* Inbound, a request that says hello: is it for the service behind us? Notes that the caller wants to be greeted. */
enum alias_verdict hello_is_for(struct exchange *x);
struct str hello_wanted(const struct exchange *x); /* the service that its caller named; empty: none */
/* Is x's request to say hello on its connection? */
bool hello_is_due(const struct exchange *x);
/* The reply's head came on a connection: learns from its hello, or from the lack of it; an answer that it is another
 * service takes the endpoint out. */
void hello_learn(struct exchange *x);
/* Where x's attempt connects: the endpoint's address, for one without a port that of its agent or of the service itself. */
struct addr hello_address(const struct exchange *x);
/* May the service itself be reached at another port than an agent of it would be? (Its own may be 4143.) */
bool hello_has_direct_port(const struct exchange *x);
/* Connecting to the agent at an address without a port failed: the service itself is next. */
void hello_no_agent(struct exchange *x, struct wendpoint *ep);
/* A connection there asks for no hello (a tunnel): control hears HELLO_NONE unless it heard something before. */
void hello_unsaid(struct exchange *x, struct wendpoint *ep);

#endif
