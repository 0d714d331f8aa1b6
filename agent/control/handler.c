#include "control/handler.h"

#include "base/mem.h"
#include "control/option_value.h"
#include "net/fetch.h"
#include "net/listening.h"
#include "net/stream.h"
#include "net/timer.h"

#include <errno.h>
#include <stdio.h>

#define PATH_BYTES 1100
#define OTHERS_NAMED 4u
#define TOGETHER (250 * USEC_MS) /* checks of a node's sidecars fall together */

enum check { CHECK_OFF, CHECK_LISTEN, CHECK_TCP, CHECK_PATH };

struct handler {
	struct handler_config cfg;
	struct timer timer;
	enum check check;
	char path[PATH_BYTES];
	usec interval;
	struct addr addr; /* len 0: port at 127.0.0.1 */
	uint16_t port;
	uint16_t agent_ports[16]; /* never named as where the handler may be */
	size_t n_agent_ports;

	enum handler_state state;
	unsigned fails; /* in a row */
	bool gone;      /* handler_is_gone() said so, and it did not come back since */
	usec since;
	struct err why;

	struct stream stream; /* tcp: connecting */
	bool connecting;
	struct fetcher *fetcher; /* made when a path is first asked for */
	struct resolver *resolver;
	struct fetch *fetch;
};

const char *handler_word(enum handler_state s)
{
	static const char *const words[] = { "none", "starting", "up", "down" };
	return (unsigned)s < sizeof(words) / sizeof(words[0]) ? words[s] : "?";
}

/* --- results ------------------------------------------------------------------------------------------------------- */

static void set_state(struct handler *h, enum handler_state s)
{
	if (s == h->state)
		return;
	h->state = s;
	h->since = clock_wall();
	h->cfg.changed(h->cfg.arg);
}

static void again(struct handler *h)
{
	usec pause = h->state == HANDLER_STARTING && h->interval > HANDLER_SOON ? HANDLER_SOON : h->interval;
	usec when = loop_touch(h->cfg.loop) + pause;
	timer_set(h->cfg.loop, &h->timer, pause > 4 * TOGETHER ? timer_shared(when, TOGETHER) : when);
}

static void passed(struct handler *h)
{
	h->fails = 0;
	h->gone = false;
	err_set(&h->why, "%s", "");
	set_state(h, HANDLER_UP);
	again(h);
}

/* h->why is set. */
static void failed(struct handler *h)
{
	h->fails++;
	if (h->state == HANDLER_UP && h->fails >= HANDLER_FALL)
		set_state(h, HANDLER_DOWN);
	again(h);
}

/* --- listen ---------------------------------------------------------------------------------------------------------- */

static bool is_agent_port(const struct handler *h, uint16_t port)
{
	for (size_t i = 0; i < h->n_agent_ports; i++)
		if (h->agent_ports[i] == port)
			return true;
	return false;
}

/* "nothing listens on 8080, but 3000 does" */
static void name_others(struct handler *h, const struct listening *l)
{
	struct text t;
	unsigned n = 0;
	uint16_t last = 0;

	text_init(&t, 128);
	for (size_t i = 0; i < l->n && n < OTHERS_NAMED; i++) {
		uint16_t port = addr_port(&l->at[i]);
		if (is_agent_port(h, port) || port == last || port >= 32768)
			continue;
		text_fmt(&t, "%s%u", n ? ", " : "", port);
		last = port;
		n++;
	}
	if (n)
		err_set(&h->why, "nothing listens on %u, but %s do%s; is outrider.port right?", h->port, text_z(&t),
			n == 1 ? "es" : "");
	else
		err_set(&h->why, "nothing listens on %u", h->port);
	text_release(&t);
}

/* On its port, at any address but those that are not the machine's own: which one, requests find out. */
static bool is_listened(const struct handler *h, const struct listening *l)
{
	if (h->addr.len)
		return listening_has(l, &h->addr);
	for (size_t i = 0; i < l->n; i++)
		if (addr_port(&l->at[i]) == h->port)
			return true;
	return false;
}

static struct addr target(const struct handler *h)
{
	struct addr a = h->addr;
	if (!a.len && !addr_parse_ip(STR("127.0.0.1"), h->port, &a))
		a.len = 0;
	return a;
}

