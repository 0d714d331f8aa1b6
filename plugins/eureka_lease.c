#include "eureka_lease.h"

#include "base/mem.h"
#include "eureka_json.h"
#include "net/timer.h"
#include "own_instance.h"

#include <ctype.h>
#include <stdio.h>

#define WITHDRAW_TIME (2 * USEC_SEC)
#define RETRY_FIRST (500 * USEC_MS)

enum step { LOOK, REGISTER, RENEW, OWNED, CANCEL };

struct eureka_lease {
	struct list link; /* in all */
	struct eureka_leases *of;
	struct timer timer; /* the next step; when leaving: the end of patience */
	struct fetch *fetch;
	enum step step; /* of the fetch */
	size_t server;  /* that it asks */
	struct own_instance own;
	usec dirty; /* wall: when what is said of it last changed */
	usec pause; /* after a failure */
	bool registered, leaving, again;
	void (*done)(void *arg);
	void *done_arg;
};

static void begin(struct eureka_lease *l);

static void lease_free(struct eureka_lease *l)
{
	if (l->fetch)
		fetch_cancel(l->fetch);
	timer_clear(&l->timer);
	list_remove(&l->link);
	own_instance_release(&l->own);
	mem_free(l);
}

static void leave(struct eureka_lease *l)
{
	void (*done)(void *) = l->done;
	void *arg = l->done_arg;

	lease_free(l);
	if (done)
		done(arg);
}

static void plan(struct eureka_lease *l, usec pause)
{
	timer_set(l->of->loop, &l->timer,
		  loop_touch(l->of->loop) + pause - pause / 10 + rng_below(&l->of->rng, (uint32_t)(pause / 10) + 1));
}

/* --- answers -------------------------------------------------------------------------------------------------------------- */

static void went_wrong(struct eureka_lease *l, const struct fetch_reply *reply, const char *why)
{
	usec third = l->of->lease / 3;

	l->pause = l->pause ? 2 * l->pause : RETRY_FIRST;
	if (l->pause > third)
		l->pause = third;
	plan(l, l->pause);
	l->of->said(l->of->arg, why);
	if (reply && eureka_is_down(reply))
		eureka_next(l->of->asker, l->server);
}

static void went_well(struct eureka_lease *l)
{
	l->pause = 0;
	l->registered = true;
	plan(l, l->of->lease / 3);
	l->of->said(l->of->arg, "");
}

static void on_answer(struct eureka_lease *l, const struct fetch_reply *reply)
{
	struct err err;

	if (l->step == LOOK && reply->status != 0) { /* whatever it says: the connection shows the own address */
		begin(l);
		return;
	}
	if (l->step == RENEW && reply->status == 404) {
		l->registered = false;
		begin(l);
		return;
	}
	if (eureka_accept(l->of->asker, l->server, reply, &err))
		went_well(l);
	else
		went_wrong(l, reply, err.text);
}

static void on_reply(void *arg, const struct fetch_reply *reply)
{
	struct eureka_lease *l = arg;

	l->fetch = NULL;
	if (reply->local[0] != '\0')
		(void)str_copy(str_of(reply->local), l->of->local, sizeof(l->of->local));
	if (l->leaving) {
		if (l->step == OWNED && reply->status == 200 && eureka_has_meta(reply->body, "outrider.owner", l->of->owner)) {
			l->step = CANCEL;
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

static void write_path(struct text *t, const struct eureka_lease *l, bool with_id)
{
	char app[256];
	size_t n = l->own.self.service.n < sizeof(app) ? l->own.self.service.n : sizeof(app);

	for (size_t i = 0; i < n; i++)
		app[i] = (char)toupper((unsigned char)l->own.self.service.p[i]);
	text_addz(t, "/apps/");
	http_url_encode(t, str_make(app, n), "");
	if (!with_id)
		return;
	text_char(t, '/');
	http_url_encode(t, l->own.self.id, ":");
}

static bool address_of(const struct eureka_lease *l, struct addr *ret)
{
	*ret = l->own.self.addr;
	if (addr_is_any(ret) && !addr_parse_ip(str_of(l->of->local), addr_port(&l->own.self.addr), ret))
		return false;
	addr_unmap(ret);
	return true;
}

static enum step next_step(const struct eureka_lease *l, struct addr *at)
{
	if (l->leaving)
		return l->step == CANCEL ? CANCEL : OWNED;
	if (!address_of(l, at))
		return LOOK;
	return l->registered ? RENEW : REGISTER;
}

static void begin(struct eureka_lease *l)
{
	static const char *const methods[] = { [LOOK] = "GET", [REGISTER] = "POST", [RENEW] = "PUT", [OWNED] = "GET", [CANCEL] = "DELETE" };
	struct eureka_leases *s = l->of;
	struct text path, body;
	struct err err;
	struct addr at;

	text_init(&path, FETCH_URL_MAX);
	text_init(&body, 64 * 1024);
	l->step = next_step(l, &at);
	l->server = s->asker->current;
	write_path(&path, l, l->step != REGISTER);
	if (l->step == REGISTER)
		eureka_write(&body, &l->own.self, &at, s->lease, s->owner, l->dirty);
	if (l->step == RENEW)
		text_fmt(&path, "?status=%s&lastDirtyTimestamp=%llu", eureka_status_word(l->own.self.state),
			 (unsigned long long)(l->dirty / USEC_MS));
	if (path.failed || body.failed)
		err_set(&err, "no memory, or the instance has too much metadata");
	else
		l->fetch = eureka_ask(s->asker, methods[l->step], text_z(&path), text_str(&body),
				      s->lease < EUREKA_TIMEOUT ? s->lease : EUREKA_TIMEOUT, on_reply, l, &err);
	text_release(&path);
	text_release(&body);
	if (!l->fetch && !l->leaving) /* who leaves has a timer */
		went_wrong(l, NULL, err.text);
}

static void on_timer(void *arg)
{
	struct eureka_lease *l = arg;

	if (l->leaving)
		leave(l);
	else if (!l->fetch)
		begin(l);
}

/* --- life ---------------------------------------------------------------------------------------------------------------- */

void eureka_leases_init(struct eureka_leases *s, struct loop *loop, struct eureka_asker *asker, usec lease)
{
	*s = (struct eureka_leases){ .loop = loop, .asker = asker, .lease = lease };
	rng_seed_os(&s->rng);
	snprintf(s->owner, sizeof(s->owner), "%016llx", (unsigned long long)rng_next(&s->rng));
	list_init(&s->all);
}

void eureka_leases_release(struct eureka_leases *s)
{
	if (!s->loop)
		return;
	LIST_EACH(it, tmp, &s->all)
		leave(LIST_OWNER(it, struct eureka_lease, link));
}

static struct eureka_lease *find(struct eureka_leases *s, struct str id)
{
	LIST_EACH(it, tmp, &s->all)
	{
		struct eureka_lease *l = LIST_OWNER(it, struct eureka_lease, link);
		if (!l->leaving && str_eq(id, l->own.self.id))
			return l;
	}
	return NULL;
}

bool eureka_leases_announce(struct eureka_leases *s, const struct registry_instance *self)
{
	struct eureka_lease *l = find(s, self->id), *fresh = NULL;

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
	l->dirty = clock_wall();
	l->registered = false; /* a new state is said by registering anew, as Spring does */
	l->again = l->fetch != NULL;
	if (!l->again)
		timer_set(s->loop, &l->timer, loop_touch(s->loop));
	return true;
}

void eureka_leases_withdraw(struct eureka_leases *s, struct str id, void (*done)(void *arg), void *arg)
{
	struct eureka_lease *l = find(s, id);

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
