/* `consul:URL`: properties in Consul's key-value store, live by blocking queries.
 *
 *     two consul_watch (of the service's name, of `application`) ──> consul_kv (JSON to properties) ──> here: merged, compared,
 *     given to control
 *
 * A body above PARSE_AT_ONCE is parsed on a thread that lives for that alone. Nothing is said before both reads have answered
 * once: no half of a configuration is used. When all is suddenly empty the last values stay for EMPTY_HOLD: a token that
 * lost its rights reads emptiness too. What a user sees of it is docs/config-consul.md. */
#include "base/mem.h"
#include "consul_kv.h"
#include "consul_watch.h"

#include <pthread.h>

#define PARSE_AT_ONCE (64u * 1024u) /* bytes: some 1 ms */
#define EMPTY_HOLD (60 * USEC_SEC)
#define WAIT_MIN (1 * USEC_SEC)
#define SHARED "application"
#define PREFIX "config"

struct reading { /* one body and what it says; with a thread when that is long */
	struct mail mail;
	struct half *half; /* NULL: closed meanwhile */
	struct loop *loop;
	struct consul_names names; /* borrowed of the source, which waits for the thread before it goes */
	char *body;
	size_t body_n;
	struct config_props props;
	uint64_t sum;
	struct err err;
	bool ok, joined;
	pthread_t thread;
};

struct half { /* the keys of one name */
	struct source *owner;
	struct consul_watch watch;
	struct str name;
	char path[CONSUL_PATH_MAX];
	struct reading *reading; /* on its thread */
	struct config_props props;
	uint64_t sum;
	bool known;
	struct err trouble;
};

struct source {
	struct loop *loop;
	struct source_events events;
	void *arg;
	char *service, *profiles, *prefix; /* owned */
	struct consul_servers servers;
	struct half halves[2]; /* the stronger first */
	size_t n;              /* 1: no service of its own */
	struct timer hold;     /* when to believe that all is empty */
	usec hold_until;       /* 0: it is not */
	bool said;
	size_t said_n;
	uint64_t said_sum;
	struct err trouble;
};

/* --- what control hears ------------------------------------------------------------------------------------------------ */

static void tell(struct source *s)
{
	const char *why = "";

	for (size_t i = 0; i < s->n && why[0] == '\0'; i++)
		why = s->halves[i].trouble.text;
	if (why[0] == '\0' && s->hold_until > 0)
		why = "all its keys are gone now: what stood there is kept for a while";
	if (strcmp(s->trouble.text, why) == 0)
		return;
	err_set(&s->trouble, "%s", why);
	s->events.on_trouble(s->arg, s->trouble.text);
}

static void deliver(struct source *s, size_t n, uint64_t sum)
{
	struct source_property *all = mem_zarray(n ? n : 1, sizeof(*all));
	uint32_t sets = 0;
	size_t at = 0;

	if (!all || n > SOURCE_PROPERTIES_MAX) {
		mem_free(all);
		s->events.on_trouble(
			s->arg, "more properties than are taken, or memory is short; the former values stay");
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		const struct config_props *p = &s->halves[i].props;
		for (size_t k = 0; k < p->n; k++) {
			all[at] = p->at[k];
			all[at++].set += sets;
		}
		sets += p->sets;
	}
	s->said = true;
	s->said_n = n;
	s->said_sum = sum;
	s->events.on_values(s->arg, all, n);
	mem_free(all);
}

/* Emptiness after values is more often an accident than a wish. */
static bool held(struct source *s, size_t n)
{
	usec now = loop_now(s->loop);

	if (n > 0 || !s->said || s->said_n == 0) {
		s->hold_until = 0;
		timer_clear(&s->hold);
		return false;
	}
	if (s->hold_until == 0) {
		s->hold_until = now + EMPTY_HOLD;
		timer_set(s->loop, &s->hold, s->hold_until);
	}
	return now < s->hold_until;
}

static void consider(void *arg)
{
	struct source *s = arg;
	uint64_t sum = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (!s->halves[i].known)
			return;
		n += s->halves[i].props.n;
		sum = sum * 31 + s->halves[i].sum;
	}
	if (!held(s, n)) {
		s->hold_until = 0;
		if (!s->said || n != s->said_n || sum != s->said_sum)
			deliver(s, n, sum);
	}
	tell(s);
}

/* --- reading ------------------------------------------------------------------------------------------------------------- */

static void read_body(struct reading *r, struct str body)
{
	config_props_init(&r->props);
	/* A 404: no key. Its ranks count all the same, so that sets keep their numbers. */
	r->ok = consul_kv_read(&r->props, body.n ? body : STR("[]"), &r->names, &r->err);
	r->sum = r->props.n;
	for (size_t i = 0; r->ok && i < r->props.n; i++) {
		r->sum = str_hash(r->props.at[i].key, r->sum);
		r->sum = str_hash(r->props.at[i].value, r->sum + r->props.at[i].set);
	}
}

static void take(struct half *h, struct reading *r)
{
	struct source *s = h->owner;

	if (!r->ok) {
		consul_watch_taken(&h->watch, r->err.text);
		return;
	}
	config_props_release(&h->props);
	h->props = r->props;
	r->props = (struct config_props){ .n = 0 };
	h->sum = r->sum;
	h->known = true;
	consul_watch_taken(&h->watch, NULL);
	consider(s);
}

static void reading_free(struct reading *r)
{
	config_props_release(&r->props);
	if (r->body)
		mem_wipe_free(r->body, r->body_n);
	mem_free(r);
}

