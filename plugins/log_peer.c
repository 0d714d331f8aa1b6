#include "log_peer.h"

#include "base/mem.h"
#include "base/rng.h"
#include "log_queue.h"
#include "net/stream.h"
#include "net/timer.h"

#include <errno.h>

#define BATCH 64            /* messages of one writev */
#define ROUNDS 16u          /* of them in one turn */
#define DATAGRAMS 256u      /* in one turn */
#define PATIENCE USEC_SEC   /* of a flush */
#define REFUSED_FOR (5 * USEC_SEC) /* a datagram was refused so lately: it is trouble */
#define SEND_BUFFER (256 * 1024) /* of the kernel: what a reset may take with it */
#define PROVEN USEC_SEC     /* a connection that stays for so long is good */
#define HUNG (5 * USEC_SEC) /* a tcp peer took nothing for so long: it is trouble */

enum state { STATE_IDLE, STATE_RESOLVING, STATE_CONNECTING, STATE_OPEN, STATE_PAUSE };

struct log_peer {
	struct loop *loop;
	struct netspace *ns;
	struct resolver *resolver;
	struct log_peer_config cfg; /* but for its sink and events */
	struct sink_events events;
	struct log_address at;

	enum state state;
	struct resolve_query *query;
	struct stream stream;
	struct addr to;
	usec asked;       /* when its name was */
	usec since;       /* it is open */
	usec took;        /* when it took bytes, or began to be asked to */
	usec refused;     /* when a datagram was last; 0: never */
	unsigned tries;   /* in a row */
	struct timer timer; /* the next step: pause, end of opening, sending, a look at a peer that hangs */
	struct rng rng;

	struct log_queue queue;
	size_t offset; /* of the first message: tcp bytes, datagram pieces that went */

	struct timer tell; /* trouble is told outside of put() */
	struct err why, told;
	struct timer patience;
	void (*done)(void *arg);
	void *done_arg;
};

static void step(struct log_peer *p);

/* --- trouble ----------------------------------------------------------------------------------------------------------------- */

static void set_trouble(struct log_peer *p, const char *why)
{
	err_set(&p->why, "%s", why);
	if (strcmp(p->why.text, p->told.text) != 0 && !timer_armed(&p->tell))
		timer_set(p->loop, &p->tell, loop_now(p->loop));
}

static void on_tell(void *arg)
{
	struct log_peer *p = arg;

	if (strcmp(p->why.text, p->told.text) == 0)
		return;
	p->told = p->why;
	p->events.on_trouble(p->cfg.arg, p->told.text);
}

/* --- queue -------------------------------------------------------------------------------------------------------------------- */

static bool has_some(const struct log_peer *p)
{
	return log_queue_first(&p->queue) != NULL;
}

static void gone(struct log_peer *p, void (*how)(struct log_queue *q))
{
	p->offset = 0;
	how(&p->queue);
}

static unsigned pieces_of(const struct log_peer *p, size_t n)
{
	size_t each = p->cfg.datagram - LOG_PEER_PIECE_HEAD;

	return n <= p->cfg.datagram ? 1u : (unsigned)((n + each - 1) / each);
}

size_t log_peer_longest(const struct log_peer *p)
{
	if (p->at.way == LOG_PEER_TCP)
		return SIZE_MAX;
	return p->cfg.cut ? (p->cfg.datagram - LOG_PEER_PIECE_HEAD) * p->cfg.pieces_max : p->cfg.datagram;
}

void log_peer_drop_long(struct log_peer *p)
{
	p->queue.counts.produced++;
	p->queue.counts.dropped_long++;
}

void log_peer_drop_memory(struct log_peer *p)
{
	p->queue.counts.produced++;
	p->queue.counts.dropped_full++;
}

void log_peer_put(struct log_peer *p, struct str bytes, bool own)
{
	bool was_empty = !has_some(p);

	if (bytes.n > log_peer_longest(p)) {
		log_peer_drop_long(p);
		return;
	}
	if (!log_queue_put(&p->queue, bytes, own) || !was_empty)
		return;
	p->took = loop_now(p->loop);
	if (p->state == STATE_IDLE || p->state == STATE_OPEN)
		timer_set(p->loop, &p->timer, p->took);
}

