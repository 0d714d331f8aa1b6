/* Metrics: families of sidecars. */
#include "control/metrics.h"

#include "base/mem.h"
#include "control/app_output.h"

/* Estimates, as /sidecars says them: docs/performance.md has the measurements. */
#define CONNECTION_BYTES 900u
#define SIDECAR_BYTES (128u * 1024)

static void put_names(struct metrics *m, struct metrics_sidecar *s, const struct telemetry_who *who)
{
	struct text *t = &m->labels;

	text_clear(t);
	labels_put(t, "service", s->spec->service);
	if (who) {
		labels_put(t, "stack", who->stack);
		labels_put(t, "slot", who->slot);
		labels_put(t, "node", who->node);
	}
	if (s->agent->log && s->agent->log->task) /* on a node: old and new task of a slot live side by side */
		labels_put(t, "task", str_of(s->agent->log->task));
	s->labels_at = m->names.n;
	s->labels_n = t->n;
	text_add(&m->names, text_str(t));
}

bool metrics_gather_sidecars(struct metrics *m)
{
	const struct agent *a = m->a;

	m->sidecars = mem_zarray(a->n_sidecars + 1, sizeof(*m->sidecars));
	if (!m->sidecars)
		return false;
	for (uint32_t i = 0; i < a->n_sidecars; i++) {
		const struct agent_sidecar *from = &a->sidecars[i];
		struct metrics_sidecar *s = &m->sidecars[m->n_sidecars];
		if (!from->spec)
			continue;
		*s = (struct metrics_sidecar){ .spec = from->spec, .agent = from->agent ? from->agent : a };
		put_names(m, s, from->who);
		agent_sum_counters(a, s->spec->slot, s->v, s->reasons);
		m->n_sidecars++;
	}
	return true;
}

static struct str labels_of(struct metrics *m, const struct metrics_sidecar *s)
{
	return metrics_labels(m, s->labels_at, s->labels_n, NULL, STR(""));
}

static struct str labels_and(struct metrics *m, const struct metrics_sidecar *s, const char *key, const char *value)
{
	return metrics_labels(m, s->labels_at, s->labels_n, key, str_of(value));
}

/* --- what workers count ---------------------------------------------------------------------------------------------------------- */

static void put_counters(struct metrics *m)
{
	for (unsigned id = 0; id < COUNTER_COUNT; id++) {
		if (id >= COUNTER_RESPONSES_1XX && id <= COUNTER_RESPONSES_5XX)
			continue; /* by class below */
		exposition_family(&m->e, (enum family_id)id);
		for (uint32_t i = 0; i < m->n_sidecars; i++)
			exposition_u64(&m->e, labels_of(m, &m->sidecars[i]), m->sidecars[i].v[id]);
	}
}

static bool has_direction(const struct spec_sidecar *s, enum direction d)
{
	if (d == DIRECTION_EDGE)
		return s->is_edge;
	return d == DIRECTION_INBOUND ? s->handler != NULL : !s->is_edge;
}

typedef void (*put_durations_fn)(struct metrics *m, const struct durations_view *v, struct str labels);

void metrics_put_classes(struct metrics *m, const struct durations_view *v)
{
	static const struct str words[DURATION_CLASSES] = { { "none", 4 }, { "1xx", 3 }, { "2xx", 3 }, { "3xx", 3 }, { "4xx", 3 }, { "5xx", 3 } };
	size_t n = m->labels.n;

	for (unsigned c = 0; c < DURATION_CLASSES; c++) {
		if (c == DURATION_1XX && !v->classes[c])
			continue; /* no final status begins so */
		m->labels.n = n;
		labels_put(&m->labels, "class", words[c]);
		exposition_u64(&m->e, text_str(&m->labels), v->classes[c]);
	}
}

static void put_classes(struct metrics *m, const struct durations_view *v, struct str labels)
{
	(void)labels; /* they are m->labels */
	metrics_put_classes(m, v);
}

