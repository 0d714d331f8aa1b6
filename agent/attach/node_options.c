/* Where the options of a container's sidecar come from, the strongest first: flags and environment of the agent, the container's
 * variables, its labels, outrider.config, what swarm says of it, the defaults (DESIGN section 4). */
#include "attach/node.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define LAYER_SWARM ((enum option_layer)1)
#define ROUNDS 8 /* of leaving out what is wrong */

/* What is the agent's own: a sidecar has its own admin port, name and handler. */
static const char *const own_keys[] = { "admin", "service", "port", "inbound", "outbound", "upstreams", "instance", "advertise", "engine",
	"netns", "run", "expose", "node" };

extern char **environ;

/* "OUTRIDER_ADMIN", "--admin=…", "outrider.admin" … without its prefix, as a property is written. */
static bool is_key(struct str name, const char *key)
{
	if (!name.p || name.n != strlen(key))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		c = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c == '_' ? '-' : c;
		if (c != (key[i] == '.' ? '-' : key[i]) && name.p[i] != key[i])
			return false;
	}
	return true;
}

static bool is_own(struct str name)
{
	for (size_t i = 0; i < sizeof(own_keys) / sizeof(own_keys[0]); i++)
		if (is_key(name, own_keys[i]))
			return true;
	return false;
}

static struct str key_of(const char *entry, const char *prefix)
{
	struct str all = str_of(entry), p = str_of(prefix);
	size_t equals = str_find(all, '=');
	if (!str_starts(all, p))
		return STR("");
	return str_make(all.p + p.n, (equals == SIZE_MAX ? all.n : equals) - p.n);
}

/* A flag may have its value as the next word. */
static void keep_flags(struct node *n, int argc, char **argv)
{
	int kept = 0;
	for (int i = 0; i < argc; i++) {
		bool own = is_own(key_of(argv[i], "--"));
		bool apart = own && str_find(str_of(argv[i]), '=') == SIZE_MAX && i + 1 < argc && argv[i + 1][0] != '-';
		if (!own)
			n->argv[kept++] = argv[i];
		i += apart;
	}
	n->argc = kept;
}

bool node_own_options(struct node *n, struct err *err)
{
	size_t vars = 0, kept = 0;
	char **argv = n->argv;

	while (environ[vars])
		vars++;
	n->environ_ = mem_zarray(vars + 1, sizeof(*n->environ_));
	n->argv = mem_zarray((size_t)n->argc + 1, sizeof(*n->argv));
	if (!n->environ_ || !n->argv)
		return err_set(err, "out of memory");
	n->argv_owned = true;
	keep_flags(n, n->argc, argv);
	for (size_t i = 0; i < vars; i++)
		if (!is_own(key_of(environ[i], "OUTRIDER_")))
			n->environ_[kept++] = environ[i];
	return true;
}

/* --- what swarm says ------------------------------------------------------------------------------------------------- */

/* "shop_quotes.2.x7k…" has slot 2; a global service's task has its node's id there. */
static struct str slot_of(struct str task)
{
	size_t last = SIZE_MAX, before = SIZE_MAX;

	for (size_t i = 0; i < task.n; i++) {
		if (task.p[i] != '.')
			continue;
		before = last;
		last = i;
	}
	return before == SIZE_MAX ? STR("") : str_make(task.p + before + 1, last - before - 1);
}

/* "shop_quotes-service" of stack "shop" is quotes-service. */
static void name_service(struct node_sidecar *s)
{
	struct str service = container_label(&s->container, "com.docker.swarm.service.name");
	struct str stack = container_label(&s->container, "com.docker.stack.namespace");
	struct str task = container_label(&s->container, "com.docker.swarm.task.name");

	if (!service.n)
		service = container_label(&s->container, "com.docker.compose.service");
	if (!service.n)
		service = s->container.name;
	if (stack.n && service.n > stack.n + 1 && str_starts(service, stack) && service.p[stack.n] == '_')
		service = str_make(service.p + stack.n + 1, service.n - stack.n - 1);
	(void)str_copy(service, s->service, sizeof(s->service));
	(void)str_copy(stack, s->stack, sizeof(s->stack));
	(void)str_copy(task.n ? task : s->container.name, s->task, sizeof(s->task));
	(void)str_copy(slot_of(task), s->slot, sizeof(s->slot));
}

