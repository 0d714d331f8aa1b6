/* The engine's event stream: an answer without end, a JSON object per line. */
#include "attach/engine_int.h"

#include "http/bounded_json.h"

#include <stdio.h>
#include <sys/uio.h>

#define LINE_MAX_BYTES (256u * 1024u)
#define MADE_FOR (10 * USEC_SEC)    /* one that was made counts as starting; one that is started later says so by its network */
#define JOINED_FOR (60 * USEC_SEC)  /* and one that joined a network, unless it leaves: its start has failed */
#define HEARD_FOR (3 * USEC_SEC)    /* who began to start before the stream was opened does run then */

/* {"type":["container","network"]}: swarm's own events say nothing of local containers. */
static const char query[] = "filters=%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%7D";

static struct str text_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsString(v) ? str_of(v->valuestring) : STR("");
}

/* A signal that asks it to end: the common words for that, of which an image may choose one (STOPSIGNAL). */
static bool ends(struct str signal)
{
	static const char *const words[] = { "2", "3", "9", "15", "28" /* WINCH: httpd's graceful stop */ };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eq(signal, str_of(words[i])))
			return true;
	return false;
}

static void take_kill(struct engine *e, const cJSON *actor, struct str id)
{
	if (ends(text_of(cJSON_GetObjectItemCaseSensitive(actor, "Attributes"), "signal")))
		e->cfg.stopping(e->cfg.arg, id);
}

/* Between its making and the answer that it runs. */
static void take_start(struct engine *e, struct known *k, bool network, struct str action)
{
	usec now = loop_touch(e->cfg.loop), until = 0;
	bool joins = network && str_eq(action, STR("connect"));

	if (!network && str_eq(action, STR("die")))
		k->runs = false;
	else if (k->runs)
		return; /* it joins or leaves one more network */
	else if (joins)
		until = now + JOINED_FOR;
	else if (str_eq(action, STR("create")) || str_eq(action, STR("start")))
		until = now + MADE_FOR;
	else if (!network || !str_eq(action, STR("disconnect")))
		return;
	k->joined = joins || (until && k->joined);
	k->starting = until && until < k->starting ? k->starting : until;
	e->cfg.joined(e->cfg.arg);
}

struct str engine_starting(const struct engine *e)
{
	usec now = loop_touch(e->cfg.loop);
	const struct known *one = NULL;

	if (!e->streaming || !e->answered || now < e->since + HEARD_FOR)
		return (struct str){ NULL, 0 };
	LIST_EACH(it, tmp, &e->all) {
		const struct known *k = LIST_OWNER(it, struct known, link);
		if (k->starting <= now)
			continue;
		if (one)
			return (struct str){ NULL, 0 };
		one = k;
	}
	return one && one->joined ? str_of(one->id) : (struct str){ NULL, 0 };
}

/* Container events name it as their actor, network events as an attribute. What is done about it is the same for all: ask. */
static void take_event(struct engine *e, struct str line)
{
	static const struct json_limits limits = { LINE_MAX_BYTES, 4096, 8 };
	struct err err;
	cJSON *root = bounded_json_parse_foreign(line, &limits, &err);
	const cJSON *actor = cJSON_GetObjectItemCaseSensitive(root, "Actor");
	struct str action = text_of(root, "Action");
	bool network = str_eq(text_of(root, "Type"), STR("network"));
	struct str id = network ? text_of(cJSON_GetObjectItemCaseSensitive(actor, "Attributes"), "container") : text_of(actor, "ID");

	/* exec_create, health_status and the like change nothing that counts here, and may come by the second. */
	bool counts = network || str_eq(action, STR("create")) || str_eq(action, STR("start")) || str_eq(action, STR("die")) ||
		      str_eq(action, STR("destroy")) || str_eq(action, STR("pause")) || str_eq(action, STR("unpause")) ||
		      str_eq(action, STR("rename")) || str_eq(action, STR("restart")) || str_eq(action, STR("update"));
	if (!network && str_eq(action, STR("kill")))
		take_kill(e, actor, id);
	struct known *k = counts ? engine_know(e, id) : NULL;
	if (k) {
		take_start(e, k, network, action);
		engine_want(e, k);
	}
	cJSON_Delete(root);
}