static void put_histogram(struct metrics *m, const struct durations_view *v, struct str labels)
{
	if (m->a->process)
		exposition_histogram(&m->e, labels, &m->a->process->bounds, v);
}

static void put_durations(struct metrics *m, enum family_id id, put_durations_fn put)
{
	static const char *const words[DIRECTIONS] = { "inbound", "outbound", "edge" };
	struct durations_view v;

	exposition_family(&m->e, id);
	for (uint32_t i = 0; i < m->n_sidecars; i++) {
		const struct metrics_sidecar *s = &m->sidecars[i];
		for (unsigned d = 0; d < DIRECTIONS; d++) {
			if (!has_direction(s->spec, (enum direction)d))
				continue;
			agent_sum_durations(m->a, s->spec->slot, (enum direction)d, &v);
			put(m, &v, labels_and(m, s, "direction", words[d]));
		}
	}
}

static void put_errors(struct metrics *m)
{
	exposition_family(&m->e, FAMILY_ERRORS);
	for (uint32_t i = 0; i < m->n_sidecars; i++) {
		const struct metrics_sidecar *s = &m->sidecars[i];
		for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++)
			if (s->reasons[r])
				exposition_u64(&m->e, labels_and(m, s, "reason", reason_word((enum reason)r)), s->reasons[r]);
	}
}

/* --- what control knows ---------------------------------------------------------------------------------------------------------- */

static void put_state(struct metrics *m)
{
	exposition_family(&m->e, FAMILY_HANDLER_UP);
	for (uint32_t i = 0; i < m->n_sidecars; i++) {
		const struct handler *h = m->sidecars[i].agent->handler;
		enum handler_state state = h ? handler_state(h) : HANDLER_NONE;
		if (state != HANDLER_NONE)
			exposition_u64(&m->e, labels_of(m, &m->sidecars[i]), state == HANDLER_UP);
	}
	exposition_family(&m->e, FAMILY_READY);
	for (uint32_t i = 0; i < m->n_sidecars; i++)
		exposition_u64(&m->e, labels_of(m, &m->sidecars[i]), agent_is_ready(m->sidecars[i].agent));
}

static void put_config(struct metrics *m)
{
	exposition_family(&m->e, FAMILY_CONFIG_VERSION);
	for (uint32_t i = 0; i < m->n_sidecars; i++)
		exposition_u64(&m->e, labels_of(m, &m->sidecars[i]), reload_stats(m->sidecars[i].agent->reload).version);
	exposition_family(&m->e, FAMILY_CONFIG_AT);
	for (uint32_t i = 0; i < m->n_sidecars; i++)
		exposition_micro(&m->e, labels_of(m, &m->sidecars[i]), reload_stats(m->sidecars[i].agent->reload).at);
	exposition_family(&m->e, FAMILY_CONFIG_CHANGES);
	for (uint32_t i = 0; i < m->n_sidecars; i++) {
		struct reload_stats r = reload_stats(m->sidecars[i].agent->reload);
		exposition_u64(&m->e, labels_and(m, &m->sidecars[i], "result", "applied"), r.applied);
		exposition_u64(&m->e, labels_and(m, &m->sidecars[i], "result", "rejected"), r.rejected);
		exposition_u64(&m->e, labels_and(m, &m->sidecars[i], "result", "unchanged"), r.unchanged);
	}
	exposition_family(&m->e, FAMILY_CONFIG_REJECTED);
	for (uint32_t i = 0; i < m->n_sidecars; i++)
		exposition_u64(&m->e, labels_of(m, &m->sidecars[i]), reload_stats(m->sidecars[i].agent->reload).in_row);
}

static uint64_t registry_up(const struct discovery_view *v)
{
	return v->trouble[0] == '\0';
}
static uint64_t registry_services(const struct discovery_view *v)
{
	return v->services;
}
static uint64_t registry_endpoints(const struct discovery_view *v)
{
	return v->endpoints;
}
static uint64_t registry_updates(const struct discovery_view *v)
{
	return v->updates;
}

