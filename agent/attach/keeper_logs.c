/* Log streams of containers, from the engine into pipes that the proxy reads (DESIGN section 2). Nothing of them is looked at here.
 *
 *     GET containers/ID/logs?follow=1&timestamps=1&since=… ──> 16 KiB ──> pipe ──> the proxy, which tells now and then how far it came
 *
 * A pipe that is full stops the reading of that stream alone: the engine holds the rest, in its own files. A stream that ends is opened again
 * behind what the proxy read last, once it has read all; a proxy that is started anew gets new pipes, from what the former one told. The lines
 * of at most LOG_TOLD are read twice then. Of a container that ended what is still to come is copied for LOG_LAST at most. */
#include "attach/keeper.h"

#include "base/mem.h"
#include "control/doctor.h"
#include "http/bounded_json.h"
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define HEAD_MAX 16384u
#define PAUSE_FIRST (100 * USEC_MS)
#define PAUSE_MOST (5 * USEC_SEC)
#define LOG_LAST (5 * USEC_SEC)
#define NS_OF_SEC 1000000000u
#define BEFORE_START NS_OF_SEC /* the first lines are written before the engine says that it has started */

struct ward_log {
	struct list link; /* of keeper.logs */
	struct keeper *k;
	struct ward *ward; /* NULL: it has ended */
	struct stream stream;
	bool open, answered;
	bool handed;      /* the proxy has the other end, and has not said that it read all */
	bool refused;     /* the engine said that it never will */
	struct text head; /* of the answer; then the body of an error */
	int status;
	int pipe; /* the end that is written; -1 */
	struct watch room;
	size_t at, n; /* of buf: what the pipe has not taken yet */
	struct timer timer;
	usec pause;
	char buf[16 * 1024];
};

static void shut(struct ward_log *l)
{
	if (l->open)
		stream_close(&l->stream, STREAM_CLOSE);
	l->open = false;
	text_release(&l->head);
	watch_off(&l->room);
	if (l->pipe >= 0)
		close(l->pipe);
	l->pipe = -1;
	l->at = l->n = 0;
}

static void log_free(struct ward_log *l)
{
	shut(l);
	timer_clear(&l->timer);
	list_remove(&l->link);
	if (l->ward)
		l->ward->log = NULL;
	mem_free(l);
}

/* The proxy shows it on /sidecars and /doctor. */
static void tell_why(struct keeper *k, const struct ward *w, enum doctor_level level, const char *why)
{
	struct wire_record r = { .op = WIRE_LOG, .container = w->number, .n = level };

	snprintf(r.why, sizeof(r.why), "%.240s", why);
	(void)proxy_send(k, &r, NULL, 0);
}

static void later(struct ward_log *l)
{
	timer_set(l->k->loop, &l->timer, loop_touch(l->k->loop) + l->pause);
	l->pause = l->pause * 2 < PAUSE_MOST ? l->pause * 2 : PAUSE_MOST;
}

/* The stream has ended. The proxy says when it has read the pipe to its end: what it read last is where to go on. */
static void over(struct ward_log *l, const char *why)
{
	shut(l);
	if (!l->ward) { /* on the next turn: this may be its stream's own callback */
		timer_set(l->k->loop, &l->timer, 0);
		return;
	}
	if (why)
		tell_why(l->k, l->ward, DOCTOR_WARN, why);
	if (!l->handed)
		later(l);
}

/* --- the answer ---------------------------------------------------------------------------------------------------------- */

static bool give_pipe(struct ward_log *l)
{
	struct wire_record r = { .op = WIRE_LOG, .container = l->ward->number, .kind = l->ward->terminal };
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return false;
	bool sent = proxy_send(l->k, &r, &ends[0], 1);
	close(ends[0]);
	l->pipe = ends[1];
	l->handed = sent;
	return sent;
}

/* The engine says {"message":"configured logging driver does not support reading"} with 501 or 500. */
static void refuse(struct ward_log *l)
{
	static const struct json_limits limits = { HEAD_MAX, 256, 8 };
	struct err err;
	char why[240];
	cJSON *root = bounded_json_parse(str_trim(text_str(&l->head)), &limits, &err);
	const cJSON *message = cJSON_GetObjectItemCaseSensitive(root, "message");
	const char *says = cJSON_IsString(message) ? message->valuestring : "no reason";
	bool cannot = l->status == 501 || strstr(says, "does not support reading");

	if (cannot)
		snprintf(why, sizeof(why),
			"its log driver %.40s cannot be read back; use json-file, local or journald, or "
			"switch outrider.app.log off for it",
			l->ward && l->ward->log_driver[0] ? l->ward->log_driver : "(unknown)");
	else if (l->status == 403)
		snprintf(why, sizeof(why),
			"the engine, or a proxy before it, answers 403 to /containers/ID/logs: let GETs of it through");
	else
		snprintf(why, sizeof(why), "the engine answers %d to /containers/ID/logs: %.120s", l->status,
			says);
	cJSON_Delete(root);
	l->refused = cannot || l->status == 403;
	over(l, why);
	if (l->refused)
		timer_clear(&l->timer);
}

