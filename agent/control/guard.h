/* Who may ask the admin port what: pure decisions on a request's head.
 *
 * - Host must be localhost, a loopback literal, the address that the request was accepted on, or one of
 *   outrider.admin.hosts (*.example.net: every name below it), each with any port or none: a page in a browser that made its own name point to 127.0.0.1 (DNS rebinding) is refused.
 * - A request with Origin must come from the admin port itself. One that a browser makes for a page of another site without saying
 *   Origin (an image, a script) says Sec-Fetch-Site instead: it is refused unless somebody follows a link, so that no page takes readers'
 *   places on streams.
 * - What changes state needs `X-Outrider: 1`, which no form and no simple cross-site request can carry; when it was not
 *   accepted on loopback (or the abstract socket) also `Authorization: Bearer` of OUTRIDER_ADMIN_TOKEN.
 * Thread: any. */
#ifndef OUTRIDER_CONTROL_GUARD_H
#define OUTRIDER_CONTROL_GUARD_H

#include "base/str.h"
#include "net/addr.h"

enum guard_verdict {
	GUARD_ALLOW,
	GUARD_HOST_MISSING,
	GUARD_HOST_FOREIGN,
	GUARD_ORIGIN_FOREIGN,
	GUARD_MARK_MISSING,
	GUARD_TOKEN_UNSET,
	GUARD_TOKEN_WRONG,
	GUARD_VERDICTS
};

struct guard_row {
	const char *word; /* as in the reply's JSON */
	int status;       /* 0 for ALLOW */
	const char *cause, *remedy;
};

struct guard_policy {
	struct str token; /* "" = unset */
	struct str hosts; /* comma list of further names (str_host_fits) and IP addresses for Host, "" = none */
};

struct guard_request {
	struct str host, origin, mark, authorization; /* field values; {NULL,0}: absent */
	struct str fetch_site, fetch_mode;            /* Sec-Fetch-…; the same */
	bool host_repeated;
	bool changes_state;
	const struct addr *local; /* accepted on */
	const struct addr *peer;
};

enum guard_verdict guard_judge(const struct guard_policy *p, const struct guard_request *r);
/* v outside the list gives the row of ALLOW. */
const struct guard_row *guard_row(enum guard_verdict v);

/* Equal contents; the time taken depends on the lengths alone. */
bool guard_secret_eq(struct str a, struct str b);

#endif
