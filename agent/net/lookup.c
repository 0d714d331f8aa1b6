#include "net/lookup.h"

#include "base/mem.h"
#include "net/dns.h"

struct lookup {
	struct loop *loop;
	lookup_cb cb; /* NULL: cancelled, or it was called */
	void *arg;
	struct timer timer; /* the end; then the turn on which cb is called */
	unsigned outstanding, failed;
	int unknown; /* a family that failed */
	bool heard[2]; /* of A, of AAAA */
	struct addr *at; /* owned */
	size_t n;
	const char *why; /* of a failure, else of what is not there; c-ares' own words, for ever */
};

/* Memory stays until both families have answered: c-ares holds our pointer. */
static void free_if_done(struct lookup *q)
{
	if (q->outstanding || q->cb)
		return;
	timer_clear(&q->timer);
	mem_free(q->at);
	mem_free(q);
}

/* The family of which nobody said whether there are addresses; 0: of both it is known. */
static int lacking(const struct lookup *q)
{
	if (q->unknown)
		return q->unknown;
	return !q->heard[0] ? AF_INET : !q->heard[1] ? AF_INET6 : 0;
}

static void finish(struct lookup *q)
{
	enum lookup_end end = q->n ? LOOKUP_FOUND : q->failed || q->outstanding ? LOOKUP_FAILED : LOOKUP_NONE;
	const char *why = end == LOOKUP_FOUND ? "" : q->why ? q->why : "no DNS server answered in time";
	lookup_cb cb = q->cb;
	struct addr *at = q->at;
	q->cb = NULL;
	q->at = NULL;
	timer_clear(&q->timer);
	cb(q->arg, end, at, q->n, end == LOOKUP_FOUND ? lacking(q) : 0, why);
	mem_free(at);
	free_if_done(q);
}

static void on_timer(void *arg)
{
	finish(arg);
}

static bool add(struct lookup *q, const struct addr *addrs, size_t n)
{
	if (q->n + n > LOOKUP_ADDRS_MAX)
		n = LOOKUP_ADDRS_MAX - q->n;
	struct addr *at = n ? mem_resize(q->at, (q->n + n) * sizeof(*at)) : q->at;
	if (n && !at)
		return false;
	q->at = at;
	if (n)
		memcpy(at + q->n, addrs, n * sizeof(*at));
	q->n += n;
	return true;
}

static void on_family(void *arg, int family, enum dns_end end, const struct addr *addrs, size_t n, const char *why)
{
	struct lookup *q = arg;
	q->outstanding--;
	q->heard[family == AF_INET6] = true;
	if (!q->cb) {
		free_if_done(q);
		return;
	}
	if (end == DNS_FOUND && !add(q, addrs, n)) {
		end = DNS_FAILED;
		why = "out of memory";
	}
	if (end == DNS_FAILED) {
		q->failed++;
		q->unknown = family;
	}
	if (why && (end == DNS_FAILED || !q->why))
		q->why = why;
	if (!q->outstanding)
		timer_set(q->loop, &q->timer, loop_now(q->loop)); /* never inside lookup_start() */
	else if (q->n)
		timer_set(q->loop, &q->timer, loop_now(q->loop) + LOOKUP_GRACE);
}

struct lookup *lookup_start(struct loop *l, struct resolver *r, const char *name, lookup_cb cb, void *arg)
{
	struct lookup *q = mem_zalloc(sizeof(*q));
	if (!q)
		return NULL;
	q->loop = l;
	q->cb = cb;
	q->arg = arg;
	q->outstanding = 2; /* dns_ask_all() may answer at once */
	timer_init(&q->timer, on_timer, q);
	timer_set(l, &q->timer, loop_touch(l) + LOOKUP_TIME);
	dns_ask_all(resolver_dns(r), name, AF_INET, on_family, q);
	dns_ask_all(resolver_dns(r), name, AF_INET6, on_family, q);
	return q;
}

void lookup_cancel(struct lookup *q)
{
	if (!q)
		return;
	q->cb = NULL;
	timer_clear(&q->timer);
	free_if_done(q);
}
