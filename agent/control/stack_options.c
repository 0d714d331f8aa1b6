/* What a service is to the agent, and its options as the agent would read them. */
#include "control/stack_int.h"

#include "control/option_key.h"

#define WORDS_MAX 256u

/* --- the role ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *word;
	enum stack_role role;
} commands[] = {
	{ "node", ROLE_AGENT },
	{ "exec", ROLE_EXEC },
	{ "sidecar", ROLE_SIDECAR },
	{ "edge", ROLE_EDGE },
	{ "off", ROLE_NONE },
};

static bool role_named(struct str word, enum stack_role *ret)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!str_eq(word, str_of(commands[i].word)))
			continue;
		*ret = commands[i].role;
		return true;
	}
	return false;
}

static struct str base_name(struct str path)
{
	size_t slash = str_rfind(path, '/');
	return slash == SIZE_MAX ? path : str_make(path.p + slash + 1, path.n - slash - 1);
}

/* The program `outrider`, as a path or as the image of that name. */
static bool is_outrider(struct str word)
{
	word = base_name(word);
	size_t end = 0;
	while (end < word.n && word.p[end] != ':' && word.p[end] != '@')
		end++;
	return str_eq(str_make(word.p, end), STR("outrider"));
}

/* `/outrider exec …` in entrypoint and command; the image outrider is its own entry point. */
static bool role_of_command(struct stack_service *v, enum stack_role *ret)
{
	struct str words[8];
	const struct node *entry = node_get(v->node, STR("entrypoint")),
			  *command = node_get(v->node, STR("command"));
	size_t n = 0;

	if (!entry)
		words[n++] = node_value(v->node, STR("image"));
	n += stack_words(entry, words + n, 3);
	size_t own = n;
	n += stack_words(command, words + n, 3);
	for (size_t i = 0; i + 1 < n; i++) {
		if (!is_outrider(words[i]) || !role_named(words[i + 1], ret) || *ret == ROLE_NONE)
			continue;
		v->command = i + 1 < own ? entry : command;
		return true;
	}
	if (entry || command || !is_outrider(words[0]))
		return false;
	*ret = ROLE_AGENT; /* what the image does when it is told nothing */
	return true;
}

static bool any_option(const struct pairs *p, const char *prefix)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_starts(p->at[i].key, str_of(prefix)))
			return true;
	return false;
}

/* outrider.enable, as env or label: 1 true, 0 false, -1 not said */
static int enabled(struct stack *s, const struct stack_service *v)
{
	const struct pair *e = pairs_find(&v->env, STR("OUTRIDER_ENABLE"));

	if (!e)
		e = pairs_find(&v->labels, STR("outrider.enable"));
	if (!e)
		return -1;
	bool on = str_ieq(e->value, STR("true")) || str_ieq(e->value, STR("on"));
	if (!on && !str_ieq(e->value, STR("false")) && !str_ieq(e->value, STR("off")))
		stack_say(s, v, RULE_ENABLE, e->line, "%.*s is \"%.*s\"", STR_ARG(e->key),
			(int)(e->value.n < 80 ? e->value.n : 80), e->value.p);
	return on;
}

static enum stack_role role_by_options(struct stack *s, const struct stack_service *v)
{
	int on = enabled(s, v);

	if (on == 0)
		return ROLE_NONE;
	if (on == 1 || pairs_find(&v->env, STR("OUTRIDER_PORT")) ||
		pairs_find(&v->labels, STR("outrider.port")))
		return ROLE_NODE_SIDECAR;
	if (any_option(&v->env, "OUTRIDER_") || any_option(&v->labels, "outrider."))
		stack_say(s, v, RULE_OPT_IN, v->line,
			"%.*s has options of outrider, but does not ask for a sidecar: no agent will read "
			"them",
			STR_ARG(v->name));
	return ROLE_NONE;
}