struct sink_counts log_peer_counts(const struct log_peer *p)
{
	return p->queue.counts;
}

/* --- the connection ------------------------------------------------------------------------------------------------------------ */

static void end_flush(void *arg)
{
	struct log_peer *p = arg;
	void (*fn)(void *arg) = p->done;

	p->done = NULL;
	timer_clear(&p->patience);
	if (fn)
		fn(p->done_arg);
}

static void disconnect(struct log_peer *p, enum stream_close how)
{
	if (p->query)
		resolve_cancel(p->query);
	p->query = NULL;
	stream_close(&p->stream, how);
	p->offset = 0; /* a message begun is sent again as a whole */
}

static void fail(struct log_peer *p, const char *what, const char *why)
{
	struct err e;
	usec pause = LOG_PEER_PAUSE << (p->tries < 8 ? p->tries : 8);

	err_set(&e, "%s%s%s", what, what[0] && why[0] ? ": " : "", why);
	disconnect(p, STREAM_CLOSE_RESET);
	set_trouble(p, e.text);
	p->tries++;
	p->state = STATE_PAUSE;
	pause = pause > LOG_PEER_PAUSE_MAX ? LOG_PEER_PAUSE_MAX : pause;
	pause = pause / 2 + rng_below(&p->rng, (uint32_t)pause / 2 + 1);
	timer_set(p->loop, &p->timer, loop_touch(p->loop) + pause);
	if (p->done)
		end_flush(p); /* it will not be there in time */
}

static void opened(struct log_peer *p)
{
	p->state = STATE_OPEN;
	p->since = p->took = loop_touch(p->loop);
	step(p);
}

static void connect_datagrams(struct log_peer *p)
{
	int fd = socket_make(p->at.way == LOG_PEER_UNIX ? NULL : p->ns, p->to.sa.sa_family, SOCK_DGRAM);
	if (fd < 0 || connect(fd, &p->to.sa, p->to.len) != 0) {
		int error = errno;
		if (fd >= 0)
			stream_adopt(&p->stream, fd);
		fail(p, p->at.host, strerror(error));
		return;
	}
	if (!stream_open(&p->stream, fd))
		fail(p, p->at.host, "the kernel refused to watch its socket");
	else
		opened(p);
}

