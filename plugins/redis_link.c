#include "redis_link.h"

#define CHUNK 16384u
#define CHUNKS_PER_TURN 4 /* a large reply leaves the loop to others in between */

/* --- the address ----------------------------------------------------------------------------------------------- */

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Percent-decoding (RFC 3986 section 2.1); false: too long, or a NUL. */
static bool decode(struct str s, char *dst, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
			c = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
			i += 2;
		}
		if (c == '\0' || n + 1 >= cap)
			return false;
		dst[n++] = c;
	}
	dst[n] = '\0';
	return true;
}

static struct str after(struct str s, size_t at)
{
	return str_make(s.p + at + 1, s.n - at - 1);
}

static bool parse_credentials(struct str s, struct redis_address *ret, struct err *err)
{
	size_t colon = str_find(s, ':');
	struct str user = colon == SIZE_MAX ? str_make(NULL, 0) : str_make(s.p, colon);
	struct str password = colon == SIZE_MAX ? s : after(s, colon);

	if (!decode(user, ret->user, sizeof(ret->user)) ||
		!decode(password, ret->password, sizeof(ret->password)))
		return err_set(err, "the credentials before @ are too long");
	return true;
}

bool redis_address_parse(struct str text, struct redis_address *ret, struct err *err)
{
	struct str s = str_starts(text, STR("//")) ? str_make(text.p + 2, text.n - 2) : text;
	size_t at = str_rfind(s, '@'), slash, colon;
	uint64_t number;

	*ret = (struct redis_address){ .port = REDIS_PORT };
	if (at != SIZE_MAX) {
		if (!parse_credentials(str_make(s.p, at), ret, err))
			return false;
		s = after(s, at);
	}
	if ((slash = str_find(s, '/')) != SIZE_MAX) {
		struct str db = after(s, slash);
		if (db.n > 0 && (!str_u64(db, &number) || number > 16383))
			return err_set(
				err, "'%.*s' is no number of a Redis database (0 to 16383)", STR_ARG(db));
		ret->db = db.n > 0 ? (unsigned)number : 0;
		s.n = slash;
	}
	bool bracket = s.n > 0 && s.p[0] == '[';
	colon = str_rfind(s, ':');
	if (colon != SIZE_MAX && !(bracket && s.p[s.n - 1] == ']')) {
		if (!str_u64(after(s, colon), &number) || number < 1 || number > 65535)
			return err_set(err, "'%.*s' is no port (1 to 65535)", STR_ARG(after(s, colon)));
		ret->port = (uint16_t)number;
		s.n = colon;
	}
	if (bracket && s.n > 2 && s.p[s.n - 1] == ']')
		s = str_make(s.p + 1, s.n - 2);
	if (s.n == 0 || s.n >= TLS_NAME_MAX)
		return err_set(err, "a Redis address is HOST:PORT[/DATABASE], with user:password@ before it "
				    "where it asks for them");
	ret->host = s;
	return true;
}

/* --- down and up again ---------------------------------------------------------------------------------------------- */

static void hang_up(struct redis_link *l)
{
	if (l->query)
		resolve_cancel(l->query);
	l->query = NULL;
	stream_close(&l->stream, STREAM_CLOSE);
	resp_reset(l->resp);
	text_clear(&l->out);
	l->sent = 0;
	l->owed = l->greeting = 0;
}

/* Half of the pause is chance, so that agents do not come back in step after a restart of the server. */
static usec pause_of(struct redis_link *l)
{
	usec p = REDIS_PAUSE_FIRST;

	for (unsigned i = 1; i < l->tries && p < REDIS_PAUSE_MAX; i++)
		p *= 2;
	p = p < REDIS_PAUSE_MAX ? p : REDIS_PAUSE_MAX;
	return p / 2 + rng_below(&l->rng, (uint32_t)p);
}

static void down(struct redis_link *l, const char *why)
{
	struct err kept; /* `why` may stand in what goes now */

	err_set(&kept, "%s", why);
	hang_up(l);
	l->tries++;
	l->state = REDIS_WAITING;
	timer_set(l->loop, &l->timer, loop_now(l->loop) + pause_of(l));
	l->events->on_down(l->arg, kept.text, l->tries);
}

void redis_link_drop(struct redis_link *l, const char *why)
{
	if (l->state > REDIS_WAITING)
		down(l, why);
}

