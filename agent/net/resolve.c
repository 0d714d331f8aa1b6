#include "net/resolve.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"
#include "net/dns.h"
#include "net/netspace.h"
#include "net/timer.h"

#include <stdio.h>

#define NAMES_MAX 1024
#define QUERIES_MAX 1024
#define HOST_MAX 253

#define TTL_MAX (30 * USEC_SEC)
#define TTL_HOSTS (5 * USEC_SEC)
#define TTL_FAILED (1 * USEC_SEC)
#define TTL_PARTIAL (1 * USEC_SEC) /* one family answered, the other one was not waited for */
#define DEADLINE (4 * USEC_SEC)    /* DNS_TRIES × DNS_TRY_MS */
#define FAMILY_GRACE (100 * USEC_MS) /* some servers never answer AAAA: nobody shall wait 4 s for that */

struct resolver {
	struct loop *loop;
	struct dns *dns;
	bool hosts;          /* is /etc/hosts read? */
	bool dying;
	struct table by_host; /* struct name */
	struct list names;   /* all of them, least recently asked first */
	struct list loose;   /* queries that need no name: literals and nonsense */
	size_t queries;
};

/* A name, its last answer, and who waits for the next one. */
struct name {
	struct list link;    /* resolver.names */
	struct list waiting; /* struct resolve_query */
	struct resolver *r;
	struct timer deadline; /* armed: being asked */
	unsigned outstanding;  /* questions whose dns_cb is still to come; the memory lives until then */
	usec expires;
	struct dns_ips v4, v6;
	unsigned ttl;
	const char *why; /* static words of the failure */
	char host[HOST_MAX + 1];
};

struct resolve_query {
	struct list link; /* name.waiting or resolver.loose */
	struct resolver *r;
	struct name *name; /* NULL: the answer is `literal` */
	struct timer soon; /* delivers, never from within resolve() */
	resolve_cb cb;
	void *arg;
	uint16_t port;
	struct addr literal;
};

/* --- answers ---------------------------------------------------------------------------------------------- */

static size_t collect(const struct name *m, uint16_t port, struct addr *dst)
{
	size_t n = 0;
	for (size_t i = 0; i < m->v4.n && n < RESOLVE_ADDRS_MAX; i++, n++) {
		dst[n] = (struct addr){ .len = sizeof(struct sockaddr_in) };
		dst[n].in.sin_family = AF_INET;
		dst[n].in.sin_addr = m->v4.v4[i];
		addr_set_port(&dst[n], port);
	}
	for (size_t i = 0; i < m->v6.n && n < RESOLVE_ADDRS_MAX; i++, n++) {
		dst[n] = (struct addr){ .len = sizeof(struct sockaddr_in6) };
		dst[n].in6.sin6_family = AF_INET6;
		dst[n].in6.sin6_addr = m->v6.v6[i];
		addr_set_port(&dst[n], port);
	}
	return n;
}

static void query_free(struct resolve_query *q)
{
	list_remove(&q->link);
	timer_clear(&q->soon);
	q->r->queries--;
	mem_free(q);
}

static void deliver(void *arg)
{
	struct resolve_query *q = arg;
	struct addr addrs[RESOLVE_ADDRS_MAX];
	char why[HOST_MAX + 128] = "not a valid host name";
	size_t n;
	if (q->name) {
		n = collect(q->name, q->port, addrs);
		if (!n)
			snprintf(why, sizeof(why), "%s: %s", q->name->host, q->name->why ? q->name->why : "no address");
	} else {
		n = q->literal.len ? 1 : 0;
		addrs[0] = q->literal;
	}
	resolve_cb cb = q->cb;
	void *cb_arg = q->arg;
	query_free(q);
	cb(cb_arg, addrs, n, n ? NULL : why);
}

static void deliver_soon(struct resolve_query *q)
{
	timer_set(q->r->loop, &q->soon, loop_now(q->r->loop));
}

/* The name's answer stands: remembers it for `ttl` and tells all who wait. */
static void settle(struct name *m, usec ttl)
{
	timer_clear(&m->deadline);
	m->expires = loop_now(m->r->loop) + ttl;
	LIST_EACH(it, tmp, &m->waiting)
		deliver_soon(LIST_OWNER(it, struct resolve_query, link));
}

static void on_deadline(void *arg)
{
	struct name *m = arg;
	bool some = m->v4.n || m->v6.n;
	if (!some)
		m->why = "no DNS server answered in time";
	settle(m, some ? TTL_PARTIAL : TTL_FAILED);
}

static void on_family(void *arg, int family, const struct dns_ips *ips, unsigned ttl, const char *why)
{
	struct name *m = arg;
	m->outstanding--;
	if (m->r->dying)
		return;
	*(family == AF_INET ? &m->v4 : &m->v6) = *ips;
	if (ips->n && ttl < m->ttl)
		m->ttl = ttl;
	if (why && (family == AF_INET || !m->why))
		m->why = why;
	bool some = m->v4.n || m->v6.n;
	if (!m->outstanding) {
		usec t = m->ttl * USEC_SEC;
		settle(m, !some ? TTL_FAILED : t < TTL_MAX ? t : TTL_MAX);
	} else if (some && timer_armed(&m->deadline)) {
		timer_set(m->r->loop, &m->deadline, loop_now(m->r->loop) + FAMILY_GRACE);
	}
}