/* false: it is no answer. */
static bool take_head(struct ward_log *l)
{
	struct str s = text_str(&l->head);

	for (size_t i = 0; i + 3 < s.n; i++) {
		if (memcmp(s.p + i, "\r\n\r\n", 4) != 0)
			continue;
		l->answered = true;
		l->status = s.n > 12 && memcmp(s.p, "HTTP/1.", 7) == 0
				    ? (s.p[9] - '0') * 100 + (s.p[10] - '0') * 10 + (s.p[11] - '0')
				    : 0;
		memmove(l->head.p, l->head.p + i + 4, l->head.n - i - 4);
		l->head.n -= i + 4;
		return l->status >= 100 && l->status <= 599;
	}
	return !l->head.failed;
}

/* --- the bytes ----------------------------------------------------------------------------------------------------------- */

/* What the pipe takes now. false: it takes no more, or nobody reads it. */
static bool put(struct ward_log *l)
{
	while (l->at < l->n) {
		ssize_t done = write(l->pipe, l->buf + l->at, l->n - l->at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN) {
			stream_want_read(&l->stream, false);
			if (!watch_on(&l->room))
				over(l, "memory is short");
			return false;
		}
		if (done <= 0) { /* the proxy wants no more of it, or is gone */
			over(l, NULL);
			return false;
		}
		l->at += (size_t)done;
	}
	l->at = l->n = 0;
	return true;
}

static void on_room(void *arg, short what)
{
	struct ward_log *l = arg;

	(void)what;
	watch_off(&l->room);
	if (put(l))
		stream_want_read(&l->stream, true);
}

/* The answer's head, and what of the stream came with it. false: nothing more is to be read. */
static bool begin_body(struct ward_log *l)
{
	if (l->status != 200 || !l->ward || !give_pipe(l)) {
		if (l->status == 200)
			over(l, "descriptors or memory are short");
		return l->status != 200;
	}
	watch_init(&l->room, l->k->loop, l->pipe, EV_WRITE, on_room, l);
	tell_why(l->k, l->ward, DOCTOR_OK, "");
	l->n = l->head.n < sizeof(l->buf) ? l->head.n : sizeof(l->buf);
	if (l->n)
		memcpy(l->buf, l->head.p, l->n);
	text_release(&l->head);
	return put(l);
}

static bool take_text(struct ward_log *l, size_t n)
{
	bool before = l->answered;

	text_add(&l->head, str_make(l->buf, n));
	if (before) /* the body of an error */
		return !l->head.failed;
	if (!take_head(l)) {
		over(l, "the engine gives no answer that can be read to /containers/ID/logs");
		return false;
	}
	return !l->answered || begin_body(l);
}

static void on_end(struct ward_log *l)
{
	if (l->answered && l->status != 200)
		refuse(l);
	else
		over(l, l->answered
				? NULL
				: "the engine ended the connection without an answer to /containers/ID/logs");
}

/* A buffer full, then others have their turn. */
static void on_readable(void *arg)
{
	struct ward_log *l = arg;
	ssize_t n = stream_read(&l->stream, l->buf, HEAD_MAX / 2);

	if (n < 0) {
		on_end(l);
	} else if (n > 0 && l->pipe < 0) {
		if (!take_text(l, (size_t)n) && l->open && l->answered && l->status != 200)
			refuse(l);
	} else if (n > 0) {
		l->pause = PAUSE_FIRST;
		l->at = 0;
		l->n = (size_t)n;
		(void)put(l);
	}
}

/* --- the question -------------------------------------------------------------------------------------------------------- */

/* Where to go on: behind what was read last; else from the beginning of the container, or of our time. */
static uint64_t since(const struct keeper *k, const struct ward *w)
{
	uint64_t from = w->started > BEFORE_START ? w->started - BEFORE_START : 0;

	if (w->log_at)
		return w->log_at + 1;
	return from > k->logs_since ? from : k->logs_since;
}