static void check_hidden_labels(struct stack *s, const struct stack_service *v)
{
	for (size_t i = 0; i < v->deploy_labels.n; i++) {
		const struct pair *p = &v->deploy_labels.at[i];
		if (str_starts(p->key, STR("outrider.")))
			stack_say(s, v, RULE_DEPLOY_LABELS, p->line,
				"%.*s stands under deploy.labels, which are the service's; the agent sees "
				"the containers' only",
				(int)(p->key.n < OPTIONS_KEY_MAX ? p->key.n : OPTIONS_KEY_MAX), p->key.p);
	}
}

void stack_find_role(struct stack *s, struct stack_service *v)
{
	struct str said = node_value(v->node, STR("x-outrider"));
	const struct node *env_file = node_get(v->node, STR("env_file"));

	v->known_as = v->name;
	check_hidden_labels(s, v);
	if (said.n && !role_named(said, &v->role))
		stack_say(s, v, RULE_SHAPE, stack_line(v, v->node, STR("x-outrider")),
			"x-outrider may be exec, sidecar, edge, node or off");
	else if (!said.n && !role_of_command(v, &v->role))
		v->role = role_by_options(s, v);
	if (env_file)
		stack_say(
			s, v, RULE_ENV_FILE, stack_line(v, v->node, STR("env_file")), "env_file is not read");
}

/* --- options ------------------------------------------------------------------------------------------------------- */

struct reading {
	struct stack *s;
	struct stack_service *v;
	struct row_index rows;
	struct err err;
};

/* Does the key name a file? It is there in the container, not here; its secret has to be the service's. */
static bool names_file(struct reading *r, struct str key, enum key_form form, struct str path, uint32_t line)
{
	struct option_key k;
	struct str name, secret = base_name(path);

	if (!key_strip(key, form, &name) || !key_parse(&r->rows, name, form, &k) || !k.file)
		return false;
	if (r->v->role == ROLE_NODE_SIDECAR)
		return false; /* a container may not: options_put() says so */
	if (!str_starts(path, STR("/run/secrets/")))
		return true;
	const struct node *secrets = node_get(r->v->node, STR("secrets"));
	bool found = node_lists(secrets, secret);
	for (const struct node_item *i = secrets ? secrets->first : NULL; i && !found; i = i->next)
		found = str_eq(node_value(i->value, STR("target")), secret) ||
			str_eq(node_value(i->value, STR("source")), secret);
	if (!found)
		stack_say(r->s, r->v, RULE_SECRET_FILE, line,
			"%.*s names %.*s, which is no secret of the service", STR_ARG(key),
			(int)(path.n < 200 ? path.n : 200), path.p);
	return true;
}

/* Values that swarm makes for each task cannot be judged here. */
static bool is_template(struct str value)
{
	return value.n > 3 && memmem(value.p, value.n, "{{", 2) && memmem(value.p, value.n, "}}", 2);
}

static bool read_env(struct reading *r, enum option_layer layer)
{
	const struct pairs *env = &r->v->env;

	for (size_t i = 0; i < env->n; i++) {
		const struct pair *p = &env->at[i];
		if (!str_starts(p->key, STR("OUTRIDER_")) || str_eq(p->key, STR("OUTRIDER_ENABLE")) ||
			is_template(p->value) || pairs_find(env, p->key) != p ||
			names_file(r, p->key, KEY_ENV, p->value, p->line))
			continue;
		char *one[] = { arena_fmt(&r->s->arena, "%.*s=%.*s", STR_ARG(p->key), STR_ARG(p->value)),
			NULL };
		if (!one[0] || !options_add_env_as(r->v->o, one, layer, &r->err))
			return false;
	}
	return true;
}

static bool read_labels(struct reading *r)
{
	const struct pairs *labels = &r->v->labels;

	for (size_t i = 0; i < labels->n; i++) {
		const struct pair *p = &labels->at[i];
		if (str_eq(p->key, STR("outrider.enable")) || is_template(p->value) ||
			pairs_find(labels, p->key) != p)
			continue;
		if (!options_set(r->v->o, LAYER_LABEL, p->key, p->value, STR("label"), &r->err))
			return false;
	}
	return true;
}