static void put_registries(struct metrics *m)
{
	static const struct {
		enum family_id id;
		uint64_t (*of)(const struct discovery_view *v);
	} rows[] = { { FAMILY_REGISTRY_UP, registry_up }, { FAMILY_REGISTRY_SERVICES, registry_services },
		{ FAMILY_REGISTRY_ENDPOINTS, registry_endpoints }, { FAMILY_REGISTRY_UPDATES, registry_updates } };

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		exposition_family(&m->e, rows[r].id);
		for (uint32_t i = 0; i < m->n_sidecars; i++) {
			const struct discovery *d = m->sidecars[i].agent->discovery;
			for (size_t k = 0; d && k < discovery_count(d); k++) {
				struct discovery_view v = discovery_view(d, k);
				exposition_u64(&m->e, labels_and(m, &m->sidecars[i], "registry", v.name), rows[r].of(&v));
			}
		}
	}
}

/* A node's own log is nobody's. */
static void put_log(struct metrics *m, enum family_id id)
{
	bool own = m->a->put_sidecars != NULL;

	exposition_family(&m->e, id);
	for (uint32_t i = 0; i < m->n_sidecars; i++) {
		const struct log *l = m->sidecars[i].agent->log;
		exposition_u64(&m->e, labels_of(m, &m->sidecars[i]), id == FAMILY_LOG_LINES ? l->lines : l->lost);
	}
	if (own)
		exposition_u64(&m->e, STR(""), id == FAMILY_LOG_LINES ? m->a->log->lines : m->a->log->lost);
}

/* Streams as a service knows them; sinks count by themselves what they drop of it. */
static void put_output(struct metrics *m)
{
	static const char *const streams[2] = { "stdout", "stderr" };
	static const enum family_id ids[] = { FAMILY_APP_LINES, FAMILY_APP_BYTES, FAMILY_APP_SPLIT, FAMILY_APP_LOST };

	for (size_t f = 0; f < sizeof(ids) / sizeof(ids[0]); f++) {
		exposition_family(&m->e, ids[f]);
		for (uint32_t i = 0; i < m->n_sidecars; i++) {
			const struct metrics_sidecar *s = &m->sidecars[i];
			const struct app_counts *c = s->agent->output;
			if (c && f >= 2)
				exposition_u64(&m->e, labels_of(m, s), f == 2 ? c->split : c->lost);
			for (int k = 0; c && f < 2 && k < 2; k++)
				exposition_u64(&m->e, labels_and(m, s, "stream", streams[k]), f == 0 ? c->lines[k] : c->bytes[k]);
		}
	}
}

static void put_cost(struct metrics *m)
{
	struct agent_process *p = m->a->process;

	if (p && p->share_cpu)
		p->share_cpu(p);
	usec all = p ? p->cpu_shared : 0;
	exposition_family(&m->e, FAMILY_SIDECAR_LOAD);
	for (uint32_t i = 0; i < m->n_sidecars; i++)
		exposition_micro(&m->e, labels_of(m, &m->sidecars[i]),
			all ? (uint64_t)(1e6 * (double)m->sidecars[i].agent->cost.cpu / (double)all) : 0);
	exposition_family(&m->e, FAMILY_SIDECAR_MEMORY);
	for (uint32_t i = 0; i < m->n_sidecars; i++)
		exposition_u64(&m->e, labels_of(m, &m->sidecars[i]),
			m->sidecars[i].v[COUNTER_CONNECTIONS_OPEN] * CONNECTION_BYTES + SIDECAR_BYTES);
}

void metrics_put_sidecars(struct metrics *m)
{
	put_counters(m);
	put_durations(m, FAMILY_RESPONSES, put_classes);
	put_errors(m);
	put_durations(m, FAMILY_DURATION, put_histogram);
	put_state(m);
	put_config(m);
	put_registries(m);
	put_log(m, FAMILY_LOG_LINES);
	put_log(m, FAMILY_LOG_LOST);
	put_output(m);
	put_cost(m);
}
