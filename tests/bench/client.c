/* The bench's client: asks for /SIZE/TAG, checks every reply (status, length, tag, bytes), counts and times.
 *
 *   closed loop   each connection asks again as soon as its reply has come; with --close on a new connection
 *   --rate        request i is due at start + i/rate and its latency counts from then, whether or not a connection
 *                 was free: a proxy that stalls is charged for all that waited (no coordinated omission)
 *   --hold        one request per connection, then all stay open until standard input ends; none may have been closed
 *
 * Prints one line of JSON (with --hold two: when all are open, and at the end). Status 1 when any reply was wrong. */
#include "bench.h"
#include "hist.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 2048u       /* of a reply */
#define IN_BYTES 262144u     /* of one read */
#define HOLD_AT_ONCE 32u     /* connections being opened at the same time with --hold */
#define LINGER (2 * NS_PER_SEC) /* what is under way at the end gets this long */
#define COMPLAINTS 5u        /* faults told in full */
#define CHECK_ALL 512u       /* longer pieces are compared at both ends only */

enum state { CONN_NONE, CONN_OPENING, CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_CLOSING };

struct conn {
	int fd;
	uint8_t state;
	uint32_t tag;
	uint32_t head_len; /* bytes of a head that came in pieces */
	uint64_t start;    /* when the request was sent or due */
	uint64_t pos;      /* of the body */
	char *head;        /* HEAD_MAX bytes, made on first need */
};

struct client {
	/* as asked */
	struct sockaddr_in target;
	uint64_t connections, size, seconds_ms, count, rate;
	bool close_each, hold;
	/* running */
	int epoll_fd;
	struct conn *conns;
	struct conn **idle; /* stack of those without a request */
	size_t idle_n, busy;
	uint64_t begin, end, sent, done, errors, bytes, late_max, last_done;
	size_t closed_early;
	bool stopping;
	const char *pattern;
	char request[512];
	size_t request_len, tag_at;
	struct hist hist;
	char in[IN_BYTES];
};

static void conn_start(struct client *c, struct conn *k, uint64_t start);

/* --- life of a connection ------------------------------------------------------------------------------------------- */
static void conn_close(struct client *c, struct conn *k)
{
	if (k->state == CONN_OPENING || k->state == CONN_HEAD || k->state == CONN_BODY)
		c->busy--;
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
	k->state = CONN_NONE;
}

static void conn_fault(struct client *c, struct conn *k, const char *what)
{
	if (c->errors++ < COMPLAINTS)
		fprintf(stderr, "load: request %08x: %s (errno %d)\n", k->tag, what, errno);
	conn_close(c, k);
}

static void conn_send(struct client *c, struct conn *k)
{
	static const char hex[] = "0123456789abcdef";
	char *at = c->request + c->tag_at;
	ssize_t n;

	for (unsigned i = 0; i < BENCH_TAG; i++)
		at[i] = hex[(k->tag >> (4 * (BENCH_TAG - 1 - i))) & 15];
	n = send(k->fd, c->request, c->request_len, 0);
	if (n == (ssize_t)c->request_len) {
		k->state = CONN_HEAD;
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == ENOTCONN) && k->state == CONN_OPENING)
		return; /* the connection is not yet there: EPOLLOUT will tell */
	conn_fault(c, k, "cannot send");
}

static bool conn_open(struct client *c, struct conn *k)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = k };

	k->fd = bench_connect(&c->target);
	if (k->fd < 0)
		return false;
	k->state = CONN_OPENING;
	c->busy++;
	conn_send(c, k);
	if (k->state == CONN_OPENING)
		ev.events = EPOLLOUT;
	return k->fd >= 0 && epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, k->fd, &ev) == 0;
}