/* The flags between `outrider exec` and `--`. */
static bool read_flags(struct reading *r)
{
	struct str words[WORDS_MAX];
	char *argv[WORDS_MAX];
	size_t n = stack_words(r->v->command, words, WORDS_MAX), from = 0;
	enum stack_role role;
	int argc = 0, rest;

	while (from < n && !(role_named(words[from], &role) && role == r->v->role))
		from++;
	for (size_t i = from + 1; i < n && str_starts(words[i], STR("--")) && words[i].n > 2; i++) {
		size_t eq = str_find(words[i], '=');
		struct str key = str_make(words[i].p, eq == SIZE_MAX ? words[i].n : eq);
		struct str value = eq == SIZE_MAX ? STR("")
						  : str_make(words[i].p + eq + 1, words[i].n - eq - 1);
		bool apart = eq == SIZE_MAX && i + 1 < n && !str_starts(words[i + 1], STR("-"));
		if (names_file(r, key, KEY_FLAG, apart ? words[i + 1] : value, r->v->command->line)) {
			i += apart;
			continue;
		}
		for (size_t k = i; k <= i + apart; k++)
			if (!(argv[argc++] = arena_z(&r->s->arena, words[k])))
				return false;
		i += apart;
	}
	return options_add_flags(r->v->o, argc, argv, &rest, &r->err);
}

static uint32_t line_of_key(const struct stack_service *v, struct str key)
{
	const struct pair *p = pairs_find(&v->env, key);

	if (!p)
		p = pairs_find(&v->labels, key);
	if (p)
		return p->line;
	return v->command && str_starts(key, STR("--")) ? v->command->line : v->line;
}

static void say_problems(struct reading *r)
{
	const struct stack_service *v = r->v;

	for (size_t i = 0; i < options_problem_count(v->o); i++) {
		const struct option_problem *p = options_problem(v->o, i);
		bool rights = v->role == ROLE_NODE_SIDECAR && p->row && p->row->who != WHO_CONTAINER;
		bool set = !str_eq(
			p->origin, STR("default")); /* of what is missing there is no value to show */
		stack_say(r->s, v, rights ? RULE_RIGHTS : RULE_OPTION, line_of_key(v, p->key),
			"%.*s%s%.*s: %.*s", STR_ARG(p->key), set ? "=" : "", set ? (int)p->value.n : 0,
			p->value.p, STR_ARG(p->why));
	}
}

bool stack_read_options(struct stack *s, struct stack_service *v)
{
	static const enum command as[] = {
		[ROLE_NODE_SIDECAR] = COMMAND_SIDECAR,
		[ROLE_EXEC] = COMMAND_EXEC,
		[ROLE_SIDECAR] = COMMAND_SIDECAR,
		[ROLE_EDGE] = COMMAND_EDGE,
		[ROLE_AGENT] = COMMAND_ANY,
	};
	struct reading r = { .s = s, .v = v };
	struct err ignored;
	bool node = v->role == ROLE_NODE_SIDECAR, ok;

	v->o = options_new();
	if (!v->o)
		return false;
	row_index_init(&r.rows);
	ok = read_env(&r, node ? LAYER_CONTAINER_ENV : LAYER_ENV) &&
	     (node ? read_labels(&r) : read_flags(&r));
	/* In node mode a service that says nothing has swarm's name. */
	if (ok && node)
		ok = options_set(
			v->o, LAYER_SOURCE(31), STR("outrider.service"), v->name, STR("swarm"), &r.err);
	if (!ok)
		return false;
	if (!options_check(v->o, as[v->role], &ignored) && options_problem_total(v->o) == 0)
		return false;
	say_problems(&r);
	if (options_text(v->o, OPT_SERVICE).n)
		v->known_as = options_text(v->o, OPT_SERVICE);
	return true;
}