static void on_read(struct mail *m)
{
	struct reading *r = LIST_OWNER(m, struct reading, mail);

	if (!r->joined)
		pthread_join(r->thread, NULL);
	if (r->half) {
		r->half->reading = NULL;
		take(r->half, r);
	}
	reading_free(r);
}

static void *read_thread(void *arg)
{
	struct reading *r = arg;

	read_body(r, str_make(r->body, r->body_n));
	loop_post(r->loop, &r->mail);
	return NULL;
}

static void read_aside(struct half *h, struct reading *r, struct str body)
{
	r->mail.fn = on_read;
	r->half = h;
	r->body = mem_dup(body.p, body.n);
	r->body_n = body.n;
	h->reading = r;
	if (r->body && pthread_create(&r->thread, NULL, read_thread, r) == 0)
		return;
	h->reading = NULL;
	reading_free(r);
	consul_watch_taken(&h->watch, "memory or threads are short");
}

static void on_answer(void *arg, int status, struct str body, const char *server)
{
	struct half *h = arg;
	struct source *s = h->owner;
	struct reading *r = mem_zalloc(sizeof(*r));

	if (!r) {
		consul_watch_taken(&h->watch, "out of memory");
		return;
	}
	r->loop = s->loop;
	r->names = (struct consul_names){ str_of(s->prefix), h->name, str_of(s->profiles), str_of(server) };
	if (status == 200 && body.n == 0) {
		consul_watch_taken(&h->watch, "its answer is empty");
		reading_free(r);
	} else if (body.n > PARSE_AT_ONCE) {
		read_aside(h, r, body);
	} else {
		read_body(r, body);
		take(h, r);
		reading_free(r);
	}
}

static void on_trouble(void *arg, const char *why)
{
	struct half *h = arg;

	err_set(&h->trouble, "%s", why);
	tell(h->owner);
}

/* --- life ------------------------------------------------------------------------------------------------------------------ */

static void half_release(struct half *h)
{
	consul_watch_stop(&h->watch);
	if (h->reading) { /* its mail lies in the loop's box once the thread has ended; the next turn frees it */
		pthread_join(h->reading->thread, NULL);
		h->reading->joined = true;
		h->reading->half = NULL;
	}
	config_props_release(&h->props);
}

static void consul_close(struct source *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < 2; i++)
		half_release(&s->halves[i]);
	if (s->hold.fn)
		timer_clear(&s->hold);
	consul_servers_release(&s->servers);
	mem_free(s->service);
	mem_free(s->profiles);
	mem_free(s->prefix);
	mem_free(s);
}

static bool add_half(struct source *s, struct str name, usec poll, struct err *err)
{
	static const struct consul_watch_events events = { on_answer, on_trouble };
	struct half *h = &s->halves[s->n++];
	usec wait = poll > WAIT_MIN ? poll : WAIT_MIN;

	h->owner = s;
	h->name = name;
	h->watch = (struct consul_watch){ .servers = &s->servers,
		.events = &events,
		.arg = h,
		.path = h->path,
		.query = "recurse=true",
		.wait = wait < CONSUL_WAIT_MAX ? wait : CONSUL_WAIT_MAX,
		.body_max = CONSUL_BODY_MAX };
	return consul_kv_path(str_of(s->prefix), name, h->path, sizeof(h->path)) ||
	       err_set(err, "outrider.consul.prefix and the service's name are longer than %u bytes",
		       CONSUL_PATH_MAX);
}

static bool set_up(struct source *s, const struct source_config *c, struct err *err)
{
	struct str prefix = plugin_setting(&c->settings, "consul", "prefix");

	if (!prefix.p)
		prefix = STR(PREFIX);
	s->service = mem_dup(c->service.p ? c->service.p : "", c->service.n);
	s->profiles = mem_dup(c->profiles.p ? c->profiles.p : "", c->profiles.n);
	s->prefix = mem_dup(prefix.p, prefix.n);
	if (!s->service || !s->profiles || !s->prefix)
		return err_set(err, "out of memory");
	if (c->service.p && c->service.n && !str_eq(c->service, STR(SHARED)) &&
		!add_half(s, str_of(s->service), c->poll, err))
		return false;
	return add_half(s, STR(SHARED), c->poll, err) &&
	       consul_servers_init(&s->servers, c->loop, c->resolver, c->ns, c->address, &c->settings, err);
}

static struct source *consul_open(
	const struct source_config *c, const struct source_events *events, void *arg, struct err *err)
{
	struct source *s = mem_zalloc(sizeof(*s));

	if (!s) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->loop = c->loop;
	s->events = *events;
	s->arg = arg;
	timer_init(&s->hold, consider, s);
	if (!set_up(s, c, err)) {
		consul_close(s);
		return NULL;
	}
	for (size_t i = 0; i < s->n; i++)
		consul_watch_start(&s->halves[i].watch);
	return s;
}

static void consul_refresh(struct source *s)
{
	for (size_t i = 0; i < s->n; i++)
		consul_watch_refresh(&s->halves[i].watch);
}

extern const struct source_ops source_consul;
const struct source_ops source_consul = {
	.name = "consul",
	.help = "consul:http://HOST:PORT, keys <outrider.consul.prefix>/<service>[,<profile>]/…; several "
		"agents by |",
	.open = consul_open,
	.refresh = consul_refresh,
	.close = consul_close,
};
