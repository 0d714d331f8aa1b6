#include "redis_lease.h"

#include "base/mem.h"
#include "net/sockets.h"
#include "own_instance.h"
#include "redis_value.h"

#include <stdio.h>

#define WITHDRAW_TIME (2 * USEC_SEC)

struct redis_lease {
	struct redis_call call;
	struct list link; /* in all */
	struct redis_leases *of;
	struct timer timer; /* the next renewal; when withdrawn: the end of patience */
	struct own_instance own;
	bool leaving, again;
	void (*done)(void *arg);
	void *done_arg;
};

static struct redis_lease *lease_of(struct redis_call *c)
{
	return LIST_OWNER(c, struct redis_lease, call);
}

static void lease_free(struct redis_lease *l)
{
	redis_calls_leave(l->of->calls, &l->call);
	timer_clear(&l->timer);
	list_remove(&l->link);
	own_instance_release(&l->own);
	mem_free(l);
}

/* --- asking -------------------------------------------------------------------------------------------------------------- */

/* 0.0.0.0 is the own end of the connection to Redis. */
static bool address_of(const struct redis_lease *l, struct addr *ret)
{
	*ret = l->own.self.addr;
	if (addr_is_any(ret)) {
		if (!socket_local(l->of->calls->link->stream.fd, ret))
			return false;
		addr_set_port(ret, addr_port(&l->own.self.addr));
	}
	addr_unmap(ret);
	return true;
}

static bool on_send(struct redis_call *c)
{
	struct redis_lease *l = lease_of(c);
	struct redis_leases *s = l->of;
	struct addr at;

	if (l->leaving)
		return redis_registry_take(s->calls->link, l->own.self.service, l->own.self.id, str_of(s->owner));
	if (!address_of(l, &at))
		return false;
	struct text value;
	text_init(&value, REDIS_INSTANCE_MAX);
	text_addz(&value, s->owner);
	text_char(&value, ' ');
	redis_value_write(&value, &l->own.self, &at);
	bool sent = !value.failed &&
		    redis_registry_put(s->calls->link, l->own.self.service, l->own.self.id, text_str(&value), s->lease);
	text_release(&value);
	return sent;
}

static void leave(struct redis_lease *l)
{
	void (*done)(void *) = l->done;
	void *arg = l->done_arg;

	lease_free(l);
	if (done)
		done(arg);
}

static void plan_renewal(struct redis_lease *l)
{
	usec third = l->of->lease / 3;

	timer_set(l->of->loop, &l->timer,
		  loop_touch(l->of->loop) + third - third / 10 + rng_below(&l->of->rng, (uint32_t)(third / 10) + 1));
}

static void on_reply(struct redis_call *c, const struct resp_value *v, size_t n)
{
	struct redis_lease *l = lease_of(c);
	struct redis_leases *s = l->of;

	(void)n;
	if (l->leaving) {
		leave(l);
		return;
	}
	plan_renewal(l);
	if (l->again)
		redis_calls_ask(s->calls, c, true);
	l->again = false;
	s->said(s->arg, l->own.self.service, v);
}

static void on_timer(void *arg)
{
	struct redis_lease *l = arg;

	if (l->leaving) {
		leave(l);
		return;
	}
	plan_renewal(l); /* also when nothing can be sent now */
	redis_calls_ask(l->of->calls, &l->call, true);
}

/* --- life ---------------------------------------------------------------------------------------------------------------- */

void redis_leases_init(struct redis_leases *s, struct loop *loop, struct redis_calls *calls, usec lease)
{
	*s = (struct redis_leases){ .loop = loop, .calls = calls, .lease = lease };
	rng_seed_os(&s->rng);
	snprintf(s->owner, sizeof(s->owner), "%016llx", (unsigned long long)rng_next(&s->rng));
	list_init(&s->all);
}

void redis_leases_release(struct redis_leases *s)
{
	if (!s->loop)
		return;
	LIST_EACH(it, tmp, &s->all)
		leave(LIST_OWNER(it, struct redis_lease, link));
}

static struct redis_lease *find(struct redis_leases *s, struct str id)
{
	LIST_EACH(it, tmp, &s->all)
	{
		struct redis_lease *l = LIST_OWNER(it, struct redis_lease, link);
		if (!l->leaving && str_eq(id, l->own.self.id))
			return l;
	}
	return NULL;
}

bool redis_leases_announce(struct redis_leases *s, const struct registry_instance *self)
{
	struct redis_lease *l = find(s, self->id), *fresh = NULL;

	if (self->service.n == 0 || self->service.n > REDIS_SERVICE_MAX)
		return true; /* nobody could ask for it */
	if (!l) {
		l = fresh = mem_zalloc(sizeof(*l));
		if (!l)
			return false;
		redis_call_init(&l->call, on_send, on_reply);
		timer_init(&l->timer, on_timer, l);
		l->of = s;
		list_append(&s->all, &l->link);
	}
	if (!own_instance_copy(&l->own, self)) {
		if (fresh)
			lease_free(fresh);
		return false;
	}
	l->again = l->call.flying; /* it says what was true before */
	plan_renewal(l);
	redis_calls_ask(s->calls, &l->call, true);
	return true;
}

void redis_leases_withdraw(struct redis_leases *s, struct str id, void (*done)(void *arg), void *arg)
{
	struct redis_lease *l = find(s, id);

	if (!l) {
		if (done)
			done(arg);
		return;
	}
	redis_calls_leave(s->calls, &l->call); /* the reply to a renewal under way is not the one to wait for */
	l->leaving = true;
	l->done = done;
	l->done_arg = arg;
	timer_set(s->loop, &l->timer, loop_touch(s->loop) + WITHDRAW_TIME);
	redis_calls_ask(s->calls, &l->call, true);
}

void redis_leases_ready(struct redis_leases *s)
{
	LIST_EACH(it, tmp, &s->all)
		redis_calls_ask(s->calls, &LIST_OWNER(it, struct redis_lease, link)->call, true);
}