static void say(struct ward_log *l)
{
	char text[512], version[16] = "";
	uint64_t from = since(l->k, l->ward);

	if (l->k->api) /* 0: the engine said nothing of itself, and uses its newest */
		snprintf(version, sizeof(version), "/v1.%u", l->k->api);
	int n = snprintf(text, sizeof(text),
		"GET %s/containers/%s/logs?follow=1&stdout=1&stderr=1&timestamps=1&since=%llu.%09llu HTTP/1.0\r\n"
		"Host: docker\r\nUser-Agent: outrider\r\n\r\n",
		version, l->ward->id, (unsigned long long)(from / NS_OF_SEC), (unsigned long long)(from % NS_OF_SEC));
	struct iovec iov = { text, (size_t)n };

	if (stream_writev(&l->stream, &iov, 1) != n)
		over(l, "the engine takes no question");
}

static void on_writable(void *arg)
{
	struct ward_log *l = arg;
	int r = stream_connect_result(&l->stream);

	if (r > 0)
		say(l);
	else if (r < 0)
		over(l, strerror(stream_errno(&l->stream)));
}

static void begin(struct ward_log *l)
{
	l->open = true;
	l->answered = l->handed = false;
	l->status = 0;
	text_init(&l->head, HEAD_MAX);
	stream_init(&l->stream, l->k->loop, on_readable, on_writable, l);
	int r = stream_connect(&l->stream, NULL, &l->k->engine_at);
	if (r > 0)
		say(l);
	else if (r < 0)
		over(l, strerror(stream_errno(&l->stream)));
}

/* Of a container that has ended: it had its time. Else it is opened again, when it may. */
static void on_timer(void *arg)
{
	struct ward_log *l = arg;

	if (!l->ward)
		log_free(l);
	else
		logs_look(l->k, l->ward);
}

/* --- for the others ------------------------------------------------------------------------------------------------------ */

void logs_choose(struct keeper *k, struct ward *w, const struct container *c)
{
	w->terminal = c->terminal;
	w->started = c->started;
	w->runs = c->state == CONTAINER_RUNNING || c->state == CONTAINER_PAUSED;
	w->follow = LOG_CHOICE_OFF;
	if (!wards_is_own(c))
		w->follow = log_choose(c, (enum app_log)options_u64(k->options, OPT_APP_LOG),
			options_text(k->options, OPT_LOG));
	(void)str_copy(c->log_driver, w->log_driver, sizeof(w->log_driver));
}

void logs_look(struct keeper *k, struct ward *w)
{
	if (w->left || !w->told || !w->settled || !w->runs || k->handed || !handover_is_over(k))
		return;
	if (w->follow == LOG_CHOICE_SINK)
		tell_why(k, w, DOCTOR_OK, "not followed: outrider.log names it as a sink");
	if (w->follow != LOG_CHOICE_ON)
		return;
	if (!w->log) {
		struct ward_log *l = mem_zalloc(sizeof(*l));
		if (!l) {
			tell_why(k, w, DOCTOR_WARN, "its log is not followed: memory is short");
			return;
		}
		*l = (struct ward_log){ .k = k, .ward = w, .pipe = -1, .pause = PAUSE_FIRST };
		timer_init(&l->timer, on_timer, l);
		list_append(&k->logs, &l->link);
		w->log = l;
	}
	if (!w->log->open && !w->log->handed && !w->log->refused)
		begin(w->log);
}

void logs_look_all(struct keeper *k)
{
	LIST_EACH (it, tmp, &k->wards)
		logs_look(k, LIST_OWNER(it, struct ward, link));
}

void logs_read(struct keeper *k, struct ward *w, const struct wire_record *r)
{
	uint64_t at = (uint64_t)r->kind * NS_OF_SEC + r->n;

	if (r->n < NS_OF_SEC && at > w->log_at)
		w->log_at = at;
	if (!r->error || !w->log || !w->log->handed)
		return;
	w->log->handed = false;
	shut(w->log); /* when it was the proxy that wanted no more */
	if (!k->handed)
		later(w->log);
}

void logs_leave(struct keeper *k, struct ward *w)
{
	struct ward_log *l = w->log;

	if (!l)
		return;
	l->ward = NULL;
	w->log = NULL;
	if (l->open && l->pipe >= 0)
		timer_set(k->loop, &l->timer, loop_touch(k->loop) + LOG_LAST);
	else
		log_free(l);
}

void logs_proxy_ended(struct keeper *k)
{
	while (!list_empty(&k->logs))
		log_free(LIST_OWNER(k->logs.next, struct ward_log, link));
}
