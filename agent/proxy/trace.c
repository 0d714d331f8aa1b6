#include "proxy/exchange.h"
#include "proxy/record.h"
#include "proxy/steps.h"

static uint64_t new_id(struct exchange *x)
{
	uint64_t id;

	do
		id = rng_next(&x->w->rng);
	while (!id);
	return id;
}

static bool is_server(const struct exchange *x)
{
	return wlistener_is_inbound(x->l);
}

/* --- where it comes from ----------------------------------------------------------------------------------------------------- */

/* What the call says of itself stands before what its cause was told: debug stays debug, and who asks for a trace gets one. */
static void infer(struct exchange *x, const struct spec_trace *s)
{
	struct exchange_trace *t = &x->trace;
	const struct field *f = x->req.first[FIELD_X_REQUEST_ID] ? head_get(&x->req, FIELD_X_REQUEST_ID) : NULL;
	uint8_t said = t->ctx.decision;
	struct live_trace found;

	if (!s->infer || !s->cell || !live_find(&s->cell->live, f ? live_key(field_value(f)) : 0, &found))
		return;
	if (found.decision == TRACE_DENY && said != TRACE_DEFER)
		return;
	t->rewrite = found.decision == TRACE_DENY; /* whom it calls is told so: no trace begins in the middle */
	t->ctx = (struct trace_context){ .hi = found.hi, .lo = found.lo, .span = found.span, .decision = said == TRACE_DEBUG ? said : found.decision };
	t->flags |= RECORD_INFERRED;
}

/* A stranger's word at the edge would let anybody fill the collector. */
static void find_context(struct exchange *x, const struct spec_trace *s)
{
	struct exchange_trace *t = &x->trace;
	bool believed = x->l->kind != LISTEN_EDGE || forward_trusts(x);
	bool came = believed && trace_read(&x->req, s->order, &t->ctx);
	struct trace_context w3c;

	t->keep_state = false;
	if (came && x->req.first[FIELD_TRACEPARENT] &&
	    trace_read_w3c(field_value(head_get(&x->req, FIELD_TRACEPARENT)), &w3c))
		t->keep_state = w3c.lo == t->ctx.lo && (w3c.hi == t->ctx.hi || !t->ctx.hi);
	if (t->keep_state)
		t->ctx.flags = w3c.flags;
	if (!trace_has_ids(&t->ctx) && t->ctx.decision != TRACE_DENY && !is_server(x))
		infer(x, s);
}

/* A route's place may be another's after a change: a word says the second that it counts. */
static bool sample(struct exchange *x, const struct spec_trace *s, uint64_t id)
{
	usec now = loop_now(x->w->loop);

	if (!x->route || !x->route->sampler)
		return sampler_decide(&s->sampler, &s->cell->sampled, id, now);
	return sampler_decide(x->route->sampler, &s->cell->routed[(size_t)(x->route - exchange_spec(x)->routes) % TRACE_ROUTES], id, now);
}

/* What came without a decision is decided here. */
static void decide(struct exchange *x, const struct spec_trace *s)
{
	struct exchange_trace *t = &x->trace;
	struct trace_context *c = &t->ctx;

	if (c->decision != TRACE_DEFER) {
		t->sampled = c->decision != TRACE_DENY;
	} else {
		uint64_t id = c->lo ? c->lo : new_id(x);
		t->sampled = s->cell && sample(x, s, id);
		if (t->sampled && !trace_has_ids(c))
			c->lo = id;
		t->rewrite = t->sampled || s->told;
		if (t->rewrite)
			c->decision = t->sampled ? TRACE_ACCEPT : TRACE_DENY;
	}
	if (!t->sampled)
		return;
	t->rewrite = true;
	if (c->hi || c->span)
		return;
	if (!c->lo)
		c->lo = new_id(x);
	c->hi = new_id(x);
}

/* The SERVER span: the client's own id where spans are shared, else a child of it. */
static void begin_server(struct exchange *x, const struct spec_trace *s)
{
	struct trace_context *c = &x->trace.ctx;

	if (c->span && s->join && c->kind != TRACE_W3C) {
		x->trace.flags |= RECORD_SHARED;
		return;
	}
	c->parent = c->span;
	c->span = c->parent ? new_id(x) : c->lo; /* a root has its trace's id */
}

void trace_prepared(struct exchange *x)
{
	const struct spec_trace *s = &exchange_spec(x)->trace;
	struct exchange_trace *t = &x->trace;

	if (!t->counted || t->slot || t->ctx.decision == TRACE_DEFER)
		return; /* of what nobody decided nothing can be said */
	const struct live_trace mine = { t->ctx.hi, t->ctx.lo, t->ctx.span, t->ctx.decision };
	t->slot = live_put(&s->cell->live, live_key(x->request_id), &mine);
}

void trace_begin(struct exchange *x)
{
	const struct spec_trace *s = &exchange_spec(x)->trace;
	struct exchange_trace *t = &x->trace;

	if (t->begun || !s->on || exchange_spec(x)->mode == MODE_OFF || x->tcp || x->connect)
		return;
	t->begun = true;
	find_context(x, s);
	decide(x, s);
	if (t->ctx.decision == TRACE_DEBUG)
		t->flags |= RECORD_DEBUG;
	if (t->sampled && is_server(x))
		begin_server(x, s);
	if (x->l->kind != LISTEN_INBOUND || !s->infer || !s->cell)
		return;
	live_enter(&s->cell->live, x->w->cfg.index);
	t->counted = true;
}

void trace_end(struct exchange *x)
{
	struct trace_cell *cell = exchange_spec(x)->trace.cell;
	struct exchange_trace *t = &x->trace;

	if (!t->counted)
		return;
	t->counted = false;
	if (t->slot)
		live_remove(&cell->live, t->slot);
	t->slot = NULL;
	live_leave(&cell->live, x->w->cfg.index);
}

/* --- attempts ------------------------------------------------------------------------------------------------------------------- */

void trace_attempt(struct exchange *x)
{
	struct exchange_trace *t = &x->trace;

	if (!t->sampled || x->upstream->kind == UPSTREAM_HANDLER)
		return;
	bool root = !is_server(x) && !t->ctx.span && x->n_tries == 0;
	t->attempt = root ? t->ctx.lo : new_id(x);
	if (x->n_tries && !t->retry)
		t->retry = new_id(x);
}

void trace_strip(struct exchange *x)
{
	if (x->trace.rewrite)
		trace_delete(&x->req, x->trace.keep_state);
}

/* traceparent cannot deny without ids: it gets such as nobody else has. */
static char *denial_fields(struct exchange *x, unsigned kinds, char *p)
{
	struct trace_context out = x->trace.ctx;

	p = trace_write(&out, kinds & ~(unsigned)TRACE_W3C, p);
	if (!(kinds & TRACE_W3C))
		return p;
	out.hi = new_id(x);
	out.lo = new_id(x);
	out.span = new_id(x);
	return trace_write(&out, TRACE_W3C, p);
}

char *trace_fields(struct exchange *x, char *p)
{
	const struct exchange_trace *t = &x->trace;
	struct trace_context out = t->ctx;

	if (!t->rewrite)
		return p;
	if (!trace_has_ids(&out))
		return denial_fields(x, exchange_spec(x)->trace.write, p);
	if (t->sampled && x->upstream->kind != UPSTREAM_HANDLER) {
		out.parent = x->n_tries ? t->retry : t->ctx.span;
		out.span = t->attempt;
	}
	return trace_write(&out, exchange_spec(x)->trace.write, p);
}