void redis_link_fine(struct redis_link *l)
{
	l->tries = 0;
}

static void down_stream(struct redis_link *l, ssize_t what)
{
	struct err why;

	if (what == STREAM_EOF)
		err_set(&why, "the server closed the connection");
	else
		tls_why(&l->stream, &why);
	down(l, why.text);
}

/* --- sending -------------------------------------------------------------------------------------------------------- */

static void flush(struct redis_link *l)
{
	while (l->sent < l->out.n) {
		struct iovec v = { l->out.p + l->sent, l->out.n - l->sent };
		ssize_t n = stream_writev(&l->stream, &v, 1);
		if (n < 0) {
			down_stream(l, n);
			return;
		}
		if (n == 0)
			break;
		l->sent += (size_t)n;
	}
	if (l->sent == l->out.n) {
		text_clear(&l->out);
		l->sent = 0;
	}
	stream_want_write(&l->stream, l->out.n > 0);
}

static bool queue(struct redis_link *l, const struct str *argv, size_t argc)
{
	resp_command(&l->out, argv, argc);
	if (l->out.failed) {
		/* Seen at the next turn, not under the feet of the caller. */
		timer_set(l->loop, &l->timer, 0);
		l->owed = UINT32_MAX;
		return false;
	}
	if (l->owed++ == 0)
		timer_set(l->loop, &l->timer, loop_now(l->loop) + REDIS_REPLY_TIME);
	return true;
}

bool redis_link_send(struct redis_link *l, const struct str *argv, size_t argc)
{
	if (l->state != REDIS_READY || !queue(l, argv, argc))
		return false;
	stream_want_write(&l->stream, true); /* several commands go in one write, at the next turn */
	return true;
}

/* --- greeting --------------------------------------------------------------------------------------------------------- */

static void ready(struct redis_link *l)
{
	l->state = REDIS_READY;
	timer_set(l->loop, &l->timer, loop_now(l->loop) + REDIS_PING_EVERY);
	l->events->on_ready(l->arg);
}

/* AUTH and SELECT, and PING at the end: it tells a server that still loads its data from one that serves. */
static void greet(struct redis_link *l)
{
	char db[16];
	struct str auth[3] = { STR("AUTH"), str_of(l->to->user), str_of(l->to->password) };
	struct str select[2] = { STR("SELECT"), { db, 0 } };
	struct str ping = STR("PING");

	l->state = REDIS_GREETING;
	if (l->to->password[0] != '\0' && l->to->user[0] == '\0')
		auth[1] = auth[2]; /* AUTH password: also servers before 6 know it */
	bool ok = l->to->password[0] == '\0' || queue(l, auth, l->to->user[0] != '\0' ? 3 : 2);
	snprintf(db, sizeof(db), "%u", l->to->db);
	select[1] = str_of(db);
	ok = ok && (l->to->db == 0 || queue(l, select, 2)) && queue(l, &ping, 1);
	l->greeting = l->owed;
	if (ok)
		flush(l);
}

static void greeted(struct redis_link *l, const struct resp_value *v)
{
	struct err why;

	if (v->type == RESP_ERROR) {
		err_set(&why, "it says: %.*s", (int)(v->text.n < 200 ? v->text.n : 200), v->text.p);
		down(l, why.text);
	} else if (--l->greeting == 0) {
		ready(l);
	}
}

/* --- receiving ----------------------------------------------------------------------------------------------------------- */

static void take(struct redis_link *l, const struct resp_value *v, size_t n)
{
	/* What a subscription pushes is nobody's answer; but any word of the server proves that it lives. */
	if (l->owed > 0)
		l->owed--;
	if (l->state == REDIS_READY)
		timer_set(l->loop, &l->timer,
			loop_now(l->loop) + (l->owed > 0 ? REDIS_REPLY_TIME : REDIS_PING_EVERY));
	if (l->state == REDIS_GREETING)
		greeted(l, v);
	else if (!(v->type == RESP_STATUS && str_eq(v->text, STR("PONG"))))
		l->events->on_reply(l->arg, v, n);
}

static void parse(struct redis_link *l)
{
	const struct resp_value *v;
	struct err err;
	size_t n;
	int r;

	while (l->state >= REDIS_GREETING && (r = resp_next(l->resp, &v, &n, &err)) != 0) {
		if (r < 0)
			down(l, err.text);
		else
			take(l, v, n);
	}
}

