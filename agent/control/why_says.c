#include "control/why_says.h"

#include "base/reason.h"
#include "control/phases.h"

static bool is_failed(const struct record *r)
{
	return r->reason || r->status >= 500;
}

struct why why_of(const struct record *r)
{
	const struct reason_row *row = reason_row((enum reason)r->reason);

	if (r->reason)
		return (struct why){ row->blame, row->stage, row->cause, row->remedy };
	if (r->status < 500)
		return (struct why){ "", "", "", "" };
	if (r->kind == LISTEN_INBOUND)
		return (struct why){ "service", "response", "The service itself answered so; its agent passed it on.",
				     "Look into the service's log for this request id, and at what it called meanwhile: the exchanges with the same ids." };
	return (struct why){ "upstream", "response", "The upstream answered so, at the endpoint of the last attempt; the agent passed it on.",
			     "Look into the log of that instance for this request id; outrider why ID --swarm shows what its own agent saw. retry.statuses and retry.methods say what is tried "
			     "elsewhere." };
}

void why_outcome(struct text *t, const struct record *r)
{
	if (r->status)
		text_fmt(t, "%u", r->status);
	else
		text_addz(t, "no reply");
	if (r->flags & RECORD_FALLBACK)
		text_addz(t, " by the fallback, in place of a failure");
	else if (r->flags & RECORD_CUT)
		text_addz(t, ", cut before its end");
	else if (r->reason == REASON_CLIENT_GONE)
		text_addz(t, ", the client had left");
	else if (r->reason)
		text_addz(t, " by the agent itself");
	else if (r->flags & RECORD_TUNNEL)
		text_addz(t, ", a tunnel");
	else
		text_addz(t, r->kind == LISTEN_INBOUND ? " of the service" : " of the upstream");
	if (r->reason)
		text_fmt(t, ": %s", reason_word((enum reason)r->reason));
	if (r->n_tries != 1)
		text_fmt(t, ", after %u attempts", r->n_tries);
	text_fmt(t, ", in %llu.%03u ms", (unsigned long long)r->duration / 1000, r->duration % 1000);
}

void why_slow(struct text *t, const struct record *r)
{
	static const char *const knobs[PHASES] = {
		[PHASE_HEAD] = "the client and its network; timeout.head bounds it",
		[PHASE_ROUTE] = "outrider get /upstreams: is the registry quick to say where the service is? endpoint-wait bounds it",
		[PHASE_QUEUE] = "bulkhead.max and bulkhead.queue of the upstream, limit.concurrent of the service; or more instances",
		[PHASE_RETRY] = "outrider get /upstreams: which instances fail? timeout.try ends an attempt earlier",
		[PHASE_CONNECT] = "is the endpoint reachable, or its backlog full? timeout.connect bounds it",
		[PHASE_FIRST_BYTE] = "the service's own log and trace; timeout.try asks another instance, timeout.first-byte gives up",
		[PHASE_TRANSFER] = "compare bytes_out with the time; timeout.stall ends what moves no more",
	};
	struct phases p = phases_of(r);
	unsigned most = 0;

	if (!(r->why & RECORD_SLOW))
		return;
	for (unsigned i = 1; i < PHASES; i++)
		if (p.at[i] > p.at[most])
			most = i;
	text_fmt(t, "%llu ms of %u ms were spent on %s. Look at: %s", (unsigned long long)p.at[most] / 1000, r->duration / 1000, phase_says((enum phase)most),
		knobs[most]);
}

/* --- retries ------------------------------------------------------------------------------------------------------------------ */

static bool method_is(const struct record *r, const char *const *words)
{
	for (; *words; words++)
		if (str_eq(record_text(r, RECORD_METHOD), str_of(*words)))
			return true;
	return false;
}

static bool method_allowed(const struct record *r, uint8_t methods)
{
	static const char *const safe[] = { "GET", "HEAD", "OPTIONS", NULL }, *const repeated[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", NULL };

	return methods == RETRY_ALL || (methods == RETRY_SAFE && method_is(r, safe)) || (methods == RETRY_IDEMPOTENT && method_is(r, repeated));
}

/* By the reason alone. */
static const char *ended_by(const struct record *r)
{
	switch (r->reason) {
	case REASON_CLIENT_GONE:
		return "the client had left";
	case REASON_REQUEST_TIMEOUT:
		return "the time for the whole call was up (timeout.request, or the deadline that came with it)";
	case REASON_RESPONSE_TIMEOUT:
		return "an instance that lets one wait may be at work on it: after timeout.first-byte nothing is sent again; timeout.try is the limit after which another is asked";
	case REASON_FAULT_INJECTED:
		return "the fault was injected";
	default:
		return NULL;
	}
}

static const char *by_policy(const struct record *r, const struct spec_upstream *u)
{
	const struct spec_policy *p = &u->policy;
	bool connecting = r->reason == REASON_CONNECT_REFUSED || r->reason == REASON_CONNECT_TIMEOUT || r->reason == REASON_CONNECT_FAILED ||
			  r->reason == REASON_NO_SOCKET;

	if (u->mode != MODE_ON)
		return "the mode of the upstream is not `on`";
	if (!r->reason && !status_in(&p->retry_statuses, r->status))
		return "its status is none of retry.statuses";
	if (u->n_endpoints < 2)
		return "there was no other endpoint";
	if (connecting)
		return r->n_tries >= p->connect_tries ? "as many endpoints were tried as connect-tries allows" :
							"no other endpoint was to be had, or retry.budget was used up";
	if (p->retry_methods == RETRY_NONE)
		return "retry.methods is none";
	if (!method_allowed(r, p->retry_methods))
		return "retry.methods does not allow this method: an instance may have acted on it already";
	if (r->n_tries >= p->retry_tries)
		return "retry.tries allows no more attempts";
	return "retry.budget was used up, the request had a body (retry.body), Retry-After was said, or no other endpoint was up";
}

void why_retries(struct text *t, const struct record *r, const struct spec_upstream *u)
{
	const char *ended = ended_by(r);

	if (r->n_tries == 0) {
		if (is_failed(r))
			text_addz(t, "No attempt was made: it ended before an endpoint was chosen.");
		return;
	}
	if (r->n_tries > 1)
		text_fmt(t, "%u attempts%s", r->n_tries, is_failed(r) ? "" : ": the last one was good.");
	if (!is_failed(r))
		return;
	text_addz(t, r->n_tries > 1 ? "; no more, since " : "One attempt; no more, since ");
	if (ended)
		text_addz(t, ended);
	else if (r->flags & RECORD_CUT)
		text_addz(t, "bytes of the reply had gone to the client already");
	else if (r->kind == LISTEN_INBOUND)
		text_addz(t, "the own handler is asked once: the agent of the caller decides about another instance");
	else
		text_addz(t, u ? by_policy(r, u) : "the upstream is no named service: egress and localhost are asked once");
	text_char(t, '.');
}
