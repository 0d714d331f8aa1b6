/* Heads as they are sent on: hop-by-hop fields out, framing of our own, and what the agent adds. */
#include "proxy/admit.h"
#include "proxy/client.h"
#include "proxy/hello.h"
#include "proxy/origin.h"
#include "proxy/steps.h"

#include <inttypes.h>
#include <stdio.h>

#define ADDED_MAX (1024 + HELLO_MAX + TRACE_WRITE_MAX) /* bytes that fields of ours may take beside copied values */

/* A cursor that cannot run over: `full` is asked once at the end. */
struct pen {
	char *p, *end;
	bool full;
};

static void put(struct pen *w, const char *p, size_t n)
{
	if ((size_t)(w->end - w->p) < n) {
		w->full = true;
		return;
	}
	if (n)
		memcpy(w->p, p, n);
	w->p += n;
}
#define PUT(w, lit) put((w), "" lit, sizeof(lit) - 1)

static void put_str(struct pen *w, struct str s)
{
	put(w, s.p, s.n);
}

static void put_fields(struct pen *w, const struct head *h)
{
	w->p = head_write_fields(h, w->p); /* its size was reserved */
}

/* --- the request id --------------------------------------------------------------------------------------- */

/* Eight hexadecimal digits of v at once: each nibble to a byte of its own, then to its letter. */
static void put_hex8(char *dst, uint32_t v)
{
	uint64_t x = v;

	x = (x | x << 16) & 0x0000ffff0000ffffu;
	x = (x | x << 8) & 0x00ff00ff00ff00ffu;
	x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
	uint64_t letters = (x + 0x0606060606060606u) >> 4 & 0x0101010101010101u; /* 1 where the nibble is above 9 */
	x += 0x3030303030303030u + letters * ('a' - '0' - 10);
	memcpy(dst, &x, 8);
}

void forward_make_id(struct exchange *x)
{
	for (int i = 0; i < 4; i += 2) {
		uint64_t v = rng_next(&x->w->rng);
		put_hex8(x->id + i * 8, (uint32_t)v);
		put_hex8(x->id + i * 8 + 8, (uint32_t)(v >> 32));
	}
	x->id[32] = '\0';
	x->request_id = str_make(x->id, 32);
}

/* Are this peer's X-Forwarded-… and X-Request-Id to be believed? The own service's always are. */
bool forward_trusts(const struct exchange *x)
{
	const struct spec_forward *f = &exchange_spec(x)->forward;

	if (x->l->kind == LISTEN_OUTBOUND || x->l->kind == LISTEN_PINNED || x->c->peer.sa.sa_family == AF_UNIX)
		return true;
	for (uint32_t i = 0; i < f->n_trusted; i++)
		if (cidr_has(&f->trusted[i], &x->c->peer))
			return true;
	return false;
}

static void settle_request_id(struct exchange *x, bool trust)
{
	struct str id = field_value(head_get(&x->req, FIELD_X_REQUEST_ID));

	if (id.n && id.n <= 128 && trust) {
		x->request_id = id;
		return;
	}
	forward_make_id(x);
	if (exchange_spec(x)->forward.set & FORWARD_REQUEST_ID)
		head_delete(&x->req, FIELD_X_REQUEST_ID);
}

/* The values of several X-Forwarded-For fields become one, to which the peer is added when a head is written. */
static bool join_forwarded_for(struct exchange *x)
{
	struct head *h = &x->req;
	size_t n = 0;

	for (unsigned i = 0; i < h->n; i++)
		if (h->f[i].id == FIELD_X_FORWARDED_FOR && !(h->f[i].flags & FIELD_DELETED))
			n += h->f[i].value_len + 2u;
	char *p = arena_bytes(&x->arena, n), *at = p;
	if (!p)
		return false;
	for (unsigned i = 0; i < h->n; i++) {
		const struct field *f = &h->f[i];
		if (f->id != FIELD_X_FORWARDED_FOR || (f->flags & FIELD_DELETED) || !f->value_len)
			continue;
		if (at != p) {
			memcpy(at, ", ", 2);
			at += 2;
		}
		memcpy(at, f->value, f->value_len);
		at += f->value_len;
	}
	x->forwarded_for = str_make(p, (size_t)(at - p));
	head_delete(h, FIELD_X_FORWARDED_FOR);
	return true;
}

