#include "consul_lease.h"

#include "base/json.h"
#include "base/mem.h"
#include "consul_health.h"
#include "http_url.h"
#include "own_instance.h"

#include <stdio.h>

#define WITHDRAW_TIME (2 * USEC_SEC)
#define RETRY_FIRST (500 * USEC_MS)
#define TIMEOUT (8 * USEC_SEC)
#define FORGET_AFTER "1m" /* Consul's least: an instance that says nothing is critical after its TTL, and gone after that */

enum step { LOOK, REGISTER, REPORT, OWNED, DEREGISTER };

struct consul_lease {
	struct list link; /* in all */
	struct consul_leases *of;
	struct timer timer; /* the next step; when leaving: the end of patience */
	struct fetch *fetch;
	enum step step; /* of the fetch */
	struct own_instance own;
	usec pause; /* after a failure */
	bool registered, leaving, again;
	bool fresh; /* registered, and its state not said since */
	void (*done)(void *arg);
	void *done_arg;
};

static void begin(struct consul_lease *l);

static void lease_free(struct consul_lease *l)
{
	if (l->fetch)
		fetch_cancel(l->fetch);
	timer_clear(&l->timer);
	list_remove(&l->link);
	own_instance_release(&l->own);
	mem_free(l);
}

static void leave(struct consul_lease *l)
{
	void (*done)(void *) = l->done;
	void *arg = l->done_arg;

	lease_free(l);
	if (done)
		done(arg);
}

static void plan(struct consul_lease *l, usec pause)
{
	timer_set(l->of->loop, &l->timer,
		  loop_touch(l->of->loop) + pause - pause / 10 + rng_below(&l->of->rng, (uint32_t)(pause / 10) + 1));
}

/* --- answers -------------------------------------------------------------------------------------------------------------- */

static void went_wrong(struct consul_lease *l, const struct fetch_reply *reply, const char *why)
{
	struct consul_leases *s = l->of;
	usec third = s->lease / 3;

	l->pause = l->pause ? 2 * l->pause : RETRY_FIRST;
	if (l->pause > third)
		l->pause = third;
	plan(l, l->pause);
	s->said(s->arg, why);
	if (!reply || (reply->status != 0 && reply->status < 500) || s->servers->n < 2)
		return;
	s->server = (s->server + 1) % s->servers->n; /* a registration belongs to one agent of Consul */
	l->registered = false;
}

static void went_well(struct consul_lease *l)
{
	if (l->step == REGISTER) { /* Consul keeps the status of a check that was there: say the state now */
		l->registered = l->fresh = true;
		begin(l);
		return;
	}
	l->fresh = false;
	l->pause = 0;
	plan(l, l->of->lease / 3);
	l->of->said(l->of->arg, "");
}

static void refused(struct consul_lease *l, const struct fetch_reply *reply)
{
	const char *url = l->of->servers->url[l->of->server];
	struct err why;

	if (reply->status == 0)
		err_set(&why, "%s", reply->why);
	else if (reply->status == 403 || reply->status == 401)
		err_set(&why, "%s answers %d: outrider.consul.token lacks service:write for this service", url, reply->status);
	else
		err_set(&why, "%s answers %d to a registration: %.*s", url, reply->status,
			(int)(reply->body.n < 160 ? reply->body.n : 160), reply->body.p ? reply->body.p : "");
	went_wrong(l, reply, why.text);
}

static void on_answer(struct consul_lease *l, const struct fetch_reply *reply)
{
	if (l->step == LOOK && reply->status != 0) /* whatever it says: the connection shows the own address */
		begin(l);
	else if (l->step == REPORT && !l->fresh && reply->status >= 400 && reply->status != 403) {
		l->registered = false; /* it forgot us */
		begin(l);
	} else if (reply->status == 200)
		went_well(l);
	else {
		l->fresh = false; /* else it would never register again */
		refused(l, reply);
	}
}