static void conn_start(struct client *c, struct conn *k, uint64_t start)
{
	k->tag = (uint32_t)c->sent++;
	k->start = start;
	k->head_len = 0;
	k->pos = 0;
	if (k->state == CONN_IDLE) {
		c->busy++;
		conn_send(c, k);
	} else if (!conn_open(c, k) && k->state != CONN_NONE) {
		conn_fault(c, k, "cannot connect");
	} else if (k->fd < 0) {
		c->errors++;
	}
}

static bool client_may_send(const struct client *c)
{
	return !c->stopping && (!c->count || c->sent < c->count);
}

/* k has no request: what next? */
static void conn_free(struct client *c, struct conn *k, uint64_t now)
{
	if (c->rate || c->hold) {
		if (!c->hold)
			c->idle[c->idle_n++] = k;
		return;
	}
	if (client_may_send(c))
		conn_start(c, k, now);
}

static void conn_done(struct client *c, struct conn *k)
{
	uint64_t now = bench_now();

	hist_add(&c->hist, now - k->start);
	c->done++;
	c->last_done = now;
	c->busy--;
	if (c->close_each) {
		k->state = CONN_CLOSING; /* the proxy closes: so the port in TIME_WAIT is not ours */
		return;
	}
	k->state = CONN_IDLE;
	conn_free(c, k, now);
}

/* --- reading a reply -------------------------------------------------------------------------------------------------- */
/* The length of a good head's body; false and the fault otherwise. */
static bool head_check(const char *head, uint64_t *ret_len, const char **fault)
{
	const char *line = head;
	bool seen = false;

	*fault = "not status 200";
	if (strncmp(head, "HTTP/1.1 200", 12) != 0)
		return false;
	*fault = "no usable Content-Length";
	while ((line = strchr(line, '\n')) != NULL) {
		line++;
		if ((*line | 32) != 'c' || strncasecmp(line, "content-length:", 15) != 0)
			continue;
		for (line += 15; *line == ' '; line++)
			continue;
		if (seen || !bench_u64(line, '\r', ret_len, NULL))
			return false;
		seen = true;
	}
	return seen;
}

static bool body_equal(const struct client *c, uint64_t pos, const char *p, size_t n)
{
	return memcmp(c->pattern + pos % BENCH_PERIOD, p, n) == 0;
}

/* Compares a piece of the body at position k->pos. */
static bool body_check(const struct client *c, const struct conn *k, const char *p, size_t n)
{
	uint64_t pos = k->pos;

	while (n && pos < BENCH_TAG) {
		uint32_t digit = (k->tag >> (4 * (BENCH_TAG - 1 - pos))) & 15;

		if (*p != (char)(digit < 10 ? '0' + digit : 'a' + digit - 10))
			return false;
		p++, pos++, n--;
	}
	if (n <= CHECK_ALL)
		return body_equal(c, pos, p, n);
	return body_equal(c, pos, p, 64) && body_equal(c, pos + n - 64, p + n - 64, 64);
}

static void conn_body(struct client *c, struct conn *k, const char *p, size_t n)
{
	if (n > c->size - k->pos) {
		conn_fault(c, k, "more bytes than the reply has");
		return;
	}
	if (!body_check(c, k, p, n)) {
		conn_fault(c, k, "wrong bytes in the body");
		return;
	}
	k->pos += n;
	c->bytes += n;
	if (k->pos == c->size)
		conn_done(c, k);
}

/* p[0..n) are new bytes of a reply's head (and perhaps body); p[n] may be overwritten. */
static void conn_head(struct client *c, struct conn *k, char *p, size_t n)
{
	size_t had = k->head_len, take = n;
	char *end, *head = p;
	const char *fault;
	uint64_t len = 0;

	if (had || !memmem(p, n, "\r\n\r\n", 4)) {
		take = n < HEAD_MAX - 1 - had ? n : HEAD_MAX - 1 - had;
		k->head = k->head ? k->head : malloc(HEAD_MAX);
		if (!k->head)
			bench_die("out of memory");
		head = k->head;
		memcpy(head + had, p, take);
		k->head_len += (uint32_t)take;
	}
	end = memmem(head, had + take, "\r\n\r\n", 4);
	if (!end) {
		if (had + take == HEAD_MAX - 1)
			conn_fault(c, k, "head too long");
		return;
	}
	end[2] = '\0';
	if (!head_check(head, &len, &fault) || len != c->size) {
		conn_fault(c, k, len && len != c->size ? "wrong Content-Length" : fault);
		return;
	}
	k->state = CONN_BODY;
	take = (size_t)(end + 4 - head) - had; /* of p */
	if (n > take)
		conn_body(c, k, p + take, n - take);
}

