#include "bus_session.h"

#include "base/mem.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "bus_guard.h"

#define STACK (2u << 20) /* librabbitmq calls itself for each level of a table: some thousand in a frame */
#define QUEUE_MAX 256
#define RANDOM_BYTES 16
#define TEXT_MAX 200

enum { NEWS_READY = 1, NEWS_REFRESH = 2 };

struct bus_session {
	struct mail news, end;
	struct bus_session_config cfg;
	const struct bus_session_events *events; /* NULL: stopped; the loop's thread alone looks at it */
	void *arg;
	pthread_t thread;
	bool joined;
	int fd;
	atomic_uint pending; /* NEWS_* that lie in the mail */

	/* the thread's */
	amqp_connection_state_t c;
	amqp_channel_t channel;
	bool logged_in;
	char queue[QUEUE_MAX];
	char *body; /* of the event that arrives; NULL: it is passed over */
	uint64_t size, got;
	struct err why;
};

/* --- to the loop --------------------------------------------------------------------------------------------------- */

static void on_news(struct mail *m)
{
	struct bus_session *s = LIST_OWNER(m, struct bus_session, news);
	unsigned news = atomic_exchange(&s->pending, 0);

	if (s->events && (news & NEWS_READY))
		s->events->on_ready(s->arg);
	if (s->events && (news & NEWS_REFRESH))
		s->events->on_refresh(s->arg);
}

static void tell(struct bus_session *s, unsigned news)
{
	if (atomic_fetch_or(&s->pending, news) == 0)
		loop_post(s->cfg.loop, &s->news);
}

/* Posted last, so nothing of the session lies in a box after it. */
static void on_end(struct mail *m)
{
	struct bus_session *s = LIST_OWNER(m, struct bus_session, end);

	if (!s->joined)
		pthread_join(s->thread, NULL);
	if (s->events)
		s->events->on_end(s->arg, s->why.text);
	mem_free(s);
}

/* --- why it ended -------------------------------------------------------------------------------------------------- */

enum step { LOGIN, CHANNEL, EXCHANGE, QUEUE, BIND, CONSUME };

static const char *const step_names[] = {
	[LOGIN] = "the login",
	[CHANNEL] = "a channel",
	[EXCHANGE] = "the exchange",
	[QUEUE] = "a queue",
	[BIND] = "binding the queue",
	[CONSUME] = "listening",
};

/* What the broker says, as far as it can be printed. */
static void put_text(char dst[TEXT_MAX], amqp_bytes_t text)
{
	size_t n = text.len < TEXT_MAX - 1 ? text.len : TEXT_MAX - 1;

	for (size_t i = 0; i < n; i++) {
		char c = ((const char *)text.bytes)[i];
		dst[i] = c;
		if (c < 0x20 || c > 0x7e)
			dst[i] = '?';
	}
	dst[n] = '\0';
}

/* Refusals with a remedy: before, a name, after. The broker's own words for 403 and 530 name the user, so they are not shown. */
static const struct refusal {
	enum step first, last;
	unsigned code;
	const char *before;
	enum { NO_NAME, THE_EXCHANGE, THE_VHOST } name;
	const char *after;
} refusals[] = {
	{ LOGIN, LOGIN, AMQP_ACCESS_REFUSED,
		"it refuses user and password (guest may only come from the broker's own machine): set "
		"outrider.spring-bus.username and .password",
		NO_NAME, "" },
	{ LOGIN, LOGIN, AMQP_NOT_ALLOWED, "there is no virtual host ", THE_VHOST,
		", or the user may not use it: put the right one behind the port, or use rabbitmqctl "
		"set_permissions" },
	{ EXCHANGE, EXCHANGE, AMQP_PRECONDITION_FAILED, "exchange ", THE_EXCHANGE,
		" is not as Spring Cloud Bus has it (topic, durable): set outrider.spring-bus.exchange, or "
		"delete it" },
	{ EXCHANGE, EXCHANGE, AMQP_NOT_FOUND, "there is no exchange ", THE_EXCHANGE,
		", and the user may not make it: grant it configure, or start the config server's bus "
		"first" },
	{ CHANNEL, CONSUME, AMQP_ACCESS_REFUSED,
		"the user may not listen: grant it configure, write and read on ", THE_EXCHANGE,
		".anonymous.*, and read on the exchange (rabbitmqctl set_permissions)" },
};