uint64_t node_networks(const struct container *c)
{
	uint64_t sum = c->n_networks;

	for (size_t i = 0; i < c->n_networks; i++)
		sum += str_hash(c->networks[i].name, 1); /* in any order */
	return sum;
}

void node_name_networks(struct node_sidecar *s, const struct container *c)
{
	size_t at = 0;

	snprintf(s->networks, sizeof(s->networks), "no network");
	for (size_t i = 0; i < c->n_networks && at < sizeof(s->networks); i++)
		at += (size_t)snprintf(s->networks + at, sizeof(s->networks) - at, "%s%.*s", i ? ", " : "", STR_ARG(c->networks[i].name));
}

bool node_own_addresses(struct node_sidecar *s, const struct container *c)
{
	struct addr now[NODE_OWN_MAX];
	size_t n = 0;

	for (size_t i = 0; i < c->n_networks; i++) {
		const struct container_network *w = &c->networks[i];
		if (w->address.n && n < NODE_OWN_MAX && addr_parse_ip(w->address, 0, &now[n]))
			n++;
		if (w->address6.n && n < NODE_OWN_MAX && addr_parse_ip(w->address6, 0, &now[n]))
			n++;
	}
	bool same = n == s->n_own;
	for (size_t i = 0; same && i < n; i++)
		same = addr_eq(&now[i], &s->own[i]);
	if (same)
		return false;
	memcpy(s->own, now, n * sizeof(now[0]));
	s->n_own = n;
	return true;
}

void node_identify(struct node_sidecar *s)
{
	name_service(s);
	snprintf(s->identity, sizeof(s->identity), "%s.%u", s->container.id.p, s->number);
	s->n_own = 0;
	(void)node_own_addresses(s, &s->container);
}

/* --- layers --------------------------------------------------------------------------------------------------------- */

static bool is_bad(const struct node_sidecar *s, struct str key)
{
	for (size_t i = 0; i < s->n_bad; i++)
		if (str_eq(s->bad[i], key))
			return true;
	return false;
}

/* What switches a sidecar on or off is the keeper's. */
static bool is_switch(struct str key)
{
	return str_eq(key, STR("outrider.enable")) || str_eq(key, STR("OUTRIDER_ENABLE"));
}

static bool add_variables(struct node_sidecar *s, struct options *o, struct err *err)
{
	struct text line;
	bool ok = true;

	text_init(&line, OPTIONS_VALUE_MAX + OPTIONS_KEY_MAX);
	for (size_t i = 0; ok && i < s->container.n_env; i++) {
		const struct container_pair *p = &s->container.env[i];
		if (!str_starts(p->key, STR("OUTRIDER_")) || is_switch(p->key) || is_bad(s, p->key))
			continue;
		text_clear(&line);
		text_add(&line, p->key);
		text_char(&line, '=');
		text_add(&line, p->value);
		char *one[] = { line.p, NULL };
		ok = !line.failed && options_add_env_as(o, one, LAYER_CONTAINER_ENV, err);
	}
	text_release(&line);
	return ok;
}

static bool add_labels(struct node_sidecar *s, struct options *o, struct err *err)
{
	for (size_t i = 0; i < s->container.n_labels; i++) {
		const struct container_pair *p = &s->container.labels[i];
		if (!str_starts(p->key, STR("outrider.")) || is_switch(p->key) || is_bad(s, p->key))
			continue;
		if (!options_set(o, LAYER_LABEL, p->key, p->value, STR("label"), err))
			return false;
	}
	return true;
}

/* What registries know the instance by: swarm's id of the task, so that whichever agent serves it renews one registration and no other.
 * What the agent itself would take, host name and port, is the same for all containers of a node. */