bool forward_prepare(struct exchange *x)
{
	static const uint8_t mesh_words[] = { FIELD_X_OUTRIDER_HELLO, FIELD_X_OUTRIDER_MARK, FIELD_X_OUTRIDER_ATTEMPT };
	static const uint8_t claims[] = { FIELD_X_FORWARDED_FOR, FIELD_X_FORWARDED_PROTO, FIELD_X_FORWARDED_HOST, FIELD_FORWARDED };
	struct head *h = &x->req;
	bool trust = forward_trusts(x);

	x->tunnel_wanted = h->upgrade && h->body == BODY_NONE;
	head_delete_hop_by_hop(h);
	for (size_t i = 0; i < sizeof(mesh_words); i++)
		head_delete(h, mesh_words[i]); /* between agents only: they grant nothing to a handler or a client */
	if (x->l->kind == LISTEN_EDGE)
		head_delete(h, FIELD_X_OUTRIDER_DEADLINE_MS);
	if (x->l->kind == LISTEN_EDGE && !trust)
		head_delete(h, FIELD_X_ENVOY_TIMEOUT);
	if (x->upstream->kind == UPSTREAM_HANDLER)
		head_delete(h, FIELD_X_OUTRIDER_RETRIES);
	if (!trust)
		head_delete(h, FIELD_X_OUTRIDER_PRIORITY);
	for (size_t i = 0; !trust && i < sizeof(claims); i++)
		head_delete(h, claims[i]);
	settle_request_id(x, trust);
	bool extends = !exchange_off(x) && (exchange_spec(x)->forward.set & FORWARD_FOR) &&
		       (x->l->kind == LISTEN_INBOUND || x->l->kind == LISTEN_EDGE);
	return !extends || !head_get(h, FIELD_X_FORWARDED_FOR) || join_forwarded_for(x);
}

bool forward_looped(const struct exchange *x)
{
	const struct head *h = &x->req;
	size_t n = strlen(x->l->via);

	if (!h->first[FIELD_VIA])
		return false;
	for (unsigned i = 0; i < h->n; i++) {
		const struct field *f = &h->f[i];
		if (f->id == FIELD_VIA && memmem(f->value, f->value_len, x->l->via, n))
			return true;
	}
	return false;
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

/* "X-Forwarded-For: what came, the peer". */
static void put_forwarded_for(struct pen *w, const struct exchange *x)
{
	char *ip = x->c->peer_ip;

	if (!*ip) {
		char text[ADDR_TEXT_MAX];
		addr_ip_text(&x->c->peer, text);
		(void)str_copy(str_of(text), ip, sizeof(x->c->peer_ip));
	}
	PUT(w, "X-Forwarded-For: ");
	if (x->forwarded_for.n) {
		put_str(w, x->forwarded_for);
		PUT(w, ", ");
	}
	put(w, ip, strlen(ip));
	PUT(w, "\r\n");
}

/* What is said of the caller to the handler and, from the edge, to the service. A sidecar's own service needs no such words. */
static void put_claims(struct pen *w, struct exchange *x, uint8_t set)
{
	struct head *h = &x->req;

	if (x->l->kind != LISTEN_INBOUND && x->l->kind != LISTEN_EDGE)
		return;
	if ((set & FORWARD_FOR) && x->c->peer.sa.sa_family != AF_UNIX)
		put_forwarded_for(w, x);
	if ((set & FORWARD_PROTO) && !head_get(h, FIELD_X_FORWARDED_PROTO))
		PUT(w, "X-Forwarded-Proto: http\r\n");
	if ((set & FORWARD_HOST) && x->req.authority.n && !head_get(h, FIELD_X_FORWARDED_HOST)) {
		PUT(w, "X-Forwarded-Host: ");
		put_str(w, x->req.authority);
		PUT(w, "\r\n");
	}
}

static void put_request_framing(struct pen *w, const struct exchange *x)
{
	if (x->tunnel_wanted)
		PUT(w, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
	else if (x->req.te_trailers)
		PUT(w, "Connection: TE\r\nTE: trailers\r\n");
	if (x->req.body == BODY_CHUNKED)
		PUT(w, "Transfer-Encoding: chunked\r\n");
}

static void put_number(struct pen *w, const char *name, uint64_t v)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64 "\r\n", v);

	put(w, name, strlen(name));
	put(w, digits, (size_t)n);
}

