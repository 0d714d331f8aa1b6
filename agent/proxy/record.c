/* Record: what a finished exchange adds to the counters, and its record (proxy/record.h). */
#include "proxy/client.h"
#include "proxy/steps.h"

#define FORWARDED_HOPS_MAX 16u /* of X-Forwarded-For that are looked at */

static void record_write(struct exchange *x);

static void count_status(struct exchange *x)
{
	static const enum counter_id by_class[] = { COUNTER_RESPONSES_1XX, COUNTER_RESPONSES_1XX, COUNTER_RESPONSES_2XX,
						    COUNTER_RESPONSES_3XX, COUNTER_RESPONSES_4XX, COUNTER_RESPONSES_5XX };

	if (x->status == 101)
		count(x->sc, COUNTER_RESPONSES_2XX);
	else if (x->status >= 200 && x->status < 600)
		count(x->sc, by_class[x->status / 100]);
}

void record_exchange(struct exchange *x)
{
	count_down(x->sc, COUNTER_REQUESTS_ACTIVE);
	count_status(x);
	durations_exchange(x);
	record_write(x);
	if (x->reason) {
		count_add(&x->sc->counters.reasons[x->reason], 1);
		if (x->reason == REASON_CLIENT_GONE)
			count(x->sc, COUNTER_CLIENTS_GONE);
		else if (x->cut)
			count(x->sc, COUNTER_RESPONSES_CUT);
		else
			count(x->sc, COUNTER_OWN_ANSWERS);
	}
	if (!x->wup || !x->n_attempts)
		return;
	if ((x->reason && x->reason != REASON_CLIENT_GONE) || x->status >= 500)
		count_add(&x->wup->c.failures, 1);
}

static void set_last(struct last_error *l, enum reason why, int err, usec at)
{
	atomic_store_explicit(&l->reason, (uint32_t)why, memory_order_relaxed);
	atomic_store_explicit(&l->error, (uint32_t)err, memory_order_relaxed);
	atomic_store_explicit(&l->at, at, memory_order_relaxed);
}

void record_attempt_failed(struct exchange *x, enum reason why, int err)
{
	usec at = clock_wall();

	x->a.reason = (uint16_t)why;
	count_add(&x->a.ep->c.failures, 1);
	set_last(&x->a.ep->c.last, why, err, at);
	set_last(&x->wup->c.last, why, err, at);
}

void record_attempt_refused(struct exchange *x)
{
	usec at = clock_wall();

	count_add(&x->a.ep->c.failures, 1);
	set_last(&x->a.ep->c.last, REASON_NONE, x->res.status, at);
	set_last(&x->wup->c.last, REASON_NONE, x->res.status, at);
}

/* --- the record ------------------------------------------------------------------------------------------------------------------ */

static void set_peer(struct record_peer *p, const struct addr *a)
{
	*p = (struct record_peer){ .port = addr_port(a) };
	if (a->sa.sa_family == AF_INET) {
		p->family = 4;
		memcpy(p->ip, &a->in.sin_addr, 4);
	} else if (a->sa.sa_family == AF_INET6) {
		p->family = 6;
		memcpy(p->ip, &a->in6.sin6_addr, 16);
	}
}

static struct str forwarded_for(const struct exchange *x)
{
	const struct head *h = &x->req;

	if (x->forwarded_for.n)
		return x->forwarded_for;
	for (unsigned i = h->n; i-- > 0;) /* the last one: what stands before it, somebody farther away wrote */
		if (h->f[i].id == FIELD_X_FORWARDED_FOR && !(h->f[i].flags & FIELD_DELETED))
			return field_value(&h->f[i]);
	return STR("");
}

static bool is_trusted(const struct spec_forward *f, const struct addr *a)
{
	for (uint32_t i = 0; i < f->n_trusted; i++)
		if (cidr_has(&f->trusted[i], a))
			return true;
	return false;
}