static void conn_gone(struct client *c, struct conn *k)
{
	switch (k->state) {
	case CONN_CLOSING:
		conn_close(c, k);
		conn_free(c, k, bench_now());
		break;
	case CONN_IDLE:
		c->closed_early++;
		conn_fault(c, k, "idle connection closed by the proxy");
		break;
	default:
		conn_fault(c, k, "connection ended before the reply");
	}
}

static void conn_event(struct client *c, struct conn *k)
{
	ssize_t n;

	if (k->state == CONN_OPENING) {
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = k };

		conn_send(c, k);
		if (k->state == CONN_HEAD)
			epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, k->fd, &ev);
		return;
	}
	n = recv(k->fd, c->in, IN_BYTES - 1, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		conn_gone(c, k);
	else if (k->state == CONN_HEAD)
		conn_head(c, k, c->in, (size_t)n);
	else if (k->state == CONN_BODY)
		conn_body(c, k, c->in, (size_t)n);
	else
		conn_fault(c, k, "bytes that nobody asked for");
}

/* --- the loop ---------------------------------------------------------------------------------------------------------- */
/* When request i is due; without rounding that would add up. */
static uint64_t client_due(const struct client *c, uint64_t i)
{
	return c->begin + i / c->rate * NS_PER_SEC + i % c->rate * NS_PER_SEC / c->rate;
}

/* Sends what is due; returns the nanoseconds until more is, UINT64_MAX when a reply must come first. */
static uint64_t client_schedule(struct client *c)
{
	uint64_t now = bench_now();

	while (client_may_send(c)) {
		uint64_t due = client_due(c, c->sent);
		struct conn *k;

		if (due > now)
			return due - now;
		if (!c->idle_n)
			return UINT64_MAX;
		if (now - due > c->late_max)
			c->late_max = now - due;
		k = c->idle[--c->idle_n];
		conn_start(c, k, due);
	}
	return UINT64_MAX;
}

static void client_wait(struct client *c, uint64_t ns)
{
	struct epoll_event evs[BENCH_EVENTS];
	struct timespec t;
	int n;

	if (ns > 100 * NS_PER_MS)
		ns = 100 * NS_PER_MS;
	t.tv_sec = 0;
	t.tv_nsec = (long)ns;
	n = epoll_pwait2(c->epoll_fd, evs, BENCH_EVENTS, &t, NULL);
	for (int i = 0; i < n; i++) {
		struct conn *k = evs[i].data.ptr;

		if (k->fd >= 0)
			conn_event(c, k);
	}
}

/* Until the time is over or the count is reached, then for what is under way. */
static void client_run(struct client *c)
{
	while (!c->stopping) {
		uint64_t wait = c->rate ? client_schedule(c) : UINT64_MAX;

		client_wait(c, wait);
		c->stopping = bench_now() >= c->end || (c->count && c->sent >= c->count) || c->errors > c->connections;
	}
	for (uint64_t until = bench_now() + LINGER; c->busy && (c->count || bench_now() < until);) {
		client_wait(c, UINT64_MAX);
		if (bench_now() > c->end + LINGER)
			break;
	}
	if (c->busy) {
		fprintf(stderr, "load: %zu requests without a whole reply at the end\n", c->busy);
		c->errors += c->busy;
	}
}