static void put_added(struct pen *w, struct exchange *x)
{
	uint8_t set = exchange_off(x) ? 0 : exchange_spec(x)->forward.set;

	put_claims(w, x, set);
	if ((set & FORWARD_REQUEST_ID) && x->id[0]) {
		PUT(w, "X-Request-Id: ");
		put(w, x->id, 32);
		PUT(w, "\r\n");
	}
	if (w->end - w->p >= (ptrdiff_t)TRACE_WRITE_MAX)
		w->p = trace_fields(x, w->p);
	if (x->deadline)
		put_number(w, "X-Outrider-Deadline-Ms: ", admit_left_ms(x));
	if (x->n_attempts > 1 && x->upstream->kind == UPSTREAM_SERVICE)
		put_number(w, "X-Outrider-Attempt: ", x->n_attempts);
	if (hello_is_due(x)) {
		PUT(w, "X-Outrider-Hello: to=");
		put_str(w, x->upstream->name);
		PUT(w, ";");
		put_str(w, exchange_spec(x)->hello);
		PUT(w, "\r\n");
		x->a.o->said_hello = true;
	}
	if (exchange_spec(x)->forward.set & FORWARD_VIA) {
		put(w, x->req.minor ? "Via: 1.1 " : "Via: 1.0 ", 9);
		put(w, x->l->via, strlen(x->l->via));
		PUT(w, "\r\n");
	}
}

/* The Host that goes out: the client's field as it is, but for an absolute form, whose authority wins (RFC 9112 3.2.2). */
static struct str host_to_write(struct exchange *x)
{
	if (x->req.form == TARGET_ABSOLUTE)
		head_delete(&x->req, FIELD_HOST);
	if (head_get(&x->req, FIELD_HOST))
		return (struct str){ NULL, 0 };
	if (x->req.authority.n)
		return x->req.authority;
	return x->upstream->kind == UPSTREAM_SERVICE ? x->upstream->name : STR("localhost");
}

bool forward_request_head(struct exchange *x)
{
	struct head *h = &x->req;
	struct str host = host_to_write(x);
	size_t size = h->method_text.n + x->path.n + head_fields_size(h) + x->forwarded_for.n + host.n +
		      h->authority.n + ADDED_MAX;
	struct block *b = size <= BLOCK_SMALL_BYTES ? block_get(&x->w->blocks, BLOCK_SMALL)
						    : block_get_huge(&x->w->blocks, (uint32_t)size);
	if (!b)
		return false;
	struct pen w = { b->data, b->data + b->cap, false };
	put_str(&w, h->method_text);
	PUT(&w, " ");
	put_str(&w, x->path);
	PUT(&w, " HTTP/1.1\r\n");
	if (host.n) {
		PUT(&w, "Host: ");
		put_str(&w, host);
		PUT(&w, "\r\n");
	}
	if (x->deadline) { /* ours is what is left of the same time */
		head_delete(h, FIELD_X_OUTRIDER_DEADLINE_MS);
		head_delete(h, FIELD_X_ENVOY_TIMEOUT);
	}
	trace_strip(x);
	put_fields(&w, h);
	put_request_framing(&w, x);
	put_added(&w, x); /* behind what came: our Via is the last one */
	PUT(&w, "\r\n");
	if (w.full) {
		block_unref(b);
		return false;
	}
	b->end = (uint32_t)(w.p - b->data);
	return outq_prepend(&x->up.q, b, b->data, b->end);
}

/* --- responses --------------------------------------------------------------------------------------------------------- */

bool forward_keeps_open(struct exchange *x)
{
	const struct spec_limits *lim = &exchange_spec(x)->limits;
	struct client *c = x->c;

	if (!x->req.keep_alive || c->half_closed || wlistener_leaving(x->l) || overload_of(x->sc) >= OVERLOAD_CLOSE ||
	    (lim->requests && c->requests >= lim->requests))
		x->close_down = true;
	return !x->close_down;
}

