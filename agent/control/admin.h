/* The admin port (4191): what an operator asks a running agent.
 *
 * A request passes: guard (guard.h) → route table → the page's function, which writes JSON into a text and replies,
 * now or later. JSON by default; readable text for `?format=text` or `Accept: text/plain` (plain.h), so that a page
 * writes one form only. A new page is one row of the table in admin_pages.c and one function.
 * Bounded by httpd (connections, output). Thread: control's. */
#ifndef OUTRIDER_CONTROL_ADMIN_H
#define OUTRIDER_CONTROL_ADMIN_H

#include "base/json.h"
#include "control/agent.h"
#include "control/guard.h"
#include "control/hystrix.h"
#include "control/hystrix_swarm.h"
#include "control/swarm_ask.h"
#include "control/tap.h"
#include "net/httpd.h"

#define ADMIN_PAGE_MAX (HTTPD_OUTPUT_MAX - 4096u)

struct admin {
	struct agent *agent;       /* borrowed */
	struct guard_policy guard; /* texts borrowed from the options */
	struct httpd *httpd;       /* owned */
	const struct admin *
		door; /* at whose port the request stands that is being answered: of a node below /sidecars/NAME, else this one */
	struct list waiters; /* of admin_app.c: requests that wait for a change */
	unsigned n_waiters;
	struct reload_watch watch;
	struct hystrix hystrix;
	struct hystrix_swarm hystrix_swarm;
	struct swarm *swarm; /* owned, admin_swarm.c; NULL: never asked */
};

struct admin_route {
	const char *method, *path; /* a path that ends in '*' stands for all that begin so */
	void (*fn)(struct admin *a, struct httpd_request *r);
	bool changes_state;
	const char *help;
};

enum admin_match { ADMIN_FOUND, ADMIN_NO_PATH, ADMIN_NO_METHOD };

bool admin_start(
	struct admin *a, struct agent *agent, const struct guard_policy *guard, struct err *err) MUST_CHECK;
/* fd: listening, owned by the admin from now on. */
bool admin_listen(struct admin *a, int fd, struct err *err) MUST_CHECK;
void admin_stop(struct admin *a); /* a zeroed one is fine */

/* --- for the pages (admin_pages.c, admin_traffic.c) --------------------------------------------------------- */

const struct admin_route *admin_routes(size_t *n);
/* HEAD is served where GET is. *ret is the row when found, else NULL. */
enum admin_match admin_match(const char *method, struct str path, const struct admin_route **ret);
/* Ends the request with JSON, or its readable form when that was asked for. body is released. */
void admin_reply(struct httpd_request *r, int status, struct text *body);
/* {"error":word,"cause":…,"remedy":…} */
void admin_refuse(
	struct httpd_request *r, int status, const char *word, const char *cause, const char *remedy);

/* Does it show what may be secret? Then it is guarded like a page that changes state. */
bool admin_reveals(const struct admin_route *route);

/* Is there a flight recorder? false: it was answered that there is none. */
bool admin_has_flight(struct admin *a, struct httpd_request *r);
void admin_put_reach(struct json *j, const struct agent *g);                /* "reaches_back": {…} */
void admin_peer_text(const struct record_peer *p, char dst[ADDR_TEXT_MAX]); /* "" for none */

void admin_page_why(struct admin *a, struct httpd_request *r);
void admin_page_failures(struct admin *a, struct httpd_request *r);
void admin_page_traces(struct admin *a, struct httpd_request *r);
void admin_page_trace(struct admin *a, struct httpd_request *r);
void admin_page_log(struct admin *a, struct httpd_request *r); /* admin_log.c */
void admin_page_log_level(struct admin *a, struct httpd_request *r);
void admin_page_log_recent(struct admin *a, struct httpd_request *r);
void admin_page_log_tail(struct admin *a, struct httpd_request *r);
void admin_page_tap(struct admin *a, struct httpd_request *r);
void admin_page_swarm(struct admin *a, struct httpd_request *r);
void admin_page_swarm_hystrix(struct admin *a, struct httpd_request *r);
void admin_swarm_stop(struct admin *a);
/* `from` of a page of endpoints, 0 where it is not said. false: nonsense, and it was answered so. */
bool admin_from(struct httpd_request *r, uint32_t *ret);
void admin_page_upstreams(struct admin *a, struct httpd_request *r);
void admin_page_endpoint_state(struct admin *a, struct httpd_request *r);
/* Into an empty text "delay 300ms of 50%, abort 418 of 100%", the faults that are thrown at calls on purpose; nothing where there are none. */
void admin_circuit_faults(struct text *t, const struct spec_upstream *u);
void admin_circuit_why(struct text *t, const struct breaker_view *v,
	const struct breaker_policy *p); /* why it is as it is, in words */
/* The same with its state and since when: "open since 2026-…Z: 9 of 9 calls had failed when it opened". */
void admin_circuit_now(struct text *t, const struct circuit *c, const struct breaker_policy *p);
void admin_page_circuits(struct admin *a, struct httpd_request *r);
void admin_page_circuit_state(struct admin *a, struct httpd_request *r);
void admin_page_explain(struct admin *a, struct httpd_request *r); /* admin_explain.c */
void admin_page_stats(struct admin *a, struct httpd_request *r);
void admin_page_metrics(struct admin *a, struct httpd_request *r); /* metrics.c */
void admin_page_connections(struct admin *a, struct httpd_request *r);
void admin_page_app_config(struct admin *a, struct httpd_request *r);
void admin_app_changed(void *arg); /* struct admin */

#endif
