/* The list of open client connections, for /connections: written by the worker, handed to control by mail. */
#include "base/json.h"
#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/worker.h"

#define LIST_TEXT_MAX (2u << 20)

struct ask_mail {
	struct mail m;
	struct worker *w;
	uint32_t slot, max;
	void (*fn)(void *arg, unsigned worker, struct text *json);
	void *arg;
	struct text text;
};

static void write_exchange(struct json *j, const struct exchange *x)
{
	struct str path = x->req.path;
	size_t q = str_find(path, '?');

	json_key(j, "method");
	json_str(j, x->req.method_text);
	json_key(j, "path");
	json_str(j, q == SIZE_MAX ? path : str_make(path.p, q));
	if (x->upstream) {
		json_key(j, "upstream");
		json_str(j, x->upstream->name);
	}
	if (x->a.ep) {
		json_key(j, "endpoint");
		json_strz(j, x->a.ep->text);
	}
}

static void write_client(struct json *j, const struct client *c, usec now)
{
	static const char *const kinds[] = { "inbound", "outbound", "pinned", "tcp", "edge" };
	char peer[ADDR_TEXT_MAX];

	addr_text(&c->peer, peer);
	json_object(j);
	json_key(j, "peer");
	json_strz(j, peer);
	json_key(j, "listener");
	json_strz(j, kinds[c->l->kind]);
	json_key(j, "state");
	json_strz(j, client_state_name(c));
	json_key(j, "age_ms");
	json_u64(j, (now - c->since) / USEC_MS);
	json_key(j, "idle_ms");
	json_u64(j, (now - c->active) / USEC_MS);
	json_key(j, "requests");
	json_u64(j, c->requests);
	if (c->x && c->state == CLIENT_EXCHANGE)
		write_exchange(j, c->x);
	json_end(j);
}

static void on_answer(struct mail *m)
{
	struct ask_mail *a = LIST_OWNER(m, struct ask_mail, m);

	a->fn(a->arg, a->w->cfg.index, &a->text);
	mem_free(a);
}

static void on_ask(struct mail *m)
{
	struct ask_mail *a = LIST_OWNER(m, struct ask_mail, m);
	struct worker *w = a->w;
	struct wsidecar *sc = a->slot < w->cfg.max_sidecars ? w->sidecars[a->slot] : NULL;
	struct json j = json_begin(&a->text);
	uint32_t left = a->max;
	usec now = loop_now(w->loop);

	json_array(&j);
	if (sc) {
		LIST_EACH(it, tmp, &sc->listeners) {
			struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
			LIST_EACH(ct, ctmp, &l->clients) {
				if (left && a->text.n < LIST_TEXT_MAX / 2) {
					write_client(&j, LIST_OWNER(ct, struct client, link), now);
					left--;
				}
			}
		}
	}
	json_end(&j);
	a->m.fn = on_answer;
	loop_post(w->cfg.control, &a->m);
}

bool worker_connections(struct worker *w, uint32_t slot, uint32_t max,
			void (*fn)(void *arg, unsigned worker, struct text *json), void *arg)
{
	struct ask_mail *a = mem_zalloc(sizeof(*a));

	if (!a)
		return false;
	a->m.fn = on_ask;
	a->w = w;
	a->slot = slot;
	a->max = max;
	a->fn = fn;
	a->arg = arg;
	text_init(&a->text, LIST_TEXT_MAX);
	loop_post(w->loop, &a->m);
	return true;
}
