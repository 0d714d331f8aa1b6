/* What an agent leans on: sources of configuration, registries, exporters of spans, sinks of log records, the engine. On a node every sidecar has its own; those of
 * one name are one, in trouble when it is for any of them. */
#include "control/ui/state.h"

#include "base/mem.h"
#include "control/logs.h"

#include <stdio.h>

#define SUPPORT_MAX 64u
#define ITEM_MAX 1200u

struct support {
	const char *kind, *name, *trouble; /* trouble: "" while all is well */
	uint32_t n, troubled;              /* sidecars that have it; for which it is in trouble */
	uint64_t things, updates;          /* properties or endpoints of the last one; said by all */
};

struct supports {
	struct support at[SUPPORT_MAX];
	uint32_t n;
};

static struct support *find(struct supports *all, const char *kind, const char *name)
{
	for (uint32_t i = 0; i < all->n; i++)
		if (strcmp(all->at[i].kind, kind) == 0 && strcmp(all->at[i].name, name) == 0)
			return &all->at[i];
	if (all->n == SUPPORT_MAX)
		return NULL;
	all->at[all->n] = (struct support){ .kind = kind, .name = name, .trouble = "" };
	return &all->at[all->n++];
}

static void add(struct supports *all, const char *kind, const char *name, const char *trouble,
	uint64_t things, uint64_t updates)
{
	struct support *p = find(all, kind, name);

	if (!p)
		return;
	p->n++;
	p->things = things;
	p->updates += updates;
	if (!trouble[0])
		return;
	p->troubled++;
	p->trouble = trouble;
}

static void gather(struct supports *all, const struct agent *g)
{
	struct source_view v;

	for (size_t i = 0; g->reload && reload_source(g->reload, i, &v); i++)
		add(all, strstr(v.ops->name, "bus") ? "bus" : "config", v.name, v.trouble, v.n, v.times);
	for (size_t i = 0; g->discovery && i < discovery_count(g->discovery); i++) {
		struct discovery_view d = discovery_view(g->discovery, i);
		add(all, "registry", d.name, d.trouble, d.endpoints, d.updates);
	}
}

static void put_row(
	struct json *j, const char *kind, const char *name, const char *trouble, const char *detail)
{
	json_object(j);
	json_put_strz(j, "kind", kind);
	json_put_strz(j, "name", name);
	json_put_strz(j, "state", trouble[0] ? "trouble" : "ok");
	json_put_strz(j, "why", trouble);
	json_put_strz(j, "detail", detail);
	json_end(j);
}

static void put_support(struct json *j, const struct support *p, bool many)
{
	char detail[200], of[64] = "";

	if (many)
		snprintf(of, sizeof(of), p->troubled ? ", for %u of %u sidecars in trouble" : ", %u sidecars",
			p->troubled ? p->troubled : p->n, p->n);
	bool registry = strcmp(p->kind, "registry") == 0;
	snprintf(detail, sizeof(detail), "%llu %s%s, said something new %llu time%s%s",
		(unsigned long long)p->things, registry ? "instance" : "propert",
		p->things == 1 ? (registry ? "" : "y")
		: registry     ? "s"
			       : "ies",
		(unsigned long long)p->updates, p->updates == 1 ? "" : "s", of);
	put_row(j, p->kind, p->name, p->trouble, detail);
}

static void put_exporters(struct json *j, const struct telemetry *t)
{
	struct telemetry_exporter x;
	char detail[200];

	for (unsigned i = 0; telemetry_exporter(t, i, &x); i++) {
		const struct exporter_counts *c = &x.counts;
		uint64_t dropped = c->dropped_full + c->dropped_refused + c->dropped_failed;
		snprintf(detail, sizeof(detail), "sent %llu, queued %llu, dropped %llu",
			(unsigned long long)c->sent, (unsigned long long)c->queued,
			(unsigned long long)dropped);
		put_row(j, "trace", x.name, x.trouble, detail);
	}
}

/* Where log records go; a container's page tells neither of the agent's sinks nor of its exporters. */
static void put_sinks(struct json *j, const struct logs *logs)
{
	struct logs_sink k;
	char detail[200];

	for (unsigned i = 0; logs_sink(logs, i, &k); i++) {
		uint64_t lost = k.counts.produced - k.counts.sent - k.counts.queued;
		snprintf(detail, sizeof(detail), "sent %llu, queued %llu, dropped %llu",
			(unsigned long long)k.counts.sent, (unsigned long long)k.counts.queued,
			(unsigned long long)lost);
		put_row(j, "log", k.name, k.trouble, detail);
	}
}

void ui_state_support(struct ui_state *s, size_t until)
{
	const struct agent *a = s->agent;
	struct supports *all = mem_zalloc(sizeof(*all));

	json_key(s->j, "support");
	json_array(s->j);
	for (uint32_t i = 0; all && i < a->n_sidecars; i++)
		if (a->sidecars[i].agent)
			gather(all, a->sidecars[i].agent);
	for (uint32_t i = 0; all && i < all->n && s->j->t->n + ITEM_MAX <= until; i++)
		put_support(s->j, &all->at[i], a->each_sidecar != NULL);
	if (s->whole && a->process && a->process->telemetry)
		put_exporters(s->j, a->process->telemetry);
	if (s->whole && a->logs)
		put_sinks(s->j, a->logs);
	if (a->put_support)
		a->put_support(a->put_arg, s->j);
	json_end(s->j);
	mem_free(all);
}