static void end(struct engine *e, const char *why)
{
	engine_events_close(e);
	engine_trouble(e, "the engine's event stream ended: %s", why);
}

/* false: the answer is none. */
static bool take_head(struct engine *e)
{
	struct str s = text_str(&e->line);

	for (size_t i = 0; i + 3 < s.n; i++) {
		if (memcmp(s.p + i, "\r\n\r\n", 4) != 0)
			continue;
		e->answered = true;
		e->since = loop_touch(e->cfg.loop);
		bool ok = s.n > 12 && memcmp(s.p + 9, "200", 3) == 0;
		memmove(e->line.p, e->line.p + i + 4, e->line.n - i - 4);
		e->line.n -= i + 4;
		return ok;
	}
	return s.n < ENGINE_HEAD_MAX;
}

static void take_lines(struct engine *e)
{
	size_t at = 0, from = 0;

	for (; at < e->line.n; at++) {
		if (e->line.p[at] != '\n')
			continue;
		if (at > from)
			take_event(e, str_make(e->line.p + from, at - from));
		from = at + 1;
	}
	memmove(e->line.p, e->line.p + from, e->line.n - from);
	e->line.n -= from;
}

/* What stands behind the end of a line; as long as there is none, nothing. */
static struct str skip_line(struct engine *e, struct str s)
{
	size_t at = str_find(s, '\n');

	e->skips = at == SIZE_MAX;
	return e->skips ? STR("") : str_make(s.p + at, s.n - at);
}

/* An event that is too long (it has all labels of its container) is left out: the list will tell. false: the answer is none. */
static bool take_bytes(struct engine *e, struct str s)
{
	if (e->skips)
		s = skip_line(e, s);
	text_add(&e->line, s);
	if (e->line.failed) {
		text_clear(&e->line);
		text_add(&e->line, skip_line(e, s));
	}
	if (!e->answered && !take_head(e))
		return false;
	if (e->answered)
		take_lines(e);
	return true;
}

static void on_readable(void *arg)
{
	struct engine *e = arg;
	char buf[16 * 1024];
	ssize_t n;

	while ((n = stream_read(&e->stream, buf, sizeof(buf))) > 0) {
		if (take_bytes(e, str_make(buf, (size_t)n)))
			continue;
		end(e, "let GETs of /events through");
		return;
	}
	if (e->answered)
		engine_look_up(e);
	if (n < 0)
		end(e, "it was closed");
}

static void say(struct engine *e)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "GET /v1.%u/events?%s HTTP/1.0\r\nHost: docker\r\nUser-Agent: outrider\r\n\r\n", e->api, query);
	struct iovec iov = { text, (size_t)n };

	if (stream_writev(&e->stream, &iov, 1) != n)
		end(e, "it takes no question");
}

static void on_writable(void *arg)
{
	struct engine *e = arg;
	int r = stream_connect_result(&e->stream);

	if (r > 0)
		say(e);
	else if (r < 0)
		end(e, strerror(stream_errno(&e->stream)));
}

void engine_events_open(struct engine *e)
{
	if (e->streaming)
		return;
	e->streaming = true;
	e->answered = false;
	e->good = 0; /* a list that was still under way says nothing of this stream */
	text_init(&e->line, LINE_MAX_BYTES);
	stream_init(&e->stream, e->cfg.loop, on_readable, on_writable, e);
	int r = stream_connect(&e->stream, NULL, &e->cfg.to);
	if (r < 0)
		end(e, strerror(stream_errno(&e->stream)));
	else if (r > 0)
		say(e);
}

void engine_events_close(struct engine *e)
{
	if (!e->streaming)
		return;
	stream_close(&e->stream, STREAM_CLOSE);
	text_release(&e->line);
	e->streaming = e->skips = false;
}