static void ask(struct name *m)
{
	struct resolver *r = m->r;
	bool some = m->outstanding && (m->v4.n || m->v6.n);
	timer_set(r->loop, &m->deadline, loop_now(r->loop) + (some ? FAMILY_GRACE : DEADLINE));
	if (m->outstanding)
		return; /* late answers to the last time's questions will do */
	m->why = NULL;
	m->ttl = UINT32_MAX;
	m->v4.n = m->v6.n = 0;
	if (r->hosts) {
		bool four = dns_hosts(r->dns, m->host, AF_INET, &m->v4);
		bool six = dns_hosts(r->dns, m->host, AF_INET6, &m->v6);
		if (four || six) {
			settle(m, TTL_HOSTS);
			return;
		}
	}
	m->outstanding = 2; /* dns_ask() may answer at once */
	dns_ask(r->dns, m->host, AF_INET, on_family, m);
	dns_ask(r->dns, m->host, AF_INET6, on_family, m);
}

/* --- names -------------------------------------------------------------------------------------------------- */

static void name_free(struct name *m)
{
	table_remove(&m->r->by_host, str_of(m->host));
	list_remove(&m->link);
	timer_clear(&m->deadline);
	mem_free(m);
}

static bool make_room(struct resolver *r)
{
	if (r->by_host.n < NAMES_MAX)
		return true;
	LIST_EACH(it, tmp, &r->names)
	{
		struct name *m = LIST_OWNER(it, struct name, link);
		if (m->outstanding || !list_empty(&m->waiting))
			continue;
		name_free(m);
		return true;
	}
	return false;
}

/* Lower case, so that equal questions are one. false: no host name (IDNs come as xn--…). */
static bool host_key(struct str host, char dst[HOST_MAX + 1])
{
	if (host.n == 0 || host.n > HOST_MAX)
		return false;
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c + ('a' - 'A'));
		bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
		if (!ok)
			return false;
		dst[i] = c;
	}
	dst[host.n] = 0;
	return true;
}

static struct name *name_get(struct resolver *r, const char *host)
{
	struct name *m = table_get(&r->by_host, str_of(host));
	if (m) {
		list_remove(&m->link);
		list_append(&r->names, &m->link);
		return m;
	}
	if (!make_room(r) || !(m = mem_zalloc(sizeof(*m))))
		return NULL;
	m->r = r;
	(void)str_copy(str_of(host), m->host, sizeof(m->host));
	list_init(&m->waiting);
	list_init(&m->link);
	timer_init(&m->deadline, on_deadline, m);
	if (!table_put(&r->by_host, str_of(m->host), m)) {
		mem_free(m);
		return NULL;
	}
	list_append(&r->names, &m->link);
	return m;
}

/* --- the face ------------------------------------------------------------------------------------------------- */

struct resolver *resolver_new_with(struct loop *l, struct netspace *ns, const struct resolver_options *o,
				   struct err *err)
{
	struct resolver *r = mem_zalloc(sizeof(*r));
	if (!r) {
		err_set(err, "resolver: out of memory");
		return NULL;
	}
	struct rng rng;
	rng_seed_os(&rng);
	r->loop = l;
	r->hosts = !o->dns_only && !ns; /* the hosts file here is not that of another namespace */
	list_init(&r->names);
	list_init(&r->loose);
	table_init(&r->by_host, NAMES_MAX, rng_next(&rng));
	r->dns = dns_new(l, ns, ns && !o->servers ? netspace_dns(ns) : o->servers, err);
	if (!r->dns) {
		resolver_free(r);
		return NULL;
	}
	return r;
}

struct dns *resolver_dns(struct resolver *r)
{
	return r->dns;
}

struct resolver *resolver_new(struct loop *l, struct netspace *ns, struct err *err)
{
	return resolver_new_with(l, ns, &(struct resolver_options){ .servers = NULL }, err);
}

static void drop_all(struct list *queries)
{
	LIST_EACH(it, tmp, queries)
		query_free(LIST_OWNER(it, struct resolve_query, link));
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	r->dying = true;
	drop_all(&r->loose);
	LIST_EACH(it, tmp, &r->names)
		drop_all(&LIST_OWNER(it, struct name, link)->waiting);
	dns_free(r->dns); /* calls on_family() of all that is outstanding */
	LIST_EACH(it, tmp, &r->names)
		name_free(LIST_OWNER(it, struct name, link));
	table_release(&r->by_host);
	mem_free(r);
}

struct resolve_query *resolve(struct resolver *r, struct str host, uint16_t port, resolve_cb cb, void *arg)
{
	if (r->queries >= QUERIES_MAX)
		return NULL;
	struct resolve_query *q = mem_zalloc(sizeof(*q));
	if (!q)
		return NULL;
	*q = (struct resolve_query){ .r = r, .cb = cb, .arg = arg, .port = port };
	timer_init(&q->soon, deliver, q);

	char key[HOST_MAX + 1];
	if (addr_parse_ip(host, port, &q->literal) || !host_key(host, key)) {
		list_append(&r->loose, &q->link);
		r->queries++;
		deliver_soon(q);
		return q;
	}
	struct name *m = name_get(r, key);
	if (!m) {
		mem_free(q);
		return NULL;
	}
	q->name = m;
	r->queries++;
	list_append(&m->waiting, &q->link);
	if (loop_now(r->loop) < m->expires)
		deliver_soon(q);
	else if (!timer_armed(&m->deadline))
		ask(m);
	return q;
}

void resolve_cancel(struct resolve_query *q)
{
	query_free(q);
}