static void on_reply(void *arg, const struct fetch_reply *reply)
{
	struct consul_lease *l = arg;

	l->fetch = NULL;
	if (reply->local[0] != '\0')
		(void)str_copy(str_of(reply->local), l->of->local, sizeof(l->of->local));
	if (l->leaving) {
		if (l->step == OWNED && reply->status == 200 && consul_has_meta(reply->body, "outrider-owner", l->of->owner)) {
			l->step = DEREGISTER;
			begin(l);
		} else
			leave(l);
		return;
	}
	bool again = l->again;
	l->again = false;
	on_answer(l, reply);
	if (again) /* something else is true by now */
		l->registered = false;
	if (again && !l->fetch)
		begin(l);
}

/* --- questions ------------------------------------------------------------------------------------------------------------- */

/* Consul takes letters, digits, - and _ in a key. */
static void put_meta(struct json *j, struct str key, struct str value)
{
	char clean[128];
	size_t n = key.n < sizeof(clean) ? key.n : sizeof(clean);

	for (size_t i = 0; i < n; i++) {
		char c = key.p[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
		clean[i] = good ? c : '_';
	}
	json_keyn(j, str_make(clean, n));
	json_str(j, value.n <= 512 ? value : str_make(value.p, 512));
}

static const char *status_word(const struct consul_lease *l)
{
	return l->own.self.state == REGISTRY_UP ? "passing" : "critical";
}

static void put_check(struct json *j, const struct consul_lease *l)
{
	char id[700], ttl[32];

	snprintf(id, sizeof(id), "service:%.*s", STR_ARG(l->own.self.id));
	snprintf(ttl, sizeof(ttl), "%llums", (unsigned long long)(l->of->lease / USEC_MS));
	json_key(j, "Check");
	json_object(j);
	json_put_str(j, "CheckID", str_of(id));
	json_put_str(j, "TTL", str_of(ttl));
	json_put_str(j, "Status", str_of(status_word(l)));
	json_put_str(j, "DeregisterCriticalServiceAfter", STR(FORGET_AFTER));
	json_end(j);
}

static void write_registration(struct text *t, const struct consul_lease *l, const struct addr *at)
{
	const struct registry_instance *self = &l->own.self;
	struct json j = json_begin(t);
	char ip[ADDR_TEXT_MAX];

	addr_ip_text(at, ip);
	json_object(&j);
	json_put_str(&j, "ID", self->id);
	json_put_str(&j, "Name", self->service);
	json_put_str(&j, "Address", str_of(ip));
	json_key(&j, "Port");
	json_u64(&j, addr_port(at));
	json_key(&j, "Meta");
	json_object(&j);
	put_meta(&j, STR("outrider-owner"), str_of(l->of->owner));
	if (self->node.n)
		put_meta(&j, STR("node"), self->node);
	if (self->zone.n)
		put_meta(&j, STR("zone"), self->zone);
	for (size_t i = 0; i < self->n_meta; i++)
		if (!str_eq(self->meta[i].key, STR("node")) && !str_eq(self->meta[i].key, STR("zone")))
			put_meta(&j, self->meta[i].key, self->meta[i].value);
	json_end(&j);
	put_check(&j, l);
	json_end(&j);
}

static void write_report(struct text *t, const struct consul_lease *l)
{
	struct json j = json_begin(t);

	json_object(&j);
	json_put_str(&j, "Status", str_of(status_word(l)));
	json_put_str(&j, "Output", STR("said by its agent"));
	json_end(&j);
}

static bool address_of(const struct consul_lease *l, struct addr *ret)
{
	*ret = l->own.self.addr;
	if (addr_is_any(ret) && !addr_parse_ip(str_of(l->of->local), addr_port(&l->own.self.addr), ret))
		return false;
	addr_unmap(ret);
	return true;
}

static enum step next_step(const struct consul_lease *l, struct addr *at)
{
	if (l->leaving)
		return l->step == DEREGISTER ? DEREGISTER : OWNED;
	if (!address_of(l, at))
		return LOOK;
	return l->registered ? REPORT : REGISTER;
}

static void write_url(struct text *t, const struct consul_lease *l)
{
	static const char *const paths[] = {
		[LOOK] = "/v1/agent/service/",
		[REGISTER] = "/v1/agent/service/register?replace-existing-checks=true",
		[REPORT] = "/v1/agent/check/update/service:",
		[OWNED] = "/v1/agent/service/",
		[DEREGISTER] = "/v1/agent/service/deregister/",
	};

	text_addz(t, l->of->servers->url[l->of->server]);
	text_addz(t, paths[l->step]);
	if (l->step != REGISTER)
		http_url_encode(t, l->own.self.id, ":");
}

static void begin(struct consul_lease *l)
{
	struct consul_leases *s = l->of;
	const char *const headers[] = { "Content-Type: application/json", s->servers->token_line, NULL };
	struct text url, body;
	struct addr at;
	struct err err;

	text_init(&url, FETCH_URL_MAX);
	text_init(&body, 64 * 1024);
	l->step = next_step(l, &at);
	write_url(&url, l);
	if (l->step == REGISTER)
		write_registration(&body, l, &at);
	else if (l->step == REPORT)
		write_report(&body, l);
	usec time = s->lease < TIMEOUT ? s->lease : TIMEOUT;
	struct fetch_request q = { .url = text_z(&url), .method = l->step == LOOK || l->step == OWNED ? "GET" : "PUT",
				   .body = text_str(&body), .headers = headers, .ca_file = s->servers->ca,
				   .ca_option = "outrider.consul.ca", .body_max = 1u << 20, .total = time, .idle = time };
	if (url.failed || body.failed)
		err_set(&err, "no memory, or the instance has too much metadata");
	else
		l->fetch = fetch_start(s->servers->fetcher, &q, on_reply, l, &err);
	text_release(&url);
	text_release(&body);
	if (!l->fetch && !l->leaving) /* who leaves has a timer */
		went_wrong(l, NULL, err.text);
}

static void on_timer(void *arg)
{
	struct consul_lease *l = arg;

	if (l->leaving)
		leave(l);
	else if (!l->fetch)
		begin(l);
}

/* --- life ---------------------------------------------------------------------------------------------------------------- */

void consul_leases_init(struct consul_leases *s, struct loop *loop, struct consul_servers *servers, usec lease)
{
	*s = (struct consul_leases){ .loop = loop, .servers = servers, .lease = lease };
	rng_seed_os(&s->rng);
	snprintf(s->owner, sizeof(s->owner), "%016llx", (unsigned long long)rng_next(&s->rng));
	list_init(&s->all);
}

void consul_leases_release(struct consul_leases *s)
{
	if (!s->loop)
		return;
	LIST_EACH(it, tmp, &s->all)
		leave(LIST_OWNER(it, struct consul_lease, link));
}

static struct consul_lease *find(struct consul_leases *s, struct str id)
{
	LIST_EACH(it, tmp, &s->all)
	{
		struct consul_lease *l = LIST_OWNER(it, struct consul_lease, link);
		if (!l->leaving && str_eq(id, l->own.self.id))
			return l;
	}
	return NULL;
}

bool consul_leases_announce(struct consul_leases *s, const struct registry_instance *self)
{
	struct consul_lease *l = find(s, self->id), *fresh = NULL;

	if (!l) {
		l = fresh = mem_zalloc(sizeof(*l));
		if (!l)
			return false;
		timer_init(&l->timer, on_timer, l);
		l->of = s;
		list_append(&s->all, &l->link);
	}
	if (!own_instance_copy(&l->own, self)) {
		if (fresh)
			lease_free(fresh);
		return false;
	}
	l->registered = false; /* a new state is said by registering anew, with its check */
	l->again = l->fetch != NULL;
	if (!l->again)
		timer_set(s->loop, &l->timer, loop_touch(s->loop));
	return true;
}

void consul_leases_withdraw(struct consul_leases *s, struct str id, void (*done)(void *arg), void *arg)
{
	struct consul_lease *l = find(s, id);

	if (!l) {
		if (done)
			done(arg);
		return;
	}
	if (l->fetch)
		fetch_cancel(l->fetch);
	l->fetch = NULL;
	l->leaving = true;
	l->step = OWNED;
	l->done = done;
	l->done_arg = arg;
	timer_set(s->loop, &l->timer, loop_touch(s->loop) + WITHDRAW_TIME);
	begin(l);
}
