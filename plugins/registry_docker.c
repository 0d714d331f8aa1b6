/* `docker:[unix:/PATH]`: what a swarm manager knows, read over its engine's socket. It takes no registrations: swarm knows all.
 *
 *     poll (5 s) ──> /services ──> /tasks ──> put together aside (docker_tasks.h) ──> what changed of what is watched
 *     service or node event ──> at once, and then QUICK often for a while: tasks follow their service, and tell no events
 *
 * Names of nodes are read now and then. The engine's own API version is asked for first: a fixed one breaks with old and new
 * engines. Nothing is asked while nobody watches. Reads only: GET of /_ping, /services, /tasks, /nodes, /events, so that a
 * filtering proxy before the socket may refuse the rest. Thread: the loop's. */
#include "base/mem.h"
#include "base/rng.h"
#include "docker_events.h"
#include "docker_tasks.h"
#include "net/fetch.h"
#include "net/task.h"
#include "watched_sets.h"

#include <stdio.h>

#define POLL (5 * USEC_SEC)
#define QUICK (500 * USEC_MS)
#define QUICK_FOR (10 * USEC_SEC) /* after an event */
#define NODES_EVERY (60 * USEC_SEC)
#define TIMEOUT (10 * USEC_SEC)
#define SOCKET "/var/run/docker.sock"
#define VERSION_KNOWN 47u /* 1.47: the newest that this was written for */
#define NETWORKS_MAX 64u

enum step { PING, NODES, SERVICES, TASKS };

struct body {
	char *p; /* owned */
	size_t n;
};

struct reading { /* the lists, put together on a thread */
	struct task task;
	struct registry *of;
	struct body services, tasks, nodes;
	struct cidr networks[NETWORKS_MAX];
	size_t n_networks;
	struct file_endpoints found;
	struct err err;
	bool good;
};

struct registry {
	struct loop *loop;
	struct registry_events events;
	void *arg;
	char path[108];
	usec poll;
	struct rng rng;
	struct fetcher *fetcher;
	struct docker_events heard;
	struct timer timer, deliver;
	struct watched_sets sets;
	struct fetch *fetch;
	enum step step;
	unsigned version; /* of the API, behind "1."; 0: not asked yet */
	struct body services, nodes;
	usec nodes_at, quick_until;
	struct reading *reading;
	struct file_endpoints now;
	bool known, again, hearing;
	struct err trouble;
};

static void ask(struct registry *r, enum step step);

static void tell(struct registry *r, const char *why)
{
	if (strcmp(r->trouble.text, why) == 0)
		return;
	err_set(&r->trouble, "%s", why);
	r->events.on_trouble(r->arg, r->trouble.text);
}

static void plan(struct registry *r)
{
	usec now = loop_touch(r->loop), pause = now < r->quick_until && r->poll > QUICK ? QUICK : r->poll;

	timer_set(r->loop, &r->timer,
		  r->again ? now : now + pause - pause / 10 + rng_below(&r->rng, (uint32_t)(pause / 5) + 1));
	r->again = false;
}

static void body_release(struct body *b)
{
	mem_free(b->p);
	*b = (struct body){ NULL, 0 };
}

static bool body_take(struct body *b, struct str s)
{
	char *p = mem_dup(s.p ? s.p : "", s.n);

	if (!p)
		return false;
	body_release(b);
	*b = (struct body){ p, s.n };
	return true;
}

/* --- put together, aside ------------------------------------------------------------------------------------------------------- */

static void drop(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);

	body_release(&x->services);
	body_release(&x->tasks);
	body_release(&x->nodes);
	file_endpoints_release(&x->found);
	mem_free(x);
}

static void run(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);
	struct docker_lists lists = { .services = str_make(x->services.p, x->services.n), .tasks = str_make(x->tasks.p, x->tasks.n),
				      .nodes = str_make(x->nodes.p, x->nodes.n), .networks = x->networks, .n_networks = x->n_networks };

	x->good = docker_read(&x->found, &lists, &x->err);
}

static void deliver_all(void *arg)
{
	struct registry *r = arg;

	if (r->known && !watched_sets_tell(&r->sets, &r->now))
		tell(r, "no memory for the instances");
}

static void done(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);
	struct registry *r = x->of;

	r->reading = NULL;
	if (x->good) {
		file_endpoints_release(&r->now);
		r->now = x->found;
		file_endpoints_init(&x->found);
		r->known = true;
		tell(r, "");
		deliver_all(r);
	} else
		tell(r, x->err.text);
	drop(t);
	plan(r);
}

