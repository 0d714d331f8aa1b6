/* `outrider top --once --json`. Names are as the agent said them: JSON escapes what a terminal would obey. */
#include "base/json.h"
#include "control/top.h"

#include <math.h>

#define NUMBERS_MAX 12u

static const struct {
	const char *name, *other, *node, *state, *note, *key; /* NULL: not in this view */
	struct {
		const char *key;
		enum top_number number;
	} numbers[NUMBERS_MAX];
} forms[TOP_VIEWS] = {
	[TOP_SERVICES] = { "service", "slot", "node", "state", "wired", "name",
		{ { "rate", TOP_RATE }, { "errors", TOP_ERRORS }, { "p50_ms", TOP_P50 },
			{ "p95_ms", TOP_P95 }, { "p99_ms", TOP_P99 }, { "active", TOP_ACTIVE },
			{ "out_rate", TOP_OUT_RATE }, { "out_errors", TOP_OUT_ERRORS },
			{ "retries", TOP_RETRIES }, { "circuits_open", TOP_OPEN }, { "healthy", TOP_HEALTHY },
			{ "endpoints", TOP_ENDPOINTS } } },
	[TOP_UPSTREAMS] = { "from", "to", "node", "circuit", NULL, "instance",
		{ { "rate", TOP_RATE }, { "errors", TOP_ERRORS }, { "p50_ms", TOP_P50 },
			{ "p95_ms", TOP_P95 }, { "p99_ms", TOP_P99 }, { "active", TOP_ACTIVE },
			{ "retries", TOP_RETRIES }, { "healthy", TOP_HEALTHY },
			{ "endpoints", TOP_ENDPOINTS } } },
	[TOP_CIRCUITS] = { "from", "to", "node", "state", "why", "instance",
		{ { "age_ms", TOP_AGE }, { "requests", TOP_REQUESTS }, { "errors", TOP_ERRORS },
			{ "error_percent", TOP_PERCENT }, { "rejected", TOP_REJECTED } } },
	[TOP_FAILURES] = { "service", "upstream", "where", "reason", "request", "request_id",
		{ { "age_ms", TOP_AGE }, { "status", TOP_STATUS }, { "duration_ms", TOP_TOOK },
			{ "attempts", TOP_ATTEMPTS } } },
};

static void put(struct json *j, const char *key, const char *z)
{
	if (!key)
		return;
	json_key(j, key);
	json_strz(j, z[0] ? z : NULL);
}

static void put_row(struct json *j, unsigned view, const struct top_row *r, bool grouped)
{
	json_object(j);
	put(j, forms[view].name, r->name);
	put(j, forms[view].other, r->other);
	put(j, forms[view].node, r->node);
	put(j, forms[view].state, r->state);
	put(j, forms[view].note, r->note);
	put(j, forms[view].key, r->key);
	if (grouped)
		json_put_num(j, "instances", r->of[TOP_INSTANCES]);
	for (unsigned i = 0; i < NUMBERS_MAX && forms[view].numbers[i].key; i++)
		json_put_num(j, forms[view].numbers[i].key, r->of[forms[view].numbers[i].number]);
	json_end(j);
}

static void put_point(struct json *j, const char *key, const struct top_point *p)
{
	json_key(j, key);
	json_object(j);
	json_put_num(j, "rate", p->rate);
	json_put_num(j, "errors", p->errors);
	json_put_num(j, "p50_ms", p->p50);
	json_put_num(j, "p95_ms", p->p95);
	json_put_num(j, "p99_ms", p->p99);
	json_put_num(j, "active", p->active);
	json_end(j);
}

static void put_lists(struct json *j, const struct top_model *m)
{
	json_key(j, "changes");
	json_array(j);
	for (unsigned i = 0; i < m->n_changes; i++) {
		json_object(j);
		json_put_num(j, "time_ms", m->changes[i].time_ms);
		put(j, "node", m->changes[i].node);
		put(j, "kind", m->changes[i].kind);
		put(j, "service", m->changes[i].service);
		put(j, "upstream", m->changes[i].upstream);
		put(j, "subject", m->changes[i].subject);
		put(j, "text", m->changes[i].text);
		json_end(j);
	}
	json_end(j);
	json_key(j, "troubles");
	json_array(j);
	for (unsigned i = 0; i < m->n_troubles; i++) {
		json_object(j);
		put(j, "name", m->troubles[i].name);
		put(j, "why", m->troubles[i].why);
		json_end(j);
	}
	json_end(j);
}

void top_json(struct text *t, const struct top_model *m, const struct top_ui *ui)
{
	struct json j = json_begin(t);
	bool grouped = top_ui_groups(ui);

	json_object(&j);
	json_put_num(&j, "time_ms", m->time_ms);
	put(&j, "scope", top_scope_words[m->scope]);
	put(&j, "node", m->node);
	put(&j, "version", m->version);
	json_put_num(&j, "agents", m->agents);
	json_put_num(&j, "agents_silent", m->agents_silent);
	put_point(&j, "in", &m->in);
	put_point(&j, "out", &m->out);
	json_put_num(&j, "healthy", m->healthy);
	json_put_num(&j, "endpoints", m->endpoints);
	json_put_num(&j, "circuits_open", m->circuits_open);
	for (unsigned v = 0; v < TOP_VIEWS; v++) {
		if (v == TOP_FAILURES && ui->view != TOP_FAILURES)
			continue; /* not asked for */
		json_key(&j, top_view_words[v]);
		json_array(&j);
		for (size_t i = 0; i < m->tables[v].n; i++)
			put_row(&j, v, &m->tables[v].rows[i], grouped && v <= TOP_UPSTREAMS);
		json_end(&j);
	}
	json_key(&j, "left_out");
	json_object(&j);
	for (unsigned v = 0; v < TOP_VIEWS; v++)
		json_put_num(&j, top_view_words[v], m->tables[v].left_out);
	json_end(&j);
	put_lists(&j, m);
	json_end(&j);
}