static bool refused(struct bus_session *s, enum step step, unsigned code, amqp_bytes_t said)
{
	const char *const names[] = { "", s->cfg.exchange, s->cfg.to->vhost };
	char text[TEXT_MAX];

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *r = &refusals[i];
		if (code == r->code && step >= r->first && step <= r->last)
			return err_set(&s->why, "%s%s%s", r->before, names[r->name], r->after);
	}
	put_text(text, said);
	return err_set(&s->why, "it refuses %s: %u %s", step_names[step], code, text);
}

static bool failed(struct bus_session *s, enum step step, int status)
{
	if (status == AMQP_STATUS_TIMEOUT)
		return err_set(&s->why, "no answer within %u s (%s)", BUS_CALL_S, step_names[step]);
	if (status == AMQP_STATUS_HEARTBEAT_TIMEOUT)
		return err_set(&s->why, "not a word for %u s", 2 * BUS_HEARTBEAT_S);
	if (status == AMQP_STATUS_CONNECTION_CLOSED || status == AMQP_STATUS_SOCKET_ERROR ||
		status == AMQP_STATUS_SOCKET_CLOSED)
		return err_set(
			&s->why, step == LOGIN ? "it closed the connection during the login: its log says why"
					       : "it closed the connection");
	return err_set(&s->why, "%s", amqp_error_string2(status));
}