static void on_readable(void *arg)
{
	struct redis_link *l = arg;
	char buf[CHUNK];

	for (int i = 0; (i < CHUNKS_PER_TURN || stream_pending(&l->stream) > 0) && stream_is_open(&l->stream);
		i++) {
		ssize_t n = stream_read(&l->stream, buf, sizeof(buf));
		if (n == 0)
			return;
		if (n < 0) {
			down_stream(l, n);
			return;
		}
		if (l->state < REDIS_GREETING || !resp_feed(l->resp, buf, (size_t)n)) {
			down(l, l->state < REDIS_GREETING ? "it spoke before it was asked" : "no memory");
			return;
		}
		parse(l);
	}
}

static void on_writable(void *arg)
{
	struct redis_link *l = arg;
	struct err err;

	if (l->stream.connecting) {
		int r = stream_connect_result(&l->stream);
		if (r < 0) {
			down(l, strerror(stream_errno(&l->stream)));
		} else if (r > 0 && l->tls) {
			l->state = REDIS_SHAKING;
			if (!tls_start(&l->stream, l->tls, l->to->host, l->to->port, &err))
				down(l, err.text);
		} else if (r > 0) {
			greet(l);
		}
	} else if (l->state == REDIS_SHAKING) {
		greet(l);
	} else {
		flush(l);
	}
}

/* --- connecting ------------------------------------------------------------------------------------------------------------- */

static void on_addresses(void *arg, const struct addr *addrs, size_t n, const char *why)
{
	struct redis_link *l = arg;

	l->query = NULL;
	if (n == 0) {
		down(l, why);
		return;
	}
	/* One after the other over the tries: a name may have addresses of which one is dead. */
	int r = stream_connect(&l->stream, l->ns, &addrs[l->tries % n]);
	if (r < 0) {
		down(l, strerror(stream_errno(&l->stream)));
		return;
	}
	l->state = REDIS_CONNECTING;
	if (r > 0) { /* let on_writable take the one way there is */
		l->stream.connecting = true;
		stream_want_write(&l->stream, true);
	}
}

static void begin(struct redis_link *l)
{
	l->state = REDIS_RESOLVING;
	timer_set(l->loop, &l->timer, loop_now(l->loop) + REDIS_OPEN_TIME);
	l->query = resolve(l->resolver, l->to->host, l->to->port, on_addresses, l);
	if (!l->query)
		down(l, "too many names are being resolved");
}

void redis_link_open(struct redis_link *l)
{
	l->state = REDIS_WAITING;
	timer_set(l->loop, &l->timer, loop_now(l->loop));
}

static void on_timer(void *arg)
{
	struct redis_link *l = arg;
	struct str ping = STR("PING");

	if (l->state == REDIS_WAITING) {
		begin(l);
	} else if (l->state < REDIS_READY) {
		down(l, l->state == REDIS_RESOLVING ? "its name is not resolved in time"
						    : "it does not answer in time");
	} else if (l->out.failed) {
		down(l, "more commands than it takes");
	} else if (l->owed > 0) {
		down(l, "it does not answer in time");
	} else if (queue(l, &ping, 1)) {
		flush(l);
	}
}

/* --- life ------------------------------------------------------------------------------------------------------------------------ */

bool redis_link_init(struct redis_link *l, const struct redis_link_config *config,
	const struct redis_link_events *events, void *arg, const struct resp_limits *limits, struct err *err)
{
	*l = (struct redis_link){ .loop = config->loop,
		.ns = config->ns,
		.resolver = config->resolver,
		.tls = config->tls,
		.to = config->to,
		.events = events,
		.arg = arg };
	stream_init(&l->stream, l->loop, on_readable, on_writable, l);
	timer_init(&l->timer, on_timer, l);
	text_init(&l->out, REDIS_OUTPUT_MAX);
	rng_seed_os(&l->rng);
	l->resp = resp_new(limits);
	return l->resp || err_set(err, "no memory for a connection to Redis");
}

void redis_link_release(struct redis_link *l)
{
	if (!l->resp)
		return;
	hang_up(l);
	timer_clear(&l->timer);
	text_release(&l->out);
	resp_free(l->resp);
	l->resp = NULL;
	l->state = REDIS_IDLE;
}