/* /24 around each own IPv4 address: overlays and bridges are that large by default, and a guess is all that is needed. */
static void find_networks(struct reading *x)
{
	struct addr own[NETWORKS_MAX];
	size_t n = addr_own(own, NETWORKS_MAX);

	for (size_t i = 0; i < n; i++) {
		char ip[ADDR_TEXT_MAX], block[ADDR_TEXT_MAX + 8];
		struct err err;
		if (own[i].sa.sa_family != AF_INET || addr_is_loopback(&own[i]))
			continue;
		addr_ip_text(&own[i], ip);
		char *dot = strrchr(ip, '.');
		if (dot)
			*dot = '\0';
		snprintf(block, sizeof(block), "%s.0/24", ip);
		if (cidr_parse(str_of(block), &x->networks[x->n_networks], &err))
			x->n_networks++;
	}
}

static void put_together(struct registry *r, struct str tasks)
{
	struct reading *x = mem_zalloc(sizeof(*x));

	if (x) {
		x->task = (struct task){ .run = run, .done = done, .drop = drop };
		x->of = r;
		file_endpoints_init(&x->found);
		find_networks(x);
		if (body_take(&x->tasks, tasks) && body_take(&x->nodes, str_make(r->nodes.p, r->nodes.n)) &&
		    body_take(&x->services, str_make(r->services.p, r->services.n)) && task_start(r->loop, &x->task)) {
			r->reading = x;
			return;
		}
		drop(&x->task);
	}
	tell(r, "no memory for the lists of the swarm");
	plan(r);
}

/* --- answers ------------------------------------------------------------------------------------------------------------------- */

static void take_version(struct registry *r, const struct fetch_reply *reply)
{
	struct str s = fetch_header(reply, "api-version");
	uint64_t minor = 0;

	if (str_starts(s, STR("1.")))
		(void)str_u64(str_make(s.p + 2, s.n - 2), &minor);
	r->version = minor == 0 || minor > VERSION_KNOWN ? VERSION_KNOWN : (unsigned)minor;
}

static void failed(struct registry *r, const struct fetch_reply *reply)
{
	struct err why;

	if (reply->status == 503)
		err_set(&why, "%s: this node is no swarm manager: run what needs the registry docker on managers "
			      "(placement: node.role == manager)", r->path);
	else if (reply->status == 0 && strstr(reply->why, "ermission"))
		err_set(&why, "%s; the agent's user needs the group of the socket, or a filtering proxy of its own", reply->why);
	else if (reply->status == 0)
		err_set(&why, "%s; is the engine's socket mounted?", reply->why);
	else
		err_set(&why, "%s answers %d: %.*s", r->path, reply->status, (int)(reply->body.n < 200 ? reply->body.n : 200),
			reply->body.p ? reply->body.p : "");
	tell(r, why.text);
	r->version = 0; /* another engine may stand there next time */
	plan(r);
}

static void on_reply(void *arg, const struct fetch_reply *reply)
{
	struct registry *r = arg;
	usec now = loop_touch(r->loop);

	r->fetch = NULL;
	if (reply->status == 403 && r->step == NODES) {
		r->nodes_at = now; /* a filtering proxy: nodes go by their ids */
		ask(r, SERVICES);
		return;
	}
	if (reply->status != 200) {
		failed(r, reply);
		return;
	}
	switch (r->step) {
	case PING:
		take_version(r, reply);
		ask(r, !r->nodes_at || now >= r->nodes_at + NODES_EVERY ? NODES : SERVICES);
		return;
	case NODES:
		r->nodes_at = now;
		(void)body_take(&r->nodes, reply->body);
		ask(r, SERVICES);
		return;
	case SERVICES:
		if (body_take(&r->services, reply->body))
			ask(r, TASKS);
		else
			put_together(r, STR("")); /* says what is wrong */
		return;
	case TASKS:
		put_together(r, reply->body);
		return;
	}
}

static void ask(struct registry *r, enum step step)
{
	static const char *const paths[] = {
		[NODES] = "/nodes", [SERVICES] = "/services",
		[TASKS] = "/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%7D",
	};
	char url[160];
	struct err err;

	r->step = step;
	if (step == PING)
		snprintf(url, sizeof(url), "http://docker/_ping");
	else
		snprintf(url, sizeof(url), "http://docker/v1.%u%s", r->version, paths[step]);
	struct fetch_request q = { .url = url, .unix_path = r->path, .body_max = DOCKER_BODY_MAX, .total = TIMEOUT, .idle = TIMEOUT };
	r->fetch = fetch_start(r->fetcher, &q, on_reply, r, &err);
	if (r->fetch)
		return;
	tell(r, err.text);
	plan(r);
}

