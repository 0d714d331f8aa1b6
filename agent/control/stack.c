#include "control/stack_int.h"

#include "base/mem.h"

#include <stdarg.h>

/* --- saying -------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *id;
	enum severity severity;
	const char *remedy;
} rules[RULES] = {
#define RULE(id, name, severity, remedy) [RULE_##id] = { name, SEVERITY_##severity, remedy },
#include "control/stack_rules.def"
#undef RULE
};

static void say(struct stack *s, const struct stack_file *f, struct str service, enum rule rule,
	uint32_t line, const char *fmt, va_list ap)
{
	struct text t;

	text_init(&t, FINDING_TEXT_MAX + OPTIONS_VALUE_MAX);
	text_vfmt(&t, fmt, ap);
	if (t.failed)
		s->out->failed = true;
	findings_add(s->out, &(struct finding){ .file = str_of(f->name),
				     .line = line,
				     .severity = (uint8_t)rules[rule].severity,
				     .id = rules[rule].id,
				     .service = service,
				     .text = text_str(&t),
				     .remedy = str_of(rules[rule].remedy) });
	text_release(&t);
}

void stack_say_file(
	struct stack *s, const struct stack_file *f, enum rule rule, uint32_t line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(s, f, STR(""), rule, line, fmt, ap);
	va_end(ap);
}

void stack_say(
	struct stack *s, const struct stack_service *v, enum rule rule, uint32_t line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(s, v->file, v->name, rule, line, fmt, ap);
	va_end(ap);
}

/* --- files --------------------------------------------------------------------------------------------------------- */

struct stack *stack_new(struct findings *out, char *const *environ_)
{
	struct stack *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	arena_init(&s->arena, (size_t)STACK_FILES_MAX * 16 * STACK_BYTES_MAX, NULL, 0);
	s->out = out;
	s->env = environ_;
	return s;
}

void stack_free(struct stack *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		options_free(s->at[i].o);
	arena_release(&s->arena);
	mem_free(s);
}

static void on_remark(void *arg, enum yaml_remark what, uint32_t line, struct str detail)
{
	static const struct {
		enum rule rule;
		const char *before, *after;
	} remarks[] = {
		[YAML_UNSET] = { RULE_UNSET, "the variable ", " is not set" },
		[YAML_REQUIRED] = { RULE_REQUIRED, "a variable that has to be set is not: ", "" },
		[YAML_FORMAT] = { RULE_FORMAT, "Docker cannot interpolate ", "" },
		[YAML_TWICE] = { RULE_TWICE, "the key ", " stands there twice" },
	};
	struct stack_file *f = arg;

	stack_say_file(f->stack, f, remarks[what].rule, line, "%s%.*s%s", remarks[what].before,
		(int)(detail.n < 200 ? detail.n : 200), detail.p, remarks[what].after);
}

/* "7: did not find …" */
static void say_broken(struct stack *s, const struct stack_file *f, const char *why)
{
	struct str rest = str_of(why), number;
	uint64_t line = 0;

	(void)str_next(&rest, ':', &number);
	if (!str_u64(number, &line))
		rest = str_of(why);
	rest = str_trim(rest);
	stack_say_file(
		s, f, RULE_YAML, (uint32_t)line, "the file cannot be read as YAML: %.*s", STR_ARG(rest));
}

static bool add_services(struct stack *s, const struct stack_file *f)
{
	const struct node *services = node_get(f->root, STR("services"));

	if (!services || services->kind != NODE_MAP || services->n == 0) {
		stack_say_file(s, f, RULE_NO_SERVICES, f->root->line, "the file has no services");
		return true;
	}
	for (const struct node_item *i = services->first; i; i = i->next) {
		if (i->value->kind != NODE_MAP) {
			stack_say_file(s, f, RULE_SHAPE, i->line, "service %.*s is no map",
				(int)(i->key.n < 80 ? i->key.n : 80), i->key.p);
			continue;
		}
		if (s->n == STACK_SERVICES_MAX) {
			stack_say_file(s, f, RULE_SHAPE, i->line,
				"more than %u services; the rest is not judged", STACK_SERVICES_MAX);
			return true;
		}
		struct stack_service *v = &s->at[s->n++];
		*v = (struct stack_service){ .file = f, .name = i->key, .line = i->line, .node = i->value };
	}
	return true;
}

bool stack_add(struct stack *s, const char *name, struct str bytes)
{
	struct err err = { "" };

	if (s->n_files == STACK_FILES_MAX)
		return false;
	struct stack_file *f = &s->files[s->n_files];
	*f = (struct stack_file){
		.name = arena_z(&s->arena, str_of(name)), .number = s->n_files, .stack = s
	};
	if (!f->name)
		return false;
	s->n_files++;
	f->root = stack_yaml(&s->arena, bytes, s->env, on_remark, f, &err);
	if (f->root)
		return add_services(s, f);
	say_broken(s, f, err.text);
	return true;
}

/* --- judging ------------------------------------------------------------------------------------------------------- */

static bool read_service(struct stack *s, struct stack_service *v)
{
	const struct node *deploy = node_get(v->node, STR("deploy"));

	if (!stack_pairs(s, v, node_get(v->node, STR("environment")), "environment", '=', true, &v->env) ||
		!stack_pairs(s, v, node_get(v->node, STR("labels")), "labels", '=', false, &v->labels) ||
		!stack_pairs(s, v, node_get(deploy, STR("labels")), "deploy.labels", '=', false,
			&v->deploy_labels) ||
		!stack_pairs(
			s, v, node_get(v->node, STR("extra_hosts")), "extra_hosts", ':', false, &v->hosts))
		return false;
	stack_find_role(s, v);
	return v->role == ROLE_NONE || stack_read_options(s, v);
}

static void check_agents(struct stack *s)
{
	const struct stack_service *agent = NULL, *served = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct stack_service *v = &s->at[i];
		if (v->role == ROLE_NODE_SIDECAR && !served)
			served = v;
		if (v->role != ROLE_AGENT)
			continue;
		if (agent)
			stack_say(s, v, RULE_AGENT_TWICE, v->line, "%.*s is an agent beside %.*s",
				STR_ARG(v->name), STR_ARG(agent->name));
		agent = v;
	}
	if (served && !agent)
		stack_say(s, served, RULE_AGENT_ABSENT, served->line,
			"%.*s asks for a sidecar, and the agent stands in no file "
			"that was given",
			STR_ARG(served->name));
}

bool stack_judge(struct stack *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!read_service(s, &s->at[i]))
			return false;
	for (size_t i = 0; i < s->n; i++) {
		const struct stack_service *v = &s->at[i];
		stack_check_ports(s, v);
		if (v->role == ROLE_NONE)
			continue;
		stack_check_network(s, v);
		stack_check_stop(s, v);
		if (v->role == ROLE_AGENT)
			stack_check_agent(s, v);
		else
			stack_check_wiring(s, v);
	}
	stack_check_published(s);
	check_agents(s);
	return !s->out->failed;
}

size_t stack_services(const struct stack *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->at[i].role != ROLE_NONE;
	return n;
}
