#include "control/metrics.h"

#include "base/mem.h"
#include "control/admin.h"
#include "control/logs.h"
#include "control/process_stats.h"

#include <stdio.h>

#define NAMES_MAX (8u << 20)
#define SERIES_DEFAULT 10000u

struct str metrics_labels(struct metrics *m, size_t at, size_t n, const char *key, struct str value)
{
	text_clear(&m->labels);
	if (n)
		text_add(&m->labels, str_make(m->names.p + at, n));
	if (key)
		labels_put(&m->labels, key, value);
	return text_str(&m->labels);
}

static struct str label(struct metrics *m, const char *key, const char *value)
{
	return metrics_labels(m, 0, 0, key, str_of(value));
}

/* --- of the process ------------------------------------------------------------------------------------------------------------ */

static void put_build(struct metrics *m)
{
	label(m, "version", m->a->version);
	labels_put(&m->labels, "command", str_of(m->a->command));
	exposition_family(&m->e, FAMILY_BUILD);
	exposition_u64(&m->e, text_str(&m->labels), 1);
}

static struct str thread_label(struct metrics *m, unsigned worker)
{
	char name[32];

	snprintf(name, sizeof(name), "worker-%u", worker);
	return label(m, "thread", name);
}

static void put_threads(struct metrics *m)
{
	const struct agent *a = m->a;
	usec now = clock_now();

	exposition_family(&m->e, FAMILY_LOOP_LAG);
	if (a->process)
		exposition_micro(&m->e, label(m, "thread", "control"), a->process->lag);
	for (unsigned w = 0; w < a->n_workers; w++)
		exposition_micro(&m->e, thread_label(m, w), beat_lag(&a->beats[w], now));
	exposition_family(&m->e, FAMILY_WORKER_CPU);
	for (unsigned w = 0; w < a->n_workers; w++)
		exposition_micro(&m->e, thread_label(m, w), worker_cpu(a->workers[w]));
	exposition_family(&m->e, FAMILY_WORKER_OVERLOAD);
	for (unsigned w = 0; w < a->n_workers; w++)
		exposition_u64(&m->e, thread_label(m, w), worker_overload(a->workers[w]).step);
	exposition_family(&m->e, FAMILY_WORKER_BUFFERS);
	for (unsigned w = 0; w < a->n_workers; w++)
		exposition_micro(&m->e, thread_label(m, w), worker_overload(a->workers[w]).buffers * (uint64_t)10000);
}

static void put_alone(struct metrics *m, enum family_id id, uint64_t v)
{
	exposition_family(&m->e, id);
	exposition_u64(&m->e, STR(""), v);
}

static void put_alone_micro(struct metrics *m, enum family_id id, uint64_t v)
{
	exposition_family(&m->e, id);
	exposition_micro(&m->e, STR(""), v);
}

static void put_outcome(struct metrics *m, const struct telemetry_exporter *x, const char *outcome, uint64_t v)
{
	label(m, "exporter", x->name);
	labels_put(&m->labels, "outcome", str_of(outcome));
	exposition_u64(&m->e, text_str(&m->labels), v);
}

static void put_telemetry(struct metrics *m, const struct telemetry *t)
{
	struct telemetry_counts records = telemetry_counts(t);
	struct telemetry_exporter x;

	put_alone(m, FAMILY_RECORDS, records.written);
	put_alone(m, FAMILY_RECORDS_DROPPED, records.dropped);
	exposition_family(&m->e, FAMILY_EXPORTER_UP);
	for (unsigned i = 0; telemetry_exporter(t, i, &x); i++)
		exposition_u64(&m->e, label(m, "exporter", x.name), x.trouble[0] == '\0');
	exposition_family(&m->e, FAMILY_EXPORTER_SPANS);
	for (unsigned i = 0; telemetry_exporter(t, i, &x); i++) {
		put_outcome(m, &x, "sent", x.counts.sent);
		put_outcome(m, &x, "full", x.counts.dropped_full);
		put_outcome(m, &x, "refused", x.counts.dropped_refused);
		put_outcome(m, &x, "failed", x.counts.dropped_failed);
	}
	exposition_family(&m->e, FAMILY_EXPORTER_QUEUED);
	for (unsigned i = 0; telemetry_exporter(t, i, &x); i++)
		exposition_u64(&m->e, label(m, "exporter", x.name), x.counts.queued);
}

/* Over the loops of control and of all workers. */
static uint64_t counted(const struct agent *a, enum loop_count what)
{
	uint64_t n = a->loop ? loop_counted(a->loop, what) : 0;

	for (unsigned w = 0; w < a->n_workers; w++)
		n += loop_counted(worker_loop(a->workers[w]), what);
	return n;
}

