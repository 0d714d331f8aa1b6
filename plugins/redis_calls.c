#include "redis_calls.h"

void redis_calls_init(struct redis_calls *s, struct redis_link *link)
{
	*s = (struct redis_calls){ .link = link };
	list_init(&s->waiting);
}

void redis_call_init(struct redis_call *c, bool (*send)(struct redis_call *),
		     void (*reply)(struct redis_call *, const struct resp_value *, size_t))
{
	*c = (struct redis_call){ .send = send, .reply = reply };
	list_init(&c->link);
}

static void send_waiting(struct redis_calls *s)
{
	while (s->link->state == REDIS_READY && s->flying < REDIS_FLIGHTS_MAX && !list_empty(&s->waiting)) {
		struct redis_call *c = LIST_OWNER(s->waiting.next, struct redis_call, link);
		list_remove(&c->link);
		if (!c->send(c))
			return; /* the link is lost, or will be: its owner asks again */
		c->flying = true;
		s->flights[(s->first + s->flying++) % REDIS_FLIGHTS_MAX] = c;
	}
}

void redis_calls_ask(struct redis_calls *s, struct redis_call *c, bool first)
{
	if (!c->flying) {
		list_remove(&c->link);
		if (first)
			list_push(&s->waiting, &c->link);
		else
			list_append(&s->waiting, &c->link);
	}
	send_waiting(s);
}

bool redis_calls_reply(struct redis_calls *s, const struct resp_value *v, size_t n)
{
	if (s->flying == 0)
		return false;
	struct redis_call *c = s->flights[s->first];
	s->flights[s->first] = NULL;
	s->first = (s->first + 1) % REDIS_FLIGHTS_MAX;
	s->flying--;
	if (c) {
		c->flying = false;
		c->reply(c, v, n);
	}
	send_waiting(s);
	return true;
}

void redis_calls_lost(struct redis_calls *s)
{
	for (unsigned i = 0; i < REDIS_FLIGHTS_MAX; i++) {
		if (s->flights[i])
			s->flights[i]->flying = false;
		s->flights[i] = NULL;
	}
	s->first = s->flying = 0;
	while (!list_empty(&s->waiting))
		list_remove(s->waiting.next);
}

void redis_calls_leave(struct redis_calls *s, struct redis_call *c)
{
	for (unsigned i = 0; i < REDIS_FLIGHTS_MAX; i++)
		if (s->flights[i] == c)
			s->flights[i] = NULL;
	c->flying = false;
	list_remove(&c->link);
}