/* From the nearest hop outwards, as long as hops are trusted: who is behind the first that is not, is only said by him. */
static void set_client(const struct exchange *x, struct record_peer *p)
{
	const struct spec_forward *f = &exchange_spec(x)->forward;
	bool inward = x->l->kind == LISTEN_INBOUND || x->l->kind == LISTEN_EDGE;
	struct str list = inward && forward_trusts(x) ? forwarded_for(x) : STR("");
	struct addr a;

	set_peer(p, &x->c->peer);
	for (unsigned hops = 0; list.n && hops < FORWARDED_HOPS_MAX; hops++) {
		size_t comma = str_rfind(list, ',');
		struct str hop = str_trim(comma == SIZE_MAX ? list : str_make(list.p + comma + 1, list.n - comma - 1));
		list.n = comma == SIZE_MAX ? 0 : comma;
		if (!addr_parse_ip(hop, 0, &a))
			return;
		set_peer(p, &a);
		if (!is_trusted(f, &a))
			return;
	}
}

static uint32_t since(usec from, usec to)
{
	return to <= from ? 0 : to - from > UINT32_MAX ? UINT32_MAX : (uint32_t)(to - from);
}

void record_try(struct exchange *x, usec now)
{
	const struct attempt *a = &x->a;

	if (x->n_tries == RECORD_TRIES_MAX)
		return;
	struct record_try *t = &x->tries[x->n_tries++];
	t->span = x->trace.attempt;
	t->started = since(x->began, a->started);
	t->sent = since(x->began, a->sent_at);
	t->head = since(x->began, a->head_at);
	t->ended = since(x->began, now);
	set_peer(&t->peer, &a->ep->addr);
	t->status = a->status;
	t->reason = a->reason;
	t->reused = a->reused;
}

static uint8_t who_wants(struct exchange *x, usec duration)
{
	const struct spec_access *a = &exchange_spec(x)->access;
	uint8_t why = x->trace.sampled ? RECORD_TRACED : 0;

	if (x->reason || x->status >= 500)
		why |= RECORD_FAILED;
	if (x->n_tries > 1)
		why |= RECORD_RETRIED;
	if (a->slow && duration >= a->slow && !x->upgraded && !x->connect)
		why |= RECORD_SLOW;
	if (a->on && (why & (RECORD_FAILED | RECORD_SLOW) || (a->share && rng_below(&x->w->rng, 10000) < a->share)))
		why |= RECORD_LOGGED;
	if (x->w->cfg.tapped && atomic_load_explicit(x->w->cfg.tapped, memory_order_relaxed))
		why |= RECORD_TAPPED;
	return why;
}

static uint8_t flags_of(const struct exchange *x)
{
	return (uint8_t)(x->trace.flags | (x->cut ? RECORD_CUT : 0) | (x->upgraded || x->connect ? RECORD_TUNNEL : 0) |
			 (x->fallen ? RECORD_FALLBACK : 0) | (x->was_parked ? RECORD_PARKED : 0) | (x->was_queued ? RECORD_QUEUED : 0));
}

static void find_texts(struct exchange *x, struct str at[RECORD_TEXTS])
{
	const struct field *agent = x->req.first[FIELD_USER_AGENT] ? head_get(&x->req, FIELD_USER_AGENT) : NULL;
	/* A target that was refused may hold a password: none of it is kept. */
	struct str path = x->req.path.n ? x->req.path : x->req.form == TARGET_AUTHORITY ? x->req.target : STR("");
	size_t query = str_find(path, '?');

	at[RECORD_METHOD] = x->req.method_text;
	at[RECORD_PATH] = query == SIZE_MAX ? path : str_make(path.p, query);
	at[RECORD_HOST] = x->req.authority;
	at[RECORD_REQUEST_ID] = x->request_id;
	at[RECORD_UPSTREAM] = x->upstream ? x->upstream->name : STR("");
	at[RECORD_ROUTE] = x->route ? x->route->name : STR("");
	at[RECORD_USER_AGENT] = agent ? field_value(agent) : STR("");
}

