#include "net/dns.h"

#include "base/mem.h"
#include "net/netspace.h"
#include "net/sockets.h"
#include "net/timer.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <sys/uio.h>
#include <unistd.h>

struct dns {
	struct loop *loop;
	struct netspace *ns;
	const char *servers;  /* asked when the channel is opened; NULL: those of /etc/resolv.conf */
	ares_channel channel; /* NULL until the first question: it takes 74 KB, and many resolvers are never asked */
	struct timer tick;    /* when c-ares wants to look at its timeouts */
	struct list sockets;  /* struct dns_socket */
};

struct dns_socket {
	struct list link;
	struct dns *dns;
	int fd;
	struct watch rd, wr;
};

struct question {
	struct dns *dns;
	dns_cb cb;
	void *arg;
	int family;
};

/* --- the sockets of c-ares are ours: they belong to a stated namespace ---------------------------------------- */

static ares_socket_t make_socket(int family, int type, int protocol, void *arg)
{
	(void)protocol;
	struct dns *d = arg;
	return socket_make(d->ns, family, type);
}

static int close_socket(ares_socket_t fd, void *arg)
{
	(void)arg;
	return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *a, ares_socklen_t len, void *arg)
{
	(void)arg;
	return connect(fd, a, len);
}

static ares_ssize_t receive(ares_socket_t fd, void *buf, size_t n, int flags, struct sockaddr *from,
			    ares_socklen_t *len, void *arg)
{
	(void)arg;
	return recvfrom(fd, buf, n, flags, from, len);
}