static void put_response_framing(struct pen *w, struct exchange *x)
{
	if (x->res.status == 101) {
		struct str proto = STR("websocket");
		PUT(w, "Connection: Upgrade\r\nUpgrade: ");
		put_str(w, proto);
		PUT(w, "\r\n");
		return;
	}
	if (x->res.status < 200)
		return;
	if (x->down_flow.out == BODY_CHUNKED)
		PUT(w, "Transfer-Encoding: chunked\r\n");
	if (!forward_keeps_open(x))
		PUT(w, "Connection: close\r\n");
	else if (x->req.minor == 0)
		PUT(w, "Connection: keep-alive\r\n");
}

static void put_status_line(struct pen *w, const struct head *h)
{
	char code[4] = { (char)('0' + h->status / 100), (char)('0' + h->status / 10 % 10),
			 (char)('0' + h->status % 10), ' ' };

	PUT(w, "HTTP/1.1 ");
	put(w, code, 4);
	put_str(w, h->phrase);
	PUT(w, "\r\n");
}

/* A client without the cookie, or with that of an instance that did not answer this time, is told whom it belongs to. */
static void put_sticky(struct pen *w, const struct exchange *x)
{
	if (!x->upstream->cookie.n || !x->a.balanced || x->res.status < 200)
		return;
	uint64_t id = x->upstream->balance.ids[x->a.ticket.index];
	char hex[16];
	if (id == x->sticky)
		return;
	for (unsigned i = 0; i < sizeof(hex); i++)
		hex[i] = "0123456789abcdef"[id >> (60 - 4 * i) & 15];
	PUT(w, "Set-Cookie: ");
	put_str(w, x->upstream->cookie);
	PUT(w, "=");
	put(w, hex, sizeof(hex));
	PUT(w, "; Path=/; HttpOnly; SameSite=Lax\r\n");
}

/* The instance's agent says who it is, and not what its handler copied from a reply to itself. The outer world learns none of it, nor why an
 * inner agent answered. */
static struct str settle_agent(struct exchange *x)
{
	struct str agent = exchange_spec(x)->agent;

	if (x->l->kind == LISTEN_INBOUND && agent.n)
		head_delete(&x->res, FIELD_X_OUTRIDER_AGENT);
	if (x->l->kind == LISTEN_EDGE && !agent.n) {
		head_delete(&x->res, FIELD_X_OUTRIDER_AGENT);
		head_delete(&x->res, FIELD_X_OUTRIDER_REASON);
	}
	return x->l->kind == LISTEN_INBOUND ? agent : STR("");
}

bool forward_response_head(struct exchange *x)
{
	struct head *h = &x->res;

	head_delete_hop_by_hop(h);
	head_delete(h, FIELD_X_OUTRIDER_HELLO);
	head_delete(h, FIELD_X_OUTRIDER_MARK);
	struct str agent = settle_agent(x);
	size_t size = h->phrase.n + head_fields_size(h) + ADDED_MAX;
	char *to = outq_reserve(&x->down_flow.q, &x->w->blocks, size);
	if (!to)
		return false;
	struct pen w = { to, to + size, false };
	put_status_line(&w, h);
	put_response_framing(&w, x);
	put_sticky(&w, x);
	if (h->status >= 500 && retry_is_exhausted(x, status_in(&x->upstream->policy.retry_statuses, h->status)))
		PUT(&w, "X-Outrider-Mark: exhausted\r\n");
	if (x->fallen && h->status >= 200)
		PUT(&w, "X-Outrider-Fallback: upstream\r\n");
	if (agent.n && h->status >= 200) {
		PUT(&w, "X-Outrider-Agent: ");
		put_str(&w, agent);
		PUT(&w, "\r\n");
	}
	if (x->greet && h->status >= 200) {
		PUT(&w, "X-Outrider-Hello: ");
		put_str(&w, exchange_spec(x)->hello);
		PUT(&w, "\r\n");
	}
	put_fields(&w, h);
	PUT(&w, "\r\n");
	outq_commit(&x->down_flow.q, (size_t)(w.p - to));
	return !w.full;
}