static void check_listen(struct handler *h)
{
	struct addr likely = target(h);

	if (listening_at(h->cfg.ns, &likely)) {
		passed(h);
		return;
	}
	struct listening *l = mem_alloc(sizeof(*l));
	bool asked = l && listening_ask(h->cfg.ns, l);

	if (!asked) { /* nobody knows: requests will tell */
		mem_free(l);
		passed(h);
		return;
	}
	bool up = is_listened(h, l);
	if (!up)
		name_others(h, l);
	mem_free(l);
	if (up)
		passed(h);
	else
		failed(h);
}

bool handler_is_gone(struct handler *h)
{
	struct addr likely = target(h);
	struct listening *l;
	bool gone = false;

	if (h->state != HANDLER_UP || h->gone || h->check == CHECK_OFF || (!h->port && h->addr.sa.sa_family != AF_UNIX))
		return false;
	if (h->addr.sa.sa_family == AF_UNIX) {
		gone = !listening_unix(&h->addr);
	} else if (!listening_at(h->cfg.ns, &likely) && (l = mem_alloc(sizeof(*l)))) {
		gone = listening_ask(h->cfg.ns, l) && !is_listened(h, l);
		mem_free(l);
	}
	h->gone = gone;
	if (gone && !h->connecting && !h->fetch)
		timer_set(h->cfg.loop, &h->timer, 0);
	return gone;
}

static void check_unix(struct handler *h)
{
	char text[ADDR_TEXT_MAX];
	if (listening_unix(&h->addr)) {
		passed(h);
		return;
	}
	addr_text(&h->addr, text);
	err_set(&h->why, "nothing listens on %s", text);
	failed(h);
}

/* --- tcp -------------------------------------------------------------------------------------------------------------- */

static void end_connecting(struct handler *h)
{
	if (h->connecting)
		stream_close(&h->stream, STREAM_CLOSE);
	h->connecting = false;
}

static void on_connected(void *arg)
{
	struct handler *h = arg;
	int r = h->connecting ? stream_connect_result(&h->stream) : 0;

	if (r == 0)
		return;
	int error = r < 0 ? stream_errno(&h->stream) : 0;
	end_connecting(h);
	timer_clear(&h->timer);
	if (r > 0) {
		passed(h);
		return;
	}
	err_set(&h->why, "a connection to the handler fails: %s", strerror(error));
	failed(h);
}

static void on_nothing(void *arg)
{
	(void)arg;
}

static void check_tcp(struct handler *h)
{
	struct addr to = target(h);

	stream_init(&h->stream, h->cfg.loop, on_nothing, on_connected, h);
	int r = stream_connect(&h->stream, h->cfg.ns, &to);
	if (r < 0)
		err_set(&h->why, "a connection to the handler fails: %s", strerror(stream_errno(&h->stream)));
	if (r != 0) {
		stream_close(&h->stream, STREAM_CLOSE);
		if (r > 0)
			passed(h);
		else
			failed(h);
		return;
	}
	h->connecting = true;
	timer_set(h->cfg.loop, &h->timer, loop_touch(h->cfg.loop) + HANDLER_TIMEOUT);
}

/* --- path -------------------------------------------------------------------------------------------------------------- */

static void on_reply(void *arg, const struct fetch_reply *reply)
{
	struct handler *h = arg;

	h->fetch = NULL;
	timer_clear(&h->timer);
	if (reply->status >= 200 && reply->status < 400) {
		passed(h);
		return;
	}
	if (reply->status)
		err_set(&h->why, "GET %.200s answered %d", h->path, reply->status);
	else
		err_set(&h->why, "GET %.200s: %s", h->path, reply->why);
	failed(h);
}

static bool make_fetcher(struct handler *h, struct err *err)
{
	if (!h->resolver)
		h->resolver = resolver_new(h->cfg.loop, h->cfg.ns, err);
	if (h->resolver && !h->fetcher)
		h->fetcher = fetcher_new(h->cfg.loop, h->resolver, h->cfg.ns, err);
	return h->fetcher != NULL;
}

