#include "control/doctor.h"

#include "control/logs.h"

#include <stdio.h>
#include <sys/utsname.h>

struct doctor {
	struct json *j;
	unsigned counts[DOCTOR_LEVELS];
};

const char *doctor_word(enum doctor_level l)
{
	static const char *const words[DOCTOR_LEVELS] = { "ok", "warn", "fail" };
	return l < DOCTOR_LEVELS ? words[l] : "?";
}

static void put(struct json *j, const char *key, const char *z)
{
	if (!z || !z[0])
		return;
	json_key(j, key);
	json_strz(j, z);
}

void doctor_say(struct doctor *d, const struct doctor_line *line)
{
	d->counts[line->level]++;
	json_object(d->j);
	put(d->j, "state", doctor_word(line->level));
	put(d->j, "check", line->check);
	put(d->j, "of", line->of && line->of[0] ? line->of : "agent");
	put(d->j, "says", line->says);
	put(d->j, "remedy", line->level == DOCTOR_OK ? "" : line->remedy);
	put(d->j, "docs", line->level == DOCTOR_OK ? "" : line->docs);
	json_end(d->j);
}

/* --- what every agent knows ------------------------------------------------------------------------------------------- */

static void say_kernel(struct doctor *d)
{
	struct utsname u;
	char text[sizeof(u.sysname) + sizeof(u.release) + sizeof(u.machine) + 4];

	if (uname(&u) != 0)
		return;
	snprintf(text, sizeof(text), "%s %s %s", u.sysname, u.release, u.machine);
	doctor_say(d, &(struct doctor_line){ DOCTOR_OK, "kernel", "", text, "", "" });
}

static void say_workers(struct doctor *d, const struct agent *a)
{
	char text[96];
	usec now = loop_now(a->loop);
	unsigned stuck = 0;

	for (unsigned w = 0; w < a->n_workers; w++)
		stuck += !beat_alive(&a->beats[w], now);
	snprintf(text, sizeof(text), stuck ? "%u of %u workers' loops have not turned for two seconds" : "%u of %u workers stuck", stuck,
		a->n_workers);
	doctor_say(d, &(struct doctor_line){ stuck ? DOCTOR_FAIL : DOCTOR_OK, "workers", "", text,
		"the machine may be out of CPU; if not, keep a core dump of the proxy for a bug report", "operations.md#what-happens-when" });
}

static void say_handler(struct doctor *d, const struct agent *a, const char *of)
{
	enum handler_state s = a->handler ? handler_state(a->handler) : HANDLER_NONE;
	const char *why = a->handler ? handler_why(a->handler) : "";

	if (s == HANDLER_NONE)
		doctor_say(d, &(struct doctor_line){ DOCTOR_OK, "handler", of, "none: this sidecar carries calls of its service only", "", "" });
	else if (s == HANDLER_UP)
		doctor_say(d, &(struct doctor_line){ DOCTOR_OK, "handler", of, "takes requests", "", "" });
	else
		doctor_say(d, &(struct doctor_line){ s == HANDLER_DOWN ? DOCTOR_FAIL : DOCTOR_WARN, "handler", of,
			why[0] ? why : "takes no requests yet",
			"OUTRIDER_PORT is the port where the service itself listens; look at the service's own log",
			"health.md" });
}

static void say_peer(struct doctor *d, const char *check, const char *of, const char *name, const char *trouble, const char *remedy,
	const char *docs)
{
	char text[400];

	snprintf(text, sizeof(text), "%.120s: %.240s", name, trouble[0] ? trouble : "answers");
	doctor_say(d, &(struct doctor_line){ trouble[0] ? DOCTOR_WARN : DOCTOR_OK, check, of, text, remedy, docs });
}

static void say_registries(struct doctor *d, const struct agent *a, const char *of)
{
	for (size_t i = 0; a->discovery && i < discovery_count(a->discovery); i++) {
		struct discovery_view v = discovery_view(a->discovery, i);
		say_peer(d, "registry", of, v.name, v.trouble, "what it said last stays in force; is it up, and on a network that this service is on?",
			"discovery.md");
	}
}

static void say_sources(struct doctor *d, const struct agent *a, const char *of)
{
	struct source_view v;

	for (size_t i = 0; a->reload && reload_source(a->reload, i, &v); i++) {
		say_peer(d, "source", of, v.name, v.trouble[0] || v.said || v.ops->trigger ? v.trouble : "has not answered yet",
			"the last values stay in force; is it up, and does its log name this agent?", "config.md");
	}
}

static void say_exporters(struct doctor *d, const struct agent *a)
{
	struct telemetry_exporter x;

	for (unsigned i = 0; a->process && a->process->telemetry && telemetry_exporter(a->process->telemetry, i, &x); i++)
		say_peer(d, "exporter", "", x.name, x.trouble, "spans are dropped and counted meanwhile; requests are not delayed", "tracing.md");
}

static void say_sinks(struct doctor *d, const struct agent *a)
{
	struct logs_sink s;

	for (unsigned i = 0; a->logs && logs_sink(a->logs, i, &s); i++) {
		uint64_t dropped = s.counts.dropped_full + s.counts.dropped_failed + s.counts.dropped_long;
		char text[400];

		snprintf(text, sizeof(text), "%.120s: %.160s; %llu sent, %llu wait, %llu dropped", s.name, s.trouble[0] ? s.trouble : "well",
			(unsigned long long)s.counts.sent, (unsigned long long)s.counts.queued, (unsigned long long)dropped);
		doctor_say(d, &(struct doctor_line){ s.trouble[0] ? DOCTOR_WARN : DOCTOR_OK, "log", "", text,
			"is it up, and on a network that the agent is on? GET /log tells what was dropped and why", "logging.md" });
	}
}

void doctor_sidecar(struct doctor *d, const struct agent *a, const char *of, const char *problems, const char *wiring)
{
	say_handler(d, a, of);
	if (problems && problems[0])
		doctor_say(d, &(struct doctor_line){ DOCTOR_FAIL, "options", of, problems,
			"the sidecar runs on defaults for these; `outrider check STACK.yml` judges a stack file before it is deployed", "check.md" });
	if (wiring)
		doctor_say(d, &(struct doctor_line){ strncmp(wiring, "not wired", 9) == 0 ? DOCTOR_WARN : DOCTOR_OK, "wiring", of, wiring,
			"a service that calls others needs OUTRIDER_UPSTREAMS and extra_hosts, or http_proxy", "wiring.md" });
	say_registries(d, a, of);
	say_sources(d, a, of);
}

/* --- the page ------------------------------------------------------------------------------------------------------------ */

void admin_page_doctor(struct admin *a, struct httpd_request *r)
{
	const struct agent *g = a->agent;
	struct text t;

	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	struct doctor d = { .j = &j };
	json_object(&j);
	json_key(&j, "lines");
	json_array(&j);
	say_kernel(&d);
	say_workers(&d, g);
	if (g->sees_swarm) { /* where an agent's spans and records go is no service's business */
		say_exporters(&d, g);
		say_sinks(&d, g);
	}
	if (g->examine)
		g->examine(g->put_arg, &d);
	else
		doctor_sidecar(&d, g, "", NULL, NULL);
	json_end(&j);
	for (unsigned l = 0; l < DOCTOR_LEVELS; l++) {
		json_key(&j, doctor_word((enum doctor_level)l));
		json_u64(&j, d.counts[l]);
	}
	json_end(&j);
	admin_reply(r, 200, &t);
}