static void put_network(struct metrics *m)
{
	static const struct {
		enum family_id id;
		enum loop_count count;
		const char *outcome;
	} rows[] = { { FAMILY_DNS, LOOP_DNS_FOUND, "found" }, { FAMILY_DNS, LOOP_DNS_NONE, "none" }, { FAMILY_DNS, LOOP_DNS_FAILED, "failed" },
		{ FAMILY_TLS, LOOP_TLS_OK, "ok" }, { FAMILY_TLS, LOOP_TLS_FAILED, "failed" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (i == 0 || rows[i].id != rows[i - 1].id)
			exposition_family(&m->e, rows[i].id);
		exposition_u64(&m->e, label(m, "outcome", rows[i].outcome), counted(m->a, rows[i].count));
	}
}

static void put_sink_outcome(struct metrics *m, const struct logs_sink *s, const char *outcome, uint64_t v)
{
	label(m, "sink", s->name);
	labels_put(&m->labels, "outcome", str_of(outcome));
	exposition_u64(&m->e, text_str(&m->labels), v);
}

static void put_logs(struct metrics *m, const struct logs *h)
{
	struct logs_counts c = logs_counts(h);
	struct logs_sink s;

	exposition_family(&m->e, FAMILY_LOG_RECORDS);
	for (unsigned i = 0; i < LOG_KINDS; i++)
		exposition_u64(&m->e, label(m, "kind", log_kind_word(i)), c.records[i]);
	put_alone(m, FAMILY_LOG_REPEATED, c.repeated);
	put_alone(m, FAMILY_LOG_DROPPED, c.dropped_memory);
	exposition_family(&m->e, FAMILY_SINK_UP);
	for (unsigned i = 0; logs_sink(h, i, &s); i++)
		exposition_u64(&m->e, label(m, "sink", s.name), s.trouble[0] == '\0');
	exposition_family(&m->e, FAMILY_SINK_RECORDS);
	for (unsigned i = 0; logs_sink(h, i, &s); i++) {
		put_sink_outcome(m, &s, "sent", s.counts.sent);
		put_sink_outcome(m, &s, "full", s.counts.dropped_full);
		put_sink_outcome(m, &s, "failed", s.counts.dropped_failed);
		put_sink_outcome(m, &s, "long", s.counts.dropped_long);
	}
	exposition_family(&m->e, FAMILY_SINK_QUEUED);
	for (unsigned i = 0; logs_sink(h, i, &s); i++)
		exposition_u64(&m->e, label(m, "sink", s.name), s.counts.queued);
}

static void put_process(struct metrics *m)
{
	struct process_stats s;

	process_stats_read(&s);
	put_alone_micro(m, FAMILY_PROCESS_START, m->a->started);
	put_alone_micro(m, FAMILY_PROCESS_CPU, s.cpu);
	put_alone(m, FAMILY_PROCESS_RESIDENT, s.resident);
	put_alone(m, FAMILY_PROCESS_VIRTUAL, s.virtual);
	put_alone(m, FAMILY_PROCESS_FDS, s.fds);
	put_alone(m, FAMILY_PROCESS_MAX_FDS, s.fds_max);
	put_alone(m, FAMILY_PROCESS_THREADS, s.threads);
}

/* What becomes of the spans and log records of all, and what all look up, is no business of one container of a node. */
static void put_of_all(struct metrics *m)
{
	if (m->a->process && m->a->process->telemetry)
		put_telemetry(m, m->a->process->telemetry);
	put_network(m);
	if (m->a->logs)
		put_logs(m, m->a->logs);
}

static void put_own(struct metrics *m)
{
	struct agent_process *p = m->a->process;
	uint32_t series = m->e.series;

	m->e.always = true;
	put_build(m);
	put_threads(m);
	if (m->a->sees_swarm)
		put_of_all(m);
	put_alone(m, FAMILY_SERIES, series);
	if (p && m->a->sees_swarm) {
		p->series_dropped += m->e.dropped;
		put_alone(m, FAMILY_SERIES_DROPPED, p->series_dropped);
		put_alone_micro(m, FAMILY_SCRAPE, p->scrape);
	}
	put_process(m);
}

/* --- the page ------------------------------------------------------------------------------------------------------------------ */

bool metrics_page(const struct agent *a, struct text *t, bool openmetrics)
{
	struct metrics m = { .a = a };
	uint32_t most = a->process ? a->process->series_max : SERIES_DEFAULT;
	usec began = clock_now();

	text_init(&m.names, NAMES_MAX);
	text_init(&m.labels, 16 * 1024);
	exposition_begin(&m.e, t, openmetrics, most);
	bool gathered = metrics_gather_sidecars(&m) && metrics_gather_upstreams(&m);
	if (gathered) {
		metrics_put_sidecars(&m);
		metrics_put_upstreams(&m);
		put_own(&m);
		exposition_end(&m.e);
	}
	gathered = gathered && !m.names.failed && !m.labels.failed && !t->failed;
	mem_free(m.sidecars);
	mem_free(m.upstreams);
	text_release(&m.names);
	text_release(&m.labels);
	if (a->process && a->sees_swarm)
		a->process->scrape = clock_now() - began;
	return gathered;
}

void admin_page_metrics(struct admin *a, struct httpd_request *r)
{
	bool openmetrics = exposition_wants_openmetrics(httpd_header(r, "Accept"));
	struct text t;

	text_init(&t, HTTPD_REPLY_MAX);
	if (metrics_page(a->agent, &t, openmetrics)) {
		httpd_reply_header(r, "Cache-Control", "no-store");
		httpd_reply_header(r, "X-Content-Type-Options", "nosniff");
		httpd_reply(r, 200, openmetrics ? EXPOSITION_OPENMETRICS_TYPE : EXPOSITION_TEXT_TYPE, text_str(&t));
	} else {
		admin_refuse(r, 503, "no-memory", "The agent is short of memory.", "Raise the limit of the container.");
	}
	text_release(&t);
}