static void fill(struct exchange *x, struct record *r, uint8_t why, usec duration)
{
	const struct exchange_trace *t = &x->trace;
	bool server = wlistener_is_inbound(x->l);

	*r = (struct record){
		.started = clock_wall() - duration,
		.duration = duration ? (uint32_t)(duration > UINT32_MAX ? UINT32_MAX : duration) : 1,
		.accepted = x->c && x->c->requests == 1 ? since(x->c->since, x->began) : 0,
		.head = since(x->began, x->started),
		.routed = since(x->began, x->routed),
		.queued = x->was_queued ? since(x->began, x->queued) : 0,
		.slot = x->sc->slot,
		.trace_hi = t->ctx.hi,
		.trace_lo = t->ctx.lo,
		.span = t->sampled && server ? t->ctx.span : 0,
		.parent = t->sampled ? (server ? t->ctx.parent : t->ctx.span) : 0,
		.retry = t->retry,
		.bytes_in = x->up.bytes,
		.bytes_out = x->down_flow.bytes,
		.status = x->status,
		.reason = x->reason,
		.kind = x->l->kind,
		.why = why,
		.flags = flags_of(x),
		.n_tries = x->n_tries,
		.worker = (uint8_t)x->w->cfg.index,
	};
	if (x->c) {
		set_peer(&r->peer, &x->c->peer);
		set_client(x, &r->client);
	}
	memcpy(r + 1, x->tries, x->n_tries * sizeof(x->tries[0]));
}

static void on_recorded(struct bell *b)
{
	struct worker *w = LIST_OWNER(b, struct worker, ring_bell);

	w->cfg.recorded(w->cfg.arg, w->cfg.index);
}

void record_init(struct worker *w)
{
	bell_init(&w->ring_bell, on_recorded);
}

/* Control is told once, and again when it has read, for which it need not have heard of it: a dropped record wakes it, too. */
static void tell(struct worker *w)
{
	if (atomic_load_explicit(&w->ring_told, memory_order_relaxed) || atomic_exchange_explicit(&w->ring_told, true, memory_order_seq_cst))
		return;
	bell_ring(w->cfg.control, &w->ring_bell);
}

/* The second half of the ring is for those who do not flood it. */
static struct record *reserve(struct exchange *x, size_t n)
{
	struct ring *r = &x->w->ring;

	if (!party_floods(&x->sc->party) || !ring_half_full(r))
		return ring_reserve(r, (uint32_t)n);
	ring_drop(r);
	return NULL;
}

static void record_write(struct exchange *x)
{
	struct worker *w = x->w;
	usec duration = loop_now(w->loop) - x->began;
	uint8_t why = w->cfg.recorded ? who_wants(x, duration) : 0;
	struct str texts[RECORD_TEXTS];
	size_t n = sizeof(struct record) + x->n_tries * sizeof(struct record_try);

	if (!why)
		return;
	find_texts(x, texts);
	for (unsigned i = 0; i < RECORD_TEXTS; i++) {
		texts[i].n = texts[i].n > RECORD_TEXT_MAX ? RECORD_TEXT_MAX : texts[i].n;
		n += texts[i].n;
	}
	struct record *r = reserve(x, n);
	if (why & RECORD_TRACED)
		durations_traced(x, x->trace.ctx.hi, x->trace.ctx.lo, clock_wall());
	if (r) {
		fill(x, r, why, duration);
		char *p = (char *)(r + 1) + x->n_tries * sizeof(struct record_try);
		for (unsigned i = 0; i < RECORD_TEXTS; i++) {
			r->text_n[i] = (uint16_t)texts[i].n;
			if (texts[i].n)
				memcpy(p, texts[i].p, texts[i].n);
			p += texts[i].n;
		}
		ring_commit(&w->ring);
	}
	tell(w);
}