static void connect_now(struct log_peer *p)
{
	if (p->at.way != LOG_PEER_TCP) {
		connect_datagrams(p);
		return;
	}
	p->state = STATE_CONNECTING;
	int r = stream_connect(&p->stream, p->ns, &p->to), room = SEND_BUFFER;
	if (r >= 0)
		(void)setsockopt(p->stream.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (r < 0)
		fail(p, p->at.host, strerror(stream_errno(&p->stream)));
	else if (r > 0)
		opened(p);
	else
		timer_set(p->loop, &p->timer, loop_touch(p->loop) + LOG_PEER_OPEN);
}

/* Of several addresses each try takes another one. */
static void on_name(void *arg, const struct addr *addrs, size_t n, const char *why)
{
	struct log_peer *p = arg;
	bool was_open = p->state == STATE_OPEN;

	p->query = NULL;
	if (!n) {
		if (!was_open)
			fail(p, p->at.host, why); /* else the address that was good stays in use */
		return;
	}
	for (size_t i = 0; was_open && i < n; i++)
		if (addr_eq(&addrs[i], &p->to))
			return;
	p->to = addrs[p->tries % n];
	if (was_open)
		disconnect(p, STREAM_CLOSE);
	connect_now(p);
}

static void ask_name(struct log_peer *p)
{
	p->asked = loop_touch(p->loop);
	p->query = resolve(p->resolver, str_of(p->at.host), p->at.port, on_name, p);
}

static void begin(struct log_peer *p)
{
	if (p->at.way == LOG_PEER_UNIX) {
		connect_now(p);
		return;
	}
	p->state = STATE_RESOLVING;
	ask_name(p);
	if (p->query)
		timer_set(p->loop, &p->timer, p->asked + LOG_PEER_OPEN);
	else
		fail(p, p->at.host, "too many names are asked for");
}

/* --- sending --------------------------------------------------------------------------------------------------------------------- */

static ssize_t send_piece(struct log_peer *p, struct log_message *m, unsigned n)
{
	unsigned char head[LOG_PEER_PIECE_HEAD];
	size_t each = p->cfg.datagram - LOG_PEER_PIECE_HEAD, from = p->offset * each;
	struct iovec v[2] = { { head, sizeof(head) }, { m->bytes + from, m->n - from < each ? m->n - from : each } };

	if (n == 1) {
		v[0] = (struct iovec){ m->bytes, m->n };
		return stream_writev(&p->stream, v, 1);
	}
	p->cfg.cut(p->cfg.cut_arg, m->number, (unsigned)p->offset, n, head);
	return stream_writev(&p->stream, v, 2);
}

enum outcome { WENT, LATER, BROKEN };

/* A refusal is of a datagram before: the same is tried once more. */
static enum outcome send_datagrams(struct log_peer *p, struct log_message *m)
{
	unsigned n = pieces_of(p, m->n), again = 0;

	while (p->offset < n) {
		ssize_t r = send_piece(p, m, n);
		if (r > 0) {
			p->offset++;
			continue;
		}
		if (r == 0)
			return LATER;
		if (p->at.way == LOG_PEER_UDP && stream_errno(&p->stream) == ECONNREFUSED && again++ < 2) {
			p->refused = loop_touch(p->loop);
			continue;
		}
		if (stream_errno(&p->stream) == EMSGSIZE) {
			gone(p, log_queue_long);
			return WENT;
		}
		return BROKEN;
	}
	gone(p, log_queue_sent);
	return WENT;
}

static enum outcome send_bytes(struct log_peer *p)
{
	struct iovec v[BATCH];
	int n = 0;

	LIST_EACH(it, tmp, &p->queue.list) {
		struct log_message *m = LIST_OWNER(it, struct log_message, link);
		size_t from = n ? 0 : p->offset;
		v[n++] = (struct iovec){ m->bytes + from, m->n - from };
		if (n == BATCH)
			break;
	}
	ssize_t r = stream_writev(&p->stream, v, n);
	if (r <= 0)
		return r == 0 ? LATER : BROKEN;
	p->took = loop_touch(p->loop);
	for (size_t left = (size_t)r; left;) {
		size_t rest = log_queue_first(&p->queue)->n - p->offset;
		if (left < rest) {
			p->offset += left;
			break;
		}
		left -= rest;
		gone(p, log_queue_sent);
	}
	return WENT;
}

static void send_some(struct log_peer *p)
{
	enum outcome out = WENT;

	for (unsigned i = 0; out == WENT && has_some(p) && i < (p->at.way == LOG_PEER_TCP ? ROUNDS : DATAGRAMS); i++)
		out = p->at.way == LOG_PEER_TCP ? send_bytes(p) : send_datagrams(p, log_queue_first(&p->queue));
	if (out == BROKEN) {
		fail(p, p->at.host, strerror(stream_errno(&p->stream)));
		return;
	}
	usec now = loop_now(p->loop);
	stream_want_write(&p->stream, out == LATER);
	if (out == LATER)
		timer_set(p->loop, &p->timer, now + HUNG);
	else if (has_some(p))
		timer_set(p->loop, &p->timer, now); /* others first */
	else if (p->refused || p->tries)
		timer_set(p->loop, &p->timer, p->tries ? p->since + PROVEN : p->refused + REFUSED_FOR);
	if (!has_some(p) && p->done)
		end_flush(p);
}

/* What is known of a connection that is open. */
static void judge(struct log_peer *p)
{
	usec now = loop_touch(p->loop);
	bool refused = p->refused && now < p->refused + REFUSED_FOR;

	if (p->at.way == LOG_PEER_TCP && has_some(p) && now >= p->took + LOG_PEER_STALL) {
		fail(p, p->at.host, "it takes nothing");
		return;
	}
	bool hung = p->at.way == LOG_PEER_TCP && has_some(p) && now >= p->took + HUNG;
	if (!refused)
		p->refused = 0;
	if (now >= p->since + PROVEN)
		p->tries = 0;
	struct err why = { "" };
	if (p->tries)
		why = p->why; /* not well until it stays */
	else if (refused || hung)
		err_set(&why, "%s: %s", p->at.host, refused ? strerror(ECONNREFUSED) : "it takes nothing at the moment");
	set_trouble(p, why.text);
	if (p->at.way == LOG_PEER_UDP && !p->query && now >= p->asked + LOG_PEER_ASK)
		ask_name(p);
}

static void step(struct log_peer *p)
{
	if (p->state == STATE_OPEN && has_some(p))
		send_some(p);
	if (p->state == STATE_OPEN)
		judge(p);
}

static void on_timer(void *arg)
{
	struct log_peer *p = arg;

	switch (p->state) {
	case STATE_IDLE:
		if (has_some(p))
			begin(p);
		break;
	case STATE_PAUSE:
		p->state = STATE_IDLE;
		if (has_some(p))
			begin(p);
		break;
	case STATE_RESOLVING:
	case STATE_CONNECTING:
		fail(p, p->at.host, "it does not answer");
		break;
	case STATE_OPEN:
		step(p);
		break;
	}
}

static void on_writable(void *arg)
{
	struct log_peer *p = arg;

	if (p->state == STATE_CONNECTING) {
		int r = stream_connect_result(&p->stream);
		if (r < 0)
			fail(p, p->at.host, strerror(stream_errno(&p->stream)));
		else if (r > 0)
			opened(p);
		return;
	}
	stream_want_write(&p->stream, false);
	step(p);
}

/* Nothing is to be read from a log receiver: its end is, and a refusal of datagrams. */
static void on_readable(void *arg)
{
	struct log_peer *p = arg;
	char bytes[512];
	ssize_t n = stream_read(&p->stream, bytes, sizeof(bytes));

	if (n >= 0)
		return;
	if (p->at.way == LOG_PEER_UDP && n == STREAM_ERROR && stream_errno(&p->stream) == ECONNREFUSED) {
		p->refused = loop_touch(p->loop);
		judge(p);
		if (p->state == STATE_OPEN && !timer_armed(&p->timer))
			timer_set(p->loop, &p->timer, p->refused + REFUSED_FOR);
		return;
	}
	if (p->at.way != LOG_PEER_TCP && n == STREAM_EOF)
		return; /* an empty datagram */
	if (n == STREAM_EOF && !has_some(p)) { /* it may: the next record connects again */
		disconnect(p, STREAM_CLOSE);
		timer_clear(&p->timer);
		p->state = STATE_IDLE;
		return;
	}
	fail(p, p->at.host, n == STREAM_EOF ? "it closed the connection" : strerror(stream_errno(&p->stream)));
}

void log_peer_flush(struct log_peer *p, void (*done)(void *arg), void *arg)
{
	p->done = done;
	p->done_arg = arg;
	usec now = loop_touch(p->loop);
	timer_set(p->loop, &p->patience, !has_some(p) || p->state == STATE_PAUSE ? now : now + PATIENCE);
}

/* --- life ------------------------------------------------------------------------------------------------------------------------- */

struct log_peer *log_peer_new(const struct log_peer_config *c, struct err *err)
{
	struct log_peer *p = mem_zalloc(sizeof(*p));

	if (!p) {
		err_set(err, "out of memory");
		return NULL;
	}
	*p = (struct log_peer){ .loop = c->sink->loop, .ns = c->sink->ns, .resolver = c->sink->resolver, .cfg = *c,
		.events = *c->events };
	log_queue_init(&p->queue, c->sink->queue);
	rng_seed_os(&p->rng);
	timer_init(&p->timer, on_timer, p);
	timer_init(&p->tell, on_tell, p);
	timer_init(&p->patience, end_flush, p);
	stream_init(&p->stream, p->loop, on_readable, on_writable, p);
	if (log_address_parse(c->sink->address, c->udp_port, c->tcp_port, c->unix_too, &p->at, err)) {
		p->to = p->at.path; /* others have a name to ask for first */
		return p;
	}
	log_peer_free(p);
	return NULL;
}

enum log_peer_way log_peer_way(const struct log_peer *p)
{
	return p->at.way;
}

void log_peer_free(struct log_peer *p)
{
	if (!p)
		return;
	p->done = NULL;
	disconnect(p, STREAM_CLOSE);
	timer_clear(&p->timer);
	timer_clear(&p->tell);
	timer_clear(&p->patience);
	log_queue_release(&p->queue);
	mem_free(p);
}