static void on_timer(void *arg)
{
	struct registry *r = arg;

	if (r->sets.table.n == 0) {
		plan(r); /* nobody wants to know */
		return;
	}
	if (!r->hearing)
		docker_events_open(&r->heard);
	r->hearing = true;
	if (r->fetch || r->reading)
		r->again = true;
	else
		ask(r, r->version && loop_now(r->loop) < r->nodes_at + NODES_EVERY ? SERVICES : PING);
}

static void soon(struct registry *r)
{
	if (r->fetch || r->reading)
		r->again = true;
	else
		timer_set(r->loop, &r->timer, loop_touch(r->loop));
}

static void on_event(void *arg)
{
	struct registry *r = arg;

	r->quick_until = loop_touch(r->loop) + QUICK_FOR;
	soon(r);
}

/* --- ops ----------------------------------------------------------------------------------------------------------------------- */

static bool docker_watch(struct registry *r, struct str service)
{
	if (!watched_sets_add(&r->sets, service))
		return false;
	if (r->known)
		timer_set(r->loop, &r->deliver, loop_touch(r->loop)); /* not inside watch() */
	else
		soon(r);
	return true;
}

static void docker_unwatch(struct registry *r, struct str service)
{
	watched_sets_remove(&r->sets, service);
}

static void docker_close(struct registry *r)
{
	if (!r)
		return;
	if (r->fetch)
		fetch_cancel(r->fetch);
	if (r->reading)
		task_leave(&r->reading->task, 0);
	docker_events_release(&r->heard);
	timer_clear(&r->timer);
	timer_clear(&r->deliver);
	fetcher_free(r->fetcher);
	watched_sets_release(&r->sets);
	file_endpoints_release(&r->now);
	body_release(&r->services);
	body_release(&r->nodes);
	mem_free(r);
}

static bool read_path(struct registry *r, struct str address, struct addr *ret, struct err *err)
{
	char text[sizeof(r->path) + 8];
	struct str path = str_trim(address);

	if (path.n == 0)
		path = STR(SOCKET);
	if (str_starts(path, STR("unix:")))
		path = str_make(path.p + 5, path.n - 5);
	if (str_starts(path, STR("//")))
		path = str_make(path.p + 2, path.n - 2);
	if (path.n == 0 || path.p[0] != '/' || !str_copy(path, r->path, sizeof(r->path)))
		return err_set(err, "expected docker: or docker:unix:/PATH, the socket of an engine, such as docker:unix:" SOCKET);
	snprintf(text, sizeof(text), "unix:%s", r->path);
	return addr_parse(str_of(text), ret, err);
}

static struct registry *docker_open(const struct registry_config *c, const struct registry_events *events, void *arg, struct err *err)
{
	struct registry *r = mem_zalloc(sizeof(*r));
	struct addr to = { .len = 0 };

	if (!r) {
		err_set(err, "no memory");
		return NULL;
	}
	r->loop = c->loop;
	r->events = *events;
	r->arg = arg;
	r->poll = c->poll ? c->poll : POLL;
	rng_seed_os(&r->rng);
	timer_init(&r->timer, on_timer, r);
	timer_init(&r->deliver, deliver_all, r);
	watched_sets_init(&r->sets, events, arg, rng_next(&r->rng));
	file_endpoints_init(&r->now);
	bool good = read_path(r, c->address, &to, err);
	docker_events_init(&r->heard, c->loop, &to, on_event, r);
	r->fetcher = good ? fetcher_new(c->loop, c->resolver, NULL, err) : NULL; /* a path is the same in all namespaces */
	if (!r->fetcher) {
		docker_close(r);
		return NULL;
	}
	timer_set(r->loop, &r->timer, loop_touch(r->loop));
	return r;
}

extern const struct registry_ops registry_docker;
const struct registry_ops registry_docker = {
	.name = "docker",
	.help = "docker:[unix:/PATH]: services and tasks of a swarm manager, over its engine's socket",
	.open = docker_open,
	.watch = docker_watch,
	.unwatch = docker_unwatch,
	.refresh = soon,
	.close = docker_close,
	.names = true,
};