static struct str instance_of(const struct node_sidecar *s)
{
	struct str task = container_label(&s->container, "com.docker.swarm.task.id");

	return task.n ? task : s->container.id;
}

/* Behind flags and environment of the agent, with every job of reload. */
static bool add_layers(void *arg, struct options *o, struct err *err)
{
	struct sidecar *sc = arg;
	struct node_sidecar *s = LIST_OWNER(sc, struct node_sidecar, sidecar);

	if (!options_is_set(o, OPT_REGISTRY) && !options_set(o, LAYER_ENV, STR("outrider.registry"), STR("dns:"), STR("node"), err))
		return false;
	return options_set(o, LAYER_SWARM, STR("outrider.service"), str_of(s->service), STR("swarm"), err) &&
	       options_set(o, LAYER_ENV, STR("outrider.instance"), instance_of(s), STR("swarm"), err) &&
	       (!s->node->name[0] ||
		       options_set(o, LAYER_ENV, STR("outrider.node"), str_of(s->node->name), STR("swarm"), err)) &&
	       add_variables(s, o, err) && add_labels(s, o, err);
}

static struct options *read_all(struct node_sidecar *s, struct err *err)
{
	struct options *o = options_new();
	int rest;

	if (!o)
		err_set(err, "out of memory");
	if (o && options_add_env(o, s->node->environ_, err) && options_add_flags(o, s->node->argc, s->node->argv, &rest, err) &&
		add_layers(&s->sidecar, o, err))
		return o;
	options_free(o);
	return NULL;
}

/* --- what is wrong --------------------------------------------------------------------------------------------------- */

static bool is_containers(const struct node_sidecar *s, struct str key)
{
	for (size_t i = 0; i < s->container.n_env; i++)
		if (str_eq(s->container.env[i].key, key))
			return true;
	for (size_t i = 0; i < s->container.n_labels; i++)
		if (str_eq(s->container.labels[i].key, key))
			return true;
	return false;
}

static void say(struct node_sidecar *s, const struct option_problem *p)
{
	log_write(&s->sidecar.log, LEVEL_ERROR, "config", "an option of a container is wrong and left out",
		LOG_FIELDS(log_text("why", p->text)));
	text_fmt(&s->problems, "%s%s", s->problems.n ? "\n" : "", p->text);
}

/* Leaves out what the container itself said wrongly. false: there is something else. */
static bool blame(struct node_sidecar *s, const struct options *o, struct err *err)
{
	size_t before = s->n_bad;

	for (size_t i = 0; i < options_problem_count(o); i++) {
		const struct option_problem *p = options_problem(o, i);
		if (p->row && (p->row->flags & OPTION_SECURITY) && p->row->who == WHO_CONTAINER)
			return err_set(err, "%.400s; without it the sidecar would be less safe than it was asked to be", p->text);
		if (is_bad(s, p->key) || !is_containers(s, p->key) || s->n_bad == NODE_BAD_MAX)
			continue;
		struct str kept = arena_str(&s->container.arena, p->key);
		if (!kept.p)
			return err_set(err, "out of memory");
		s->bad[s->n_bad++] = kept;
		say(s, p);
	}
	if (s->n_bad > before)
		return true;
	return err_set(err, "%.400s", options_problem_count(o) ? options_problem(o, 0)->text : "its options make no sense");
}

bool node_options(struct node_sidecar *s, struct err *err)
{
	struct sidecar *sc = &s->sidecar;

	sc->argc = s->node->argc;
	sc->argv = s->node->argv;
	sc->environ_ = s->node->environ_;
	sc->layers = add_layers;
	for (int round = 0; round < ROUNDS; round++) {
		struct options *o = read_all(s, err);
		if (!o)
			return false;
		if (options_check(o, COMMAND_SIDECAR, err)) {
			sc->options = o;
			return true;
		}
		bool again = blame(s, o, err);
		options_free(o);
		if (!again)
			return false;
	}
	return err_set(err, "its options make no sense");
}
