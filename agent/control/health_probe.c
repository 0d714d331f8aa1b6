#include "control/health_probe.h"

#include "control/health.h"

#include <errno.h>
#include <stdio.h>


static void tell(struct health_probe *p, const char *why)
{
	p->done(p->arg, why);
}

/* --- tcp -------------------------------------------------------------------------------------------------------------------- */

static void end_connecting(struct health_probe *p)
{
	timer_clear(&p->timer);
	if (p->connecting)
		stream_close(&p->stream, STREAM_CLOSE);
	p->connecting = false;
}

static void on_connected(void *arg)
{
	struct health_probe *p = arg;
	int r = p->connecting ? stream_connect_result(&p->stream) : 0;
	struct err why = { "" };

	if (r == 0)
		return;
	if (r < 0)
		err_set(&why, "no connection: %s", strerror(stream_errno(&p->stream)));
	end_connecting(p);
	tell(p, why.text);
}

static void on_nothing(void *arg)
{
	(void)arg;
}

/* The end of the patience, or what was clear before run() returned. */
static void on_timer(void *arg)
{
	struct health_probe *p = arg;
	bool late = p->connecting;

	end_connecting(p);
	tell(p, late ? "no connection within check.timeout" : "no check can be made now: memory or descriptors are short");
}

static void on_at_once(void *arg)
{
	struct health_probe *p = arg;
	struct err why = { "" };

	if (stream_errno(&p->stream))
		err_set(&why, "no connection: %s", strerror(stream_errno(&p->stream)));
	end_connecting(p);
	tell(p, why.text);
}

static void connect_to(struct health_probe *p, const struct addr *to)
{
	stream_init(&p->stream, p->loop, on_nothing, on_connected, p);
	int r = stream_connect(&p->stream, p->ns, to);
	p->connecting = true;
	timer_init(&p->timer, r == 0 ? on_timer : on_at_once, p);
	timer_set(p->loop, &p->timer, loop_touch(p->loop) + (r == 0 ? p->rule->timeout : 0));
}

/* --- HTTP ------------------------------------------------------------------------------------------------------------------- */

static void on_reply(void *arg, const struct fetch_reply *reply)
{
	struct health_probe *p = arg;
	const struct health_rule *rule = p->rule;
	struct err why = { "" };

	p->fetch = NULL;
	if (reply->status == 0)
		err_set(&why, "GET %.100s: %s", rule->path, reply->why);
	else if (!status_in(&rule->passes, (unsigned)reply->status))
		err_set(&why, "GET %.100s answered %d", rule->path, reply->status);
	else if (rule->body[0] != '\0' && (!reply->body.n || !memmem(reply->body.p, reply->body.n, rule->body, strlen(rule->body))))
		err_set(&why, "GET %.100s answered %d without the text of check.body", rule->path, reply->status);
	tell(p, why.text);
}

static void ask(struct health_probe *p, struct fetcher *fetcher, const struct addr *to)
{
	char url[HEALTH_PATH_MAX + ADDR_TEXT_MAX + 16], host[HEALTH_TEXT_MAX + 8], text[ADDR_TEXT_MAX];
	const char *headers[] = { host, "User-Agent: outrider-check", "Accept: */*", NULL };
	struct err err;

	addr_text(to, text);
	snprintf(url, sizeof(url), "http://%s%s", text, p->rule->path);
	snprintf(host, sizeof(host), "Host: %s", p->rule->host);
	struct fetch_request q = { .url = url, .headers = headers, .body_max = HEALTH_BODY_MAX, .total = p->rule->timeout,
				   .idle = p->rule->timeout };
	p->fetch = fetcher ? fetch_start(fetcher, &q, on_reply, p, &err) : NULL;
	if (p->fetch)
		return;
	timer_init(&p->timer, on_timer, p);
	timer_set(p->loop, &p->timer, loop_touch(p->loop));
}

/* --- life -------------------------------------------------------------------------------------------------------------------- */

void health_probe_init(struct health_probe *p, struct loop *loop, struct netspace *ns, void (*done)(void *arg, const char *why),
		       void *arg)
{
	*p = (struct health_probe){ .loop = loop, .ns = ns, .done = done, .arg = arg };
	timer_init(&p->timer, on_timer, p);
}

void health_probe_run(struct health_probe *p, struct fetcher *fetcher, const struct addr *to, const struct health_rule *rule)
{
	struct addr at = *to;

	if (rule->port)
		addr_set_port(&at, rule->port);
	p->rule = rule;
	if (rule->http)
		ask(p, fetcher, &at);
	else
		connect_to(p, &at);
}

void health_probe_end(struct health_probe *p)
{
	end_connecting(p);
	if (p->fetch)
		fetch_cancel(p->fetch);
	p->fetch = NULL;
}