static void check_path(struct handler *h)
{
	struct addr to = target(h);
	char url[PATH_BYTES + ADDR_TEXT_MAX + 16], text[ADDR_TEXT_MAX];
	struct fetch_request q = { .url = url, .body_max = 1u << 20, .total = HANDLER_TIMEOUT, .idle = HANDLER_TIMEOUT };

	addr_text(&to, text);
	snprintf(url, sizeof(url), "http://%s%s", text, h->path);
	if (make_fetcher(h, &h->why))
		h->fetch = fetch_start(h->fetcher, &q, on_reply, h, &h->why);
	if (!h->fetch)
		failed(h);
}

/* --- life --------------------------------------------------------------------------------------------------------------- */

static void on_timer(void *arg)
{
	struct handler *h = arg;

	if (h->connecting) {
		end_connecting(h);
		err_set(&h->why, "a connection to the handler is not made within 2s");
		failed(h);
	} else if (h->fetch) {
		return; /* its own time limit tells */
	} else if (h->check == CHECK_LISTEN && h->addr.len && h->addr.sa.sa_family == AF_UNIX) {
		check_unix(h);
	} else if (h->check == CHECK_LISTEN) {
		check_listen(h);
	} else if (h->check == CHECK_PATH && h->addr.sa.sa_family != AF_UNIX) {
		check_path(h);
	} else {
		check_tcp(h);
	}
}

static void stop(struct handler *h)
{
	timer_clear(&h->timer);
	end_connecting(h);
	if (h->fetch)
		fetch_cancel(h->fetch);
	h->fetch = NULL;
}

static void take_ports(struct handler *h, const struct options *o)
{
	static const enum option_id lists[] = { OPT_INBOUND, OPT_OUTBOUND, OPT_ADMIN };
	h->n_agent_ports = 0;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct str list = options_text(o, lists[i]), item;
		struct addr a;
		while (option_item_next(&list, &item) && h->n_agent_ports < sizeof(h->agent_ports) / sizeof(h->agent_ports[0]))
			if (option_address(item, &a, NULL))
				h->agent_ports[h->n_agent_ports++] = addr_port(&a);
	}
}

static enum check check_of(struct handler *h, struct str text)
{
	if (str_ieq(text, STR("off")))
		return CHECK_OFF;
	if (str_ieq(text, STR("tcp")))
		return CHECK_TCP;
	if (text.n && text.p[0] == '/' && str_copy(text, h->path, sizeof(h->path)))
		return CHECK_PATH;
	return CHECK_LISTEN;
}

void handler_options(struct handler *h, const struct options *o)
{
	struct str port = options_text(o, OPT_PORT);

	stop(h);
	h->interval = options_duration(o, OPT_HANDLER_CHECK_INTERVAL);
	h->check = check_of(h, options_text(o, OPT_HANDLER_CHECK));
	h->addr = (struct addr){ .len = 0 };
	h->port = 0;
	take_ports(h, o);
	if (port.n == 0 || !option_handler(port, &h->port, &h->addr, NULL)) {
		set_state(h, HANDLER_NONE);
		return;
	}
	if (h->addr.len)
		h->port = addr_port(&h->addr);
	if (h->check == CHECK_OFF) {
		set_state(h, HANDLER_UP);
		return;
	}
	if (h->state == HANDLER_NONE)
		set_state(h, HANDLER_STARTING);
	timer_set(h->cfg.loop, &h->timer, loop_touch(h->cfg.loop));
}

struct handler *handler_new(const struct handler_config *config, struct err *err)
{
	struct handler *h = mem_zalloc(sizeof(*h));

	if (!h) {
		err_set(err, "out of memory");
		return NULL;
	}
	h->cfg = *config;
	timer_init(&h->timer, on_timer, h);
	return h;
}

void handler_free(struct handler *h)
{
	if (!h)
		return;
	stop(h);
	fetcher_free(h->fetcher);
	if (h->resolver)
		resolver_free(h->resolver);
	mem_free(h);
}

enum handler_state handler_state(const struct handler *h)
{
	return h->state;
}

const char *handler_why(const struct handler *h)
{
	return h->state == HANDLER_UP || h->state == HANDLER_NONE ? "" : h->why.text;
}

usec handler_since(const struct handler *h)
{
	return h->since;
}
