/* /doctor and /health?verbose of a node: what the keeper told, and each sidecar. */
#include "attach/node.h"

#include "attach/privileges.h"
#include "base/json.h"
#include "control/doctor.h"

#include <stdio.h>

static const struct {
	const char *check, *remedy, *docs;
} facts[WIRE_FACTS] = {
	[FACT_ENGINE] = { "engine", "mount the engine's socket, and let GETs of /_ping, /info, /events, /containers/json, /containers/ID/json and /containers/ID/logs through",
		"operations.md#privileges" },
	[FACT_RIGHTS] = { "rights", "deploy/outrider.yml has them: cap_drop: [ALL], cap_add: [SYS_ADMIN, SETUID, SETGID], read_only: true",
		"operations.md#privileges" },
	[FACT_NAMESPACES] = { "namespaces", "mount /var/run/docker/netns with propagation rslave", "operations.md#privileges" },
	[FACT_HANDOVER] = { "hand-over", "mount a volume of driver local at /run/outrider", "operations.md#upgrade" },
	[FACT_CLOCK] = { "clock", "run an NTP client on the node: leases and traces of several nodes are compared by time", "operations.md#what-happens-when" },
	[FACT_FILES] = { "descriptors", "docker service update --ulimit-add nofile=65536 outrider_agent, or default-ulimits of the node's engine", "operations.md#descriptors" },
};

void node_fact(struct node *n, const struct wire_record *r)
{
	if (r->kind >= WIRE_FACTS)
		return;
	n->facts[r->kind].level = r->n;
	snprintf(n->facts[r->kind].says, sizeof(n->facts[r->kind].says), "%s", r->why);
}

void node_put_support(void *arg, struct json *j)
{
	const struct node *n = arg;
	const struct node_fact *f = &n->facts[FACT_ENGINE];
	const struct {
		const char *key, *value;
	} rows[] = { { "kind", "engine" }, { "name", "engine" }, { "state", f->level == DOCTOR_OK ? "ok" : "trouble" },
		{ "why", f->level == DOCTOR_OK ? "" : f->says }, { "detail", f->says } };

	if (!f->says[0])
		return;
	json_object(j);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_key(j, rows[i].key);
		json_strz(j, rows[i].value);
	}
	json_end(j);
}

static void rights_text(char *text, size_t n, bool *good)
{
	struct privileges_held held;

	(void)privileges_read(&held);
	*good = held.effective == 0 && held.uid != 0 && held.no_new_privs && held.seccomp == 2;
	snprintf(text, n, "proxy: user %u, capabilities %#llx, no_new_privs %s, seccomp %s", held.uid, (unsigned long long)held.effective,
		held.no_new_privs ? "on" : "off", held.seccomp == 2 ? "on" : "off");
}

/* 0: it asks nobody. */
static uint64_t group_of(const struct node_sidecar *s)
{
	uint64_t group = 0;

	(void)netspace_answers(s->ns, &group);
	return s->ending ? 0 : group;
}

/* Those on the same networks ask the same resolver about the same names. */
static void say_dns_of(struct doctor *d, const struct node *n, const struct node_sidecar *first, uint64_t group)
{
	struct netspace_dns_view sum = { 0 };
	char text[240];
	unsigned sidecars = 0;

	LIST_EACH(it, tmp, &n->sidecars) {
		const struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		if (group_of(s) != group)
			continue;
		const struct netspace_dns_view v = netspace_dns_view(s->ns);
		sum.answered += v.answered;
		sum.failed += v.failed;
		sum.fails = sum.fails || v.fails;
		sidecars++;
	}
	snprintf(text, sizeof(text), "%s answered %llu questions of %u sidecars, and %llu not%s", netspace_dns(first->ns),
		(unsigned long long)sum.answered, sidecars, (unsigned long long)sum.failed, sum.fails ? ", among them the latest" : "");
	doctor_say(d, &(struct doctor_line){ sum.fails ? DOCTOR_WARN : DOCTOR_OK, "dns", first->networks, text,
		"names are asked at the engine's resolver in the container; it answers on networks that were made, not on the default bridge: see the engine's log",
		"discovery.md" });
}

static void say_dns(struct doctor *d, const struct node *n)
{
	LIST_EACH(it, tmp, &n->sidecars) {
		const struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		uint64_t group = group_of(s);
		bool before = !group;
		for (const struct list *e = n->sidecars.next; !before && e != &s->link; e = e->next) {
			const struct node_sidecar *other = LIST_OWNER(e, struct node_sidecar, link);
			before = group_of(other) == group;
		}
		if (!before)
			say_dns_of(d, n, s, group);
	}
}

void node_examine(void *arg, struct doctor *d)
{
	struct node *n = arg;
	char text[240];
	bool good;

	for (unsigned i = 0; i < WIRE_FACTS; i++)
		if (n->facts[i].says[0])
			doctor_say(d, &(struct doctor_line){ n->facts[i].level < DOCTOR_LEVELS ? (enum doctor_level)n->facts[i].level : DOCTOR_FAIL,
				facts[i].check, "", n->facts[i].says, facts[i].remedy, facts[i].docs });
	rights_text(text, sizeof(text), &good);
	doctor_say(d, &(struct doctor_line){ good ? DOCTOR_OK : DOCTOR_FAIL, "rights", "", text, facts[FACT_RIGHTS].remedy,
		facts[FACT_RIGHTS].docs });
	say_dns(d, n);
	LIST_EACH(it, tmp, &n->sidecars) {
		struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		if (s->ending && !s->anew)
			continue;
		if (s->output.says[0])
			doctor_say(d, &(struct doctor_line){ s->output.level == DOCTOR_OK ? DOCTOR_OK : DOCTOR_WARN, "output", s->task, s->output.says,
				"outrider.app.log says whose output is read", "logging-app.md#on-a-node" });
		if (!s->serving)
			doctor_say(d, &(struct doctor_line){ DOCTOR_FAIL, "sidecar", s->task, s->why.text, "the container runs without its sidecar",
				"operations.md#left-alone" });
		else
			doctor_sidecar(d, &s->sidecar.agent, s->task, s->problems.n ? text_z(&s->problems) : NULL, node_wiring(n, s));
	}
}

void node_put_health(void *arg, struct json *j)
{
	const struct node *n = arg;
	char text[240];
	bool good;

	rights_text(text, sizeof(text), &good);
	json_key(j, "rights");
	json_array(j);
	json_strz(j, n->facts[FACT_RIGHTS].says);
	json_strz(j, text);
	json_end(j);
	json_key(j, "sidecars");
	json_u64(j, n->n_sidecars);
}
