/* The sidecars of an agent: who they are, how they do, what they cost. */
#include "control/ui/state.h"

#include "base/mem.h"
#include "control/option_value.h"

#include <stdlib.h>

#define ITEM_MAX 1400u        /* bytes of one with the longest names */
#define CONNECTION_BYTES 900u /* as /sidecars says them: docs/performance.md has the measurements */
#define SIDECAR_BYTES (128u * 1024)
#define GATHERED_MAX 1024u

struct gathered {
	struct agent_fact f;
	const struct ui_served *served; /* NULL: never looked at */
	double carried;                 /* in the last interval */
};

struct gathering {
	const struct ui_state *s;
	struct gathered *at; /* owned */
	uint32_t n, over;
	double all; /* that was carried */
};

/* --- gathering ------------------------------------------------------------------------------------------------------------------ */

static void add(void *to, const struct agent_fact *f)
{
	struct gathering *g = to;

	if (g->n == GATHERED_MAX) {
		g->over++;
		return;
	}
	struct gathered *one = &g->at[g->n++];
	*one = (struct gathered){ .f = *f };
	if (f->view && f->view->spec)
		one->served = ui_sampler_served(g->s->sampler, f->view->spec->slot);
	if (one->served)
		one->carried = (double)(one->served->last[UI_IN].n + one->served->last[UI_OUT].n);
	g->all += one->carried;
}

/* The one sidecar of a process that has no others. */
static void add_own(struct gathering *g, const struct agent *a)
{
	if (!a->n_sidecars || !a->sidecars[0].spec)
		return;
	const struct agent_fact f = { .view = &a->sidecars[0],
		.name = a->sidecars[0].name,
		.wiring = a->sidecars[0].spec->is_edge ? NULL : agent_wiring(a, &a->sidecars[0]),
		.state = a->phase == AGENT_READY ? "serving" : agent_phase_word(a->phase),
		.why = a->phase_detail ? a->phase_detail : "" };
	add(g, &f); /* its names are the view's */
}

/* What does not serve, then the busiest. */
static int compare(const void *x, const void *y)
{
	const struct gathered *a = x, *b = y;

	if (!a->f.view != !b->f.view)
		return a->f.view ? 1 : -1;
	if (a->carried < b->carried || a->carried > b->carried)
		return a->carried < b->carried ? 1 : -1;
	return a->f.view && b->f.view && a->f.view->spec && b->f.view->spec &&
			       a->f.view->spec->slot != b->f.view->spec->slot
		       ? (a->f.view->spec->slot < b->f.view->spec->slot ? -1 : 1)
		       : 0;
}

/* --- one ------------------------------------------------------------------------------------------------------------------------ */

/* version= of outrider.meta: what registries are told of the instance. */
static struct str version_of(const struct agent *g)
{
	struct str list = g && g->reload ? options_text(reload_options(g->reload), OPT_META) : STR(""), item,
		   key = STR("version=");

	while (option_item_next(&list, &item))
		if (str_starts(item, key))
			return str_make(item.p + key.n, item.n - key.n);
	return STR("");
}

static void put_names(struct json *j, const struct gathered *one, const struct agent *a)
{
	const struct agent_sidecar *view = one->f.view;
	const struct telemetry_who *who = view ? view->who : NULL;
	struct str service =
		view ? view->spec->service
		     : str_of(one->f.service) /* as edges name it, where it may have said so itself */;
	struct str version = version_of(view ? view->agent : NULL);

	json_put_str(j, "name", one->f.name ? str_of(one->f.name) : service);
	json_put_str(j, "service", service);
	json_put_str(j, "stack", one->f.stack ? str_of(one->f.stack) : who ? who->stack : STR(""));
	json_put_str(j, "slot", one->f.slot ? str_of(one->f.slot) : who ? who->slot : STR(""));
	json_put_str(j, "node", a->node);
	json_key(j, "version");
	if (version.n)
		json_str(j, version);
	else
		json_null(j);
}

static void put_state(struct json *j, const struct gathered *one)
{
	const struct agent *g = one->f.view ? one->f.view->agent : NULL;

	json_put_str(j, "state", str_of(one->f.state));
	json_put_str(j, "why", str_of(one->f.why));
	json_put_str(j, "handler", str_of(handler_word(g && g->handler ? handler_state(g->handler) : HANDLER_NONE)));
	json_put_str(j, "handler_why", str_of(g && g->handler ? handler_why(g->handler) : ""));
	json_key(j, "wired");
	if (one->f.wiring)
		json_strz(j, one->f.wiring);
	else if (one->f.view && one->f.view->spec && one->f.view->spec->is_edge)
		json_null(j); /* there is no service whose calls could pass by */
	else
		json_bool(j, one->f.view != NULL);
}

/* Processor time by its share of what was carried: no request pays for a clock of its own. */
static void put_cost(struct ui_state *s, const struct gathering *g, const struct gathered *one)
{
	uint64_t open = one->f.view ? ui_state_counter(
					      s->agent, one->f.view->spec->slot, COUNTER_CONNECTIONS_OPEN)
				    : 0;

	json_key(s->j, "cost");
	json_object(s->j);
	json_key(s->j, "cpu_percent");
	json_num(s->j, g->all > 0 ? s->sampler->cpu_percent * one->carried / g->all : 0);
	json_put_u64(s->j, "memory_bytes", open * CONNECTION_BYTES + SIDECAR_BYTES);
	json_put_u64(s->j, "connections", open);
	json_end(s->j);
}

static void put_sidecar(struct ui_state *s, const struct gathering *g, const struct gathered *one)
{
	const struct agent *of = one->f.view ? one->f.view->agent : NULL;
	uint64_t active[UI_SIDES] = { 0, 0 };

	if (one->f.view)
		ui_state_active(s->agent, one->f.view->spec, active);
	json_object(s->j);
	put_names(s->j, one, s->agent);
	put_state(s->j, one);
	ui_state_point(s->j, "in", one->served ? &one->served->now[UI_IN] : ui_state_quiet(), active[UI_IN]);
	ui_state_point(
		s->j, "out", one->served ? &one->served->now[UI_OUT] : ui_state_quiet(), active[UI_OUT]);
	put_cost(s, g, one);
	json_put_u64(s->j, "config_errors",
		one->f.left_out + (of && of->reload ? reload_problems(of->reload) : 0));
	json_end(s->j);
}

void ui_state_sidecars(struct ui_state *s, size_t until)
{
	const struct agent *a = s->agent;
	struct gathering g = { .s = s, .at = mem_zarray(GATHERED_MAX, sizeof(*g.at)) };
	uint32_t i = 0;

	json_key(s->j, "sidecars");
	json_array(s->j);
	if (g.at && a->each_sidecar)
		a->each_sidecar(a->put_arg, add, &g);
	else if (g.at)
		add_own(&g, a);
	if (g.n)
		qsort(g.at, g.n, sizeof(*g.at), compare);
	for (; i < g.n && i < UI_SIDECARS_MAX && s->j->t->n + ITEM_MAX <= until; i++)
		put_sidecar(s, &g, &g.at[i]);
	s->left_sidecars = g.n - i + g.over;
	json_end(s->j);
	mem_free(g.at);
}