static ares_ssize_t send_pieces(ares_socket_t fd, const struct iovec *iov, int n, void *arg)
{
	(void)arg;
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
	return sendmsg(fd, &m, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {
	.asocket = make_socket,
	.aclose = close_socket,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendv = send_pieces,
};

/* --- readiness and time ------------------------------------------------------------------------------------------ */

static void rearm(struct dns *d)
{
	struct timeval tv;
	if (ares_timeout(d->channel, NULL, &tv))
		timer_set(d->loop, &d->tick,
			  loop_now(d->loop) + (usec)tv.tv_sec * USEC_SEC + (usec)tv.tv_usec);
	else
		timer_clear(&d->tick);
}

static void on_tick(void *arg)
{
	struct dns *d = arg;
	ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(d);
}

static void on_ready(void *arg, short what)
{
	struct dns_socket *s = arg;
	struct dns *d = s->dns; /* s may be gone when c-ares returns */
	int fd = s->fd;
	ares_process_fd(d->channel, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	rearm(d);
}

static struct dns_socket *find_socket(struct dns *d, int fd)
{
	LIST_EACH(it, tmp, &d->sockets)
	{
		struct dns_socket *s = LIST_OWNER(it, struct dns_socket, link);
		if (s->fd == fd)
			return s;
	}
	return NULL;
}

static struct dns_socket *add_socket(struct dns *d, int fd)
{
	struct dns_socket *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->dns = d;
	s->fd = fd;
	watch_init(&s->rd, d->loop, fd, EV_READ, on_ready, s);
	watch_init(&s->wr, d->loop, fd, EV_WRITE, on_ready, s);
	list_append(&d->sockets, &s->link);
	return s;
}

static void turn(struct watch *w, bool on)
{
	/* Should the kernel refuse, the question ends by its timeout. */
	if (on)
		(void)watch_on(w);
	else
		watch_off(w);
}

static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns *d = arg;
	struct dns_socket *s = find_socket(d, fd);
	if (!s && (readable || writable))
		s = add_socket(d, fd);
	if (!s)
		return;
	turn(&s->rd, readable);
	turn(&s->wr, writable);
	if (!readable && !writable) {
		list_remove(&s->link);
		mem_free(s);
	}
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

static int channel_open(struct dns *d, const char *servers)
{
	char lookups[] = "b"; /* DNS alone; /etc/hosts is asked by dns_hosts() */
	struct ares_options o = { .timeout = DNS_TRY_MS,
				  .tries = DNS_TRIES,
				  .lookups = lookups,
				  .sock_state_cb = on_socket_state,
				  .sock_state_cb_data = d };
	int status = ares_init_options(&d->channel, &o,
				       ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
					       ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS) {
		d->channel = NULL;
		return status;
	}
	ares_set_socket_functions(d->channel, &socket_functions, d);
	return servers ? ares_set_servers_ports_csv(d->channel, servers) : ARES_SUCCESS;
}

/* ARES_SUCCESS when there is a channel. */
static int channel_need(struct dns *d)
{
	if (d->channel)
		return ARES_SUCCESS;
	int status = channel_open(d, d->servers);
	if (status != ARES_SUCCESS && d->channel) {
		ares_destroy(d->channel);
		d->channel = NULL;
	}
	return status;
}

struct dns *dns_new(struct loop *l, struct netspace *ns, const char *servers, struct err *err)
{
	struct dns *d = mem_zalloc(sizeof(*d));
	if (!d) {
		err_set(err, "resolver: out of memory");
		return NULL;
	}
	d->loop = l;
	d->ns = ns;
	list_init(&d->sockets);
	timer_init(&d->tick, on_tick, d);
	d->servers = ns ? servers : NULL;
	/* What somebody wrote is judged now; a namespace's server is known to be good. */
	int status = ns || !servers ? ARES_SUCCESS : channel_open(d, servers);
	if (status != ARES_SUCCESS) {
		err_set(err, "resolver: %s", ares_strerror(status));
		dns_free(d);
		return NULL;
	}
	return d;
}

void dns_free(struct dns *d)
{
	if (!d)
		return;
	if (d->channel)
		ares_destroy(d->channel); /* closes its sockets, so their watches go by on_socket_state() */
	timer_clear(&d->tick);
	LIST_EACH(it, tmp, &d->sockets)
	{
		struct dns_socket *s = LIST_OWNER(it, struct dns_socket, link);
		turn(&s->rd, false);
		turn(&s->wr, false);
		mem_free(s);
	}
	mem_free(d);
}

/* --- questions -------------------------------------------------------------------------------------------------------- */

static void add_ip(struct dns_ips *ips, int family, const void *ip)
{
	if (ips->n == RESOLVE_ADDRS_MAX)
		return;
	if (family == AF_INET)
		memcpy(&ips->v4[ips->n++], ip, sizeof(struct in_addr));
	else
		memcpy(&ips->v6[ips->n++], ip, sizeof(struct in6_addr));
}

static void take_nodes(const struct ares_addrinfo *ai, int family, struct dns_ips *ips, unsigned *ttl)
{
	for (const struct ares_addrinfo_node *n = ai->nodes; n; n = n->ai_next) {
		if (n->ai_family != family)
			continue;
		const void *sa = n->ai_addr;
		if (family == AF_INET)
			add_ip(ips, family, &((const struct sockaddr_in *)sa)->sin_addr);
		else
			add_ip(ips, family, &((const struct sockaddr_in6 *)sa)->sin6_addr);
		if (n->ai_ttl >= 0 && (unsigned)n->ai_ttl < *ttl)
			*ttl = (unsigned)n->ai_ttl;
	}
}

static enum dns_end end_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return DNS_FOUND;
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
		return DNS_NONE;
	default:
		return DNS_FAILED;
	}
}

/* A question that was given up because its resolver is closed was not answered. */
static enum dns_end counted(const struct dns *d, int status)
{
	enum dns_end end = end_of(status);

	if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
		return end;
	netspace_dns_told(d->ns, end != DNS_FAILED);
	loop_count(d->loop, end == DNS_FOUND ? LOOP_DNS_FOUND : end == DNS_NONE ? LOOP_DNS_NONE : LOOP_DNS_FAILED);
	return end;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	(void)timeouts;
	struct question *q = arg;
	struct dns_ips ips = { .n = 0 };
	unsigned ttl = UINT32_MAX;
	if (ai) {
		take_nodes(ai, q->family, &ips, &ttl);
		ares_freeaddrinfo(ai);
	}
	if (status == ARES_SUCCESS && !ips.n)
		status = ARES_ENODATA;
	(void)counted(q->dns, status);
	q->cb(q->arg, q->family, &ips, ttl, ips.n ? NULL : ares_strerror(status));
	mem_free(q);
}

void dns_ask(struct dns *d, const char *name, int family, dns_cb cb, void *arg)
{
	struct question *q = mem_alloc(sizeof(*q));
	int status = q ? channel_need(d) : ARES_ENOMEM;
	if (status != ARES_SUCCESS) {
		mem_free(q);
		cb(arg, family, &(struct dns_ips){ .n = 0 }, 0, ares_strerror(status));
		return;
	}
	*q = (struct question){ .dns = d, .cb = cb, .arg = arg, .family = family };
	/* Unsorted: sorting would open sockets to ask the routing table, and the order is the balancer's matter. */
	struct ares_addrinfo_hints hints = { .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT };
	ares_getaddrinfo(d->channel, name, NULL, &hints, on_answer, q);
	rearm(d);
}

/* --- all addresses ------------------------------------------------------------------------------------------------- */

struct big_question {
	struct dns *dns;
	dns_all_cb cb;
	void *arg;
	int family;
};

static struct addr *take_all(const struct ares_addrinfo *ai, int family, size_t *ret)
{
	size_t n = 0;
	for (const struct ares_addrinfo_node *it = ai->nodes; it && n < DNS_ALL_MAX; it = it->ai_next)
		n++;
	struct addr *at = mem_zarray(n + 1, sizeof(*at));
	*ret = 0;
	for (const struct ares_addrinfo_node *it = ai->nodes; at && it && *ret < n; it = it->ai_next) {
		if (it->ai_family != family || it->ai_addrlen > sizeof(struct sockaddr_in6))
			continue;
		struct addr *a = &at[(*ret)++];
		memcpy(&a->sa, it->ai_addr, it->ai_addrlen);
		a->len = it->ai_addrlen;
		addr_set_port(a, 0);
	}
	return at;
}

static void on_big_answer(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	(void)timeouts;
	struct big_question *q = arg;
	size_t n = 0;
	struct addr *at = ai ? take_all(ai, q->family, &n) : NULL;
	bool short_of_memory = ai && !at;
	if (ai)
		ares_freeaddrinfo(ai);
	if (short_of_memory)
		status = ARES_ENOMEM;
	else if (status == ARES_SUCCESS && n == 0)
		status = ARES_ENODATA;
	enum dns_end end = counted(q->dns, status);
	q->cb(q->arg, q->family, end, at, end == DNS_FOUND ? n : 0, end == DNS_FOUND ? NULL : ares_strerror(status));
	mem_free(at);
	mem_free(q);
}

void dns_ask_all(struct dns *d, const char *name, int family, dns_all_cb cb, void *arg)
{
	struct big_question *q = mem_alloc(sizeof(*q));
	int status = q ? channel_need(d) : ARES_ENOMEM;
	if (status != ARES_SUCCESS) {
		mem_free(q);
		cb(arg, family, DNS_FAILED, NULL, 0, ares_strerror(status));
		return;
	}
	*q = (struct big_question){ .dns = d, .cb = cb, .arg = arg, .family = family };
	struct ares_addrinfo_hints hints = { .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT };
	ares_getaddrinfo(d->channel, name, NULL, &hints, on_big_answer, q);
	rearm(d);
}

bool dns_hosts(struct dns *d, const char *name, int family, struct dns_ips *ips)
{
	struct hostent *host = NULL;
	ips->n = 0;
	if (channel_need(d) == ARES_SUCCESS && ares_gethostbyname_file(d->channel, name, family, &host) == ARES_SUCCESS && host) {
		for (char **ip = host->h_addr_list; *ip; ip++)
			add_ip(ips, family, *ip);
	}
	if (host)
		ares_free_hostent(host);
	return ips->n > 0;
}