static void client_print(const struct client *c, const char *what)
{
	const struct hist *h = &c->hist;
	double seconds = (double)(c->last_done > c->begin ? c->last_done - c->begin : 1) / 1e9;

	printf("{\"what\":\"%s\",\"requests\":%llu,\"errors\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"rps\":%.1f,"
	       "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"late_max_us\":%.1f,\"closed\":%zu}\n",
	       what, (unsigned long long)c->done, (unsigned long long)c->errors, (unsigned long long)c->bytes, seconds,
	       (double)c->done / seconds, (double)hist_quantile(h, 0.5) / 1e3, (double)hist_quantile(h, 0.99) / 1e3,
	       (double)hist_quantile(h, 0.999) / 1e3, (double)h->max / 1e3, (double)c->late_max / 1e3, c->closed_early);
	fflush(stdout);
}

static void client_hold(struct client *c)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	size_t next = 0;

	while ((next < c->connections || c->busy) && bench_now() < c->end && c->errors < COMPLAINTS) {
		while (next < c->connections && c->busy < HOLD_AT_ONCE)
			conn_start(c, &c->conns[next++], bench_now());
		client_wait(c, UINT64_MAX);
	}
	if (c->done != c->connections && !c->errors)
		c->errors++;
	client_print(c, "held");
	while (bench_now() < c->end && poll(&in, 1, 100) == 0)
		client_wait(c, 0);
	client_wait(c, 0);
}

static void client_prepare(struct client *c, const char *target, const char *host)
{
	int n;

	if (!bench_addr(target, &c->target))
		bench_die("client needs --target ADDRESS:PORT");
	if (c->connections < 1 || c->connections > BENCH_CONNECTIONS_MAX || c->size < BENCH_TAG)
		bench_die("--connections is 1 to %u, --size at least %d", BENCH_CONNECTIONS_MAX, BENCH_TAG);
	c->pattern = bench_pattern();
	n = snprintf(c->request, sizeof(c->request), "GET /%llu/", (unsigned long long)c->size);
	c->tag_at = (size_t)n;
	n = snprintf(c->request + n, sizeof(c->request) - (size_t)n,
		     "00000000 HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n", host ? host : target,
		     c->close_each ? "Connection: close\r\n" : "");
	c->request_len = c->tag_at + (size_t)n;
	c->conns = calloc(c->connections, sizeof(*c->conns));
	c->idle = calloc(c->connections, sizeof(struct conn *));
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!c->conns || !c->idle || c->epoll_fd < 0)
		bench_die("out of memory");
	for (size_t i = 0; i < c->connections; i++)
		c->conns[i].fd = -1;
	prctl(PR_SET_TIMERSLACK, 1UL);
}

int client_main(int argc, char **argv)
{
	static struct client c; /* its buffers are too large for a stack */
	const char *target = NULL, *host = NULL; /* host: the Host field, when it is not the target */
	const struct opt opts[] = {
		{ "target", OPT_TEXT, &target },       { "connections", OPT_U64, &c.connections },
		{ "size", OPT_U64, &c.size },          { "milliseconds", OPT_U64, &c.seconds_ms },
		{ "count", OPT_U64, &c.count },        { "rate", OPT_U64, &c.rate },
		{ "close", OPT_FLAG, &c.close_each },  { "hold", OPT_FLAG, &c.hold },
		{ "host", OPT_TEXT, &host },
	};

	c.connections = 64;
	c.size = 128;
	c.seconds_ms = 3000;
	bench_options(argc, argv, opts, sizeof(opts) / sizeof(opts[0]));
	client_prepare(&c, target, host);
	c.begin = bench_now();
	c.end = c.begin + c.seconds_ms * NS_PER_MS;
	if (c.hold) {
		client_hold(&c);
	} else {
		for (size_t i = 0; i < c.connections; i++)
			conn_free(&c, &c.conns[i], c.begin);
		client_run(&c);
	}
	client_print(&c, "done");
	return c.errors ? 1 : 0;
}