/* The answer to a call. code, where not NULL: of a refusal of this channel, instead of a failure. */
static bool fine(struct bus_session *s, enum step step, amqp_rpc_reply_t r, unsigned *code)
{
	if (r.reply_type == AMQP_RESPONSE_NORMAL)
		return true;
	if (r.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
		return failed(s, step,
			r.reply_type == AMQP_RESPONSE_NONE ? AMQP_STATUS_CONNECTION_CLOSED : r.library_error);
	if (r.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *m = r.reply.decoded;
		if (code)
			*code = m->reply_code;
		return refused(s, step, m->reply_code, m->reply_text);
	}
	if (r.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *m = r.reply.decoded;
		return refused(s, step, m->reply_code, m->reply_text);
	}
	return err_set(&s->why, "it answers what was not asked");
}

/* --- setting up ---------------------------------------------------------------------------------------------------- */

static amqp_table_entry_t yes(const char *key)
{
	return (amqp_table_entry_t){ .key = amqp_cstring_bytes(key),
		.value = { .kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1 } };
}

/* Without the first a wrong password is a reset after 3 s; without the second nobody says that the queue is gone. */
static bool login(struct bus_session *s)
{
	amqp_table_entry_t can[] = { yes("authentication_failure_close"), yes("consumer_cancel_notify") };
	char name[160];
	amqp_table_entry_t props[] = {
		{ .key = amqp_cstring_bytes("capabilities"),
			.value = { .kind = AMQP_FIELD_KIND_TABLE, .value.table = { 2, can } } },
		{ .key = amqp_cstring_bytes("connection_name"), .value = { .kind = AMQP_FIELD_KIND_UTF8 } },
	};
	amqp_table_t table = { 2, props };
	struct timeval limit = { .tv_sec = BUS_CALL_S };

	snprintf(name, sizeof(name), "outrider %.*s", STR_ARG(s->cfg.id.service));
	props[1].value.value.bytes = amqp_cstring_bytes(name);
	if (amqp_set_handshake_timeout(s->c, &limit) != AMQP_STATUS_OK ||
		amqp_set_rpc_timeout(s->c, &limit) != AMQP_STATUS_OK)
		return err_set(&s->why, "no memory");
	s->logged_in = fine(s, LOGIN,
		amqp_login_with_properties(s->c, s->cfg.to->vhost, BUS_CHANNEL_MAX, BUS_FRAME_MAX,
			BUS_HEARTBEAT_S, &table, AMQP_SASL_METHOD_PLAIN, s->cfg.user, s->cfg.password),
		NULL);
	return s->logged_in;
}

static bool open_channel(struct bus_session *s)
{
	s->channel++;
	amqp_channel_open(s->c, s->channel);
	return fine(s, CHANNEL, amqp_get_rpc_reply(s->c), NULL);
}

/* A user who may not make the exchange may still use it: then it is only asked for, on another channel, for the refusal closed
 * the first one. */
static bool find_exchange(struct bus_session *s)
{
	amqp_bytes_t name = amqp_cstring_bytes(s->cfg.exchange), topic = amqp_cstring_bytes("topic");
	amqp_channel_close_ok_t closed = { 0 };
	unsigned code = 0;

	amqp_exchange_declare(s->c, s->channel, name, topic, 0, 1, 0, 0, amqp_empty_table);
	if (fine(s, EXCHANGE, amqp_get_rpc_reply(s->c), &code))
		return true;
	if (code != AMQP_ACCESS_REFUSED)
		return false;
	(void)amqp_send_method(s->c, s->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &closed);
	if (!open_channel(s))
		return false;
	amqp_exchange_declare(s->c, s->channel, name, topic, 1, 1, 0, 0, amqp_empty_table);
	return fine(s, EXCHANGE, amqp_get_rpc_reply(s->c), NULL);
}

/* As Spring names them: 16 random bytes in base64url are 22 characters. */
static bool name_queue(struct bus_session *s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char bytes[RANDOM_BYTES];
	unsigned bits = 0, held = 0;
	int n = snprintf(s->queue, sizeof(s->queue), "%s.anonymous.", s->cfg.exchange);

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return err_set(&s->why, "no random bytes: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bits = bits << 8 | bytes[i];
		for (held += 8; held >= 6; held -= 6)
			s->queue[n++] = digits[bits >> (held - 6) & 63];
	}
	s->queue[n++] = digits[bits << (6 - held) & 63];
	s->queue[n] = '\0';
	return true;
}

static bool listen_there(struct bus_session *s)
{
	amqp_bytes_t exchange = amqp_cstring_bytes(s->cfg.exchange), queue;

	if (!name_queue(s))
		return false;
	queue = amqp_cstring_bytes(s->queue);
	amqp_queue_declare(s->c, s->channel, queue, 0, 0, 1, 1, amqp_empty_table);
	if (!fine(s, QUEUE, amqp_get_rpc_reply(s->c), NULL))
		return false;
	amqp_queue_bind(s->c, s->channel, queue, exchange, amqp_cstring_bytes("#"), amqp_empty_table);
	if (!fine(s, BIND, amqp_get_rpc_reply(s->c), NULL))
		return false;
	amqp_basic_consume(s->c, s->channel, queue, amqp_empty_bytes, 0, 1, 1, amqp_empty_table);
	return fine(s, CONSUME, amqp_get_rpc_reply(s->c), NULL);
}

/* --- listening ----------------------------------------------------------------------------------------------------- */

static void end_body(struct bus_session *s)
{
	mem_free(s->body);
	s->body = NULL;
	s->size = s->got = 0;
}

static void finish_body(struct bus_session *s)
{
	if (s->body && bus_event_judge(str_make(s->body, (size_t)s->size), &s->cfg.id) == BUS_REFRESH)
		tell(s, NEWS_REFRESH);
	end_body(s);
}

static void begin_body(struct bus_session *s, uint64_t size)
{
	end_body(s);
	s->size = size;
	if (size > 0 && size <= BUS_BODY_MAX)
		s->body = mem_alloc((size_t)size);
}

/* A fragment beyond the length announced ends the session. */
static bool add_body(struct bus_session *s, amqp_bytes_t part)
{
	if (part.len > s->size - s->got)
		return err_set(&s->why, "it sends a frame that makes no sense");
	if (s->body)
		memcpy(s->body + s->got, part.bytes, part.len);
	s->got += part.len;
	if (s->got == s->size)
		finish_body(s);
	return true;
}

static bool take_method(struct bus_session *s, const amqp_method_t *m)
{
	amqp_connection_close_ok_t ok = { 0 };
	char text[TEXT_MAX];

	switch (m->id) {
	case AMQP_CONNECTION_CLOSE_METHOD: {
		const amqp_connection_close_t *close = m->decoded;
		put_text(text, close->reply_text);
		(void)amqp_send_method(s->c, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
		s->logged_in = false; /* no farewell */
		return err_set(&s->why, "it ended the connection: %u %s", close->reply_code, text);
	}
	case AMQP_CHANNEL_CLOSE_METHOD: {
		const amqp_channel_close_t *close = m->decoded;
		put_text(text, close->reply_text);
		return err_set(&s->why, "it ended the channel: %u %s", close->reply_code, text);
	}
	case AMQP_BASIC_CANCEL_METHOD:
		return err_set(&s->why, "its queue was deleted");
	default: /* deliveries: what counts is the body */
		return true;
	}
}

/* One frame at a time, so that nothing piles up in librabbitmq; heartbeats go both ways inside the wait. */
static void hear(struct bus_session *s)
{
	bool on = true;

	while (on) {
		amqp_frame_t f;
		amqp_maybe_release_buffers(s->c);
		int status = amqp_simple_wait_frame(s->c, &f);
		if (status != AMQP_STATUS_OK)
			on = failed(s, CONSUME, status);
		else if (f.frame_type == AMQP_FRAME_METHOD)
			on = take_method(s, &f.payload.method);
		else if (f.frame_type == AMQP_FRAME_HEADER)
			begin_body(s, f.payload.properties.body_size);
		else if (f.frame_type == AMQP_FRAME_BODY)
			on = add_body(s, f.payload.body_fragment);
	}
	end_body(s);
}

/* The descriptor is librabbitmq's once it has a socket for it. */
static bool connect_to(struct bus_session *s)
{
	s->c = amqp_new_connection();
	amqp_socket_t *socket = s->c ? amqp_tcp_socket_new(s->c) : NULL;

	if (!socket) {
		close(s->fd);
		return err_set(&s->why, "no memory");
	}
	amqp_tcp_socket_set_sockfd(socket, s->fd);
	return true;
}

/* Lets the broker go without a warning in its log. */
static void farewell(struct bus_session *s)
{
	struct timeval limit = { .tv_sec = BUS_FAREWELL_S };

	if (s->logged_in && amqp_set_rpc_timeout(s->c, &limit) == AMQP_STATUS_OK)
		(void)amqp_connection_close(s->c, AMQP_REPLY_SUCCESS);
}

static void *run(void *arg)
{
	struct bus_session *s = arg;

	if (connect_to(s) && login(s) && open_channel(s) && find_exchange(s) && listen_there(s)) {
		tell(s, NEWS_READY);
		hear(s);
	}
	farewell(s);
	if (s->c)
		amqp_destroy_connection(s->c);
	loop_post(s->cfg.loop, &s->end);
	return NULL;
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static bool start_thread(struct bus_session *s)
{
	pthread_attr_t attr;

	if (pthread_attr_init(&attr) != 0)
		return false;
	bool ok = pthread_attr_setstacksize(&attr, STACK) == 0 &&
		  pthread_create(&s->thread, &attr, run, s) == 0;
	pthread_attr_destroy(&attr);
	return ok;
}

struct bus_session *bus_session_start(const struct bus_session_config *config, int fd,
	const struct bus_session_events *events, void *arg, struct err *err)
{
	struct bus_session *s = mem_zalloc(sizeof(*s));

	if (s) {
		s->cfg = *config;
		s->events = events;
		s->arg = arg;
		s->fd = fd;
		s->news.fn = on_news;
		s->end.fn = on_end;
		if (start_thread(s))
			return s;
	}
	err_set(err, "memory or threads are short");
	close(fd);
	mem_free(s);
	return NULL;
}

void bus_session_stop(struct bus_session *s)
{
	if (!s)
		return;
	s->events = NULL;
	pthread_join(s->thread, NULL);
	s->joined = true;
}
