/* Can a service reach whom it calls, and who else has its ports? */
#include "control/nearest.h"
#include "control/option_key.h"
#include "control/option_value.h"
#include "control/stack_int.h"
#include "control/upstreams.h"

#include "base/mem.h"

#define NETWORKS_MAX 64u /* of a service */
#define CALLED_MAX 256u  /* of a service; more are not judged */
#define PUBLISHED_MAX 2048u

/* --- networks ------------------------------------------------------------------------------------------------------ */

struct network { /* what it is called in the swarm, or where only its stack knows it: in the file */
	struct str name;
	const struct stack_file *file; /* NULL: a real name */
	bool external;
};

static struct network network_named(const struct stack_service *v, struct str key)
{
	const struct node *n = node_get(node_get(v->file->root, STR("networks")), key);
	struct str name = node_value(n, STR("name"));
	const struct node *external = node_get(n, STR("external"));
	struct network ret = { .name = key, .file = v->file };

	if (external && external->kind == NODE_MAP && !name.n)
		name = node_value(external, STR("name"));
	ret.external = external && (external->kind == NODE_MAP || str_ieq(node_text(external), STR("true")));
	if (name.n)
		ret.name = name;
	if (name.n || ret.external)
		ret.file = NULL;
	return ret;
}

static size_t networks_of(const struct stack_service *v, struct network *at)
{
	const struct node *list = node_get(v->node, STR("networks"));
	size_t n = 0;

	for (const struct node_item *i = list ? list->first : NULL; i && n < NETWORKS_MAX; i = i->next)
		at[n++] = network_named(v, list->kind == NODE_MAP ? i->key : node_text(i->value));
	if (n == 0)
		at[n++] = network_named(v, STR("default"));
	return n;
}

bool stack_joins(const struct stack_service *v, struct str real_name)
{
	struct network at[NETWORKS_MAX];
	size_t n = networks_of(v, at);

	for (size_t i = 0; i < n; i++)
		if (!at[i].file && str_eq(at[i].name, real_name))
			return true;
	return false;
}

bool stack_on_host(const struct stack_service *v, uint32_t *ret_line)
{
	bool mode = str_eq(node_value(v->node, STR("network_mode")), STR("host"));

	*ret_line = stack_line(v, v->node, mode ? STR("network_mode") : STR("networks"));
	return mode || stack_joins(v, STR("host"));
}

static bool joins_external(const struct stack_service *v)
{
	struct network at[NETWORKS_MAX];
	size_t n = networks_of(v, at);

	for (size_t i = 0; i < n; i++)
		if (!at[i].file)
			return true;
	return false;
}

static bool share_network(const struct stack_service *a, const struct stack_service *b)
{
	struct network x[NETWORKS_MAX], y[NETWORKS_MAX];
	size_t n = networks_of(a, x), m = networks_of(b, y);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < m; k++)
			if (x[i].file == y[k].file && str_eq(x[i].name, y[k].name))
				return true;
	return false;
}

/* --- upstreams ----------------------------------------------------------------------------------------------------- */

/* Env names fold `-`, `_` and `.`: so do we. */
static bool same_name(struct str a, struct str b)
{
	char x[OPTIONS_KEY_MAX], y[OPTIONS_KEY_MAX];

	if (a.n != b.n || a.n > sizeof(x))
		return false;
	return str_eq(key_fold(a, x), key_fold(b, y));
}

static bool has_alias(const struct stack_service *v, struct str name)
{
	const struct node *list = node_get(v->node, STR("networks"));
	unsigned left = NETWORKS_MAX;

	for (const struct node_item *i = list && list->kind == NODE_MAP ? list->first : NULL; i && left--;
		i = i->next)
		if (node_lists(node_get(i->value, STR("aliases")), name))
			return true;
	return false;
}

static bool answers_to(const struct stack_service *v, struct str name)
{
	size_t dot = str_rfind(name, '.');

	if (same_name(v->name, name) || same_name(v->known_as, name) || has_alias(v, name))
		return true;
	/* service.stack */
	return dot != SIZE_MAX &&
	       (same_name(v->name, str_make(name.p, dot)) || same_name(v->known_as, str_make(name.p, dot)));
}

/* The service of that name, one that `caller` reaches if there are several. NULL: none. */
static const struct stack_service *find_service(
	const struct stack *s, const struct stack_service *caller, struct str name)
{
	const struct stack_service *found = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct stack_service *v = &s->at[i];
		if (!answers_to(v, name))
			continue;
		if (share_network(caller, v))
			return v;
		if (!found || v->file == caller->file)
			found = v;
	}
	return found;
}

static const struct stack_service *nearest_service(const struct stack *s, struct str name)
{
	const struct stack_service *best = NULL;
	unsigned least = UINT32_MAX;

	for (size_t i = 0; i < s->n; i++) {
		unsigned d = nearest_distance(name, s->at[i].known_as);
		if (d >= least || !nearest_is_near(name, s->at[i].known_as))
			continue;
		least = d;
		best = &s->at[i];
	}
	return best;
}

static uint32_t line_of_upstream(const struct stack_service *v, struct str name)
{
	static const struct str keys[] = { { "OUTRIDER_UPSTREAMS", 18 }, { "outrider.upstreams", 18 } };

	for (size_t i = 0; i < 2; i++) {
		const struct pair *p = pairs_find(i == 0 ? &v->env : &v->labels, keys[i]);
		if (p && memmem(p->value.p, p->value.n, name.p, name.n))
			return p->line;
	}
	return v->line;
}

static void say_unknown(struct stack *s, const struct stack_service *v, struct str name, uint32_t line)
{
	const struct stack_service *near = nearest_service(s, name);

	if (near)
		stack_say(s, v, RULE_UNKNOWN_UPSTREAM, line, "no service is called %.*s; did you mean %.*s?",
			STR_ARG(name), STR_ARG(near->known_as));
	else if (joins_external(v))
		stack_say(s, v, RULE_OUTSIDE_UPSTREAM, line, "%.*s stands in no file that was given",
			STR_ARG(name));
	else
		stack_say(s, v, RULE_UNKNOWN_UPSTREAM, line,
			"no service is called %.*s, and %.*s is on no network that is shared "
			"with other stacks",
			STR_ARG(name), STR_ARG(v->name));
}

static void check_upstream(struct stack *s, const struct stack_service *v, struct str name)
{
	const struct stack_service *to = find_service(s, v, name);
	uint32_t line = line_of_upstream(v, name), ignored;

	if (options_of_text(v->o, name, OPT_UPSTREAM_ENDPOINTS).n)
		return;
	if (!to)
		say_unknown(s, v, name, line);
	else if (to != v && !stack_on_host(to, &ignored) && !share_network(v, to))
		stack_say(s, v, to->file == v->file ? RULE_NO_NETWORK : RULE_OTHER_STACK, line,
			"%.*s and %.*s (%s:%u) are on no common network", STR_ARG(v->name), STR_ARG(to->name),
			to->file->name, to->line);
}

void stack_check_network(struct stack *s, const struct stack_service *v)
{
	uint32_t line;

	if (stack_on_host(v, &line)) {
		stack_say(s, v, RULE_HOST_NETWORK, line, "%.*s is on the host's network", STR_ARG(v->name));
		return;
	}
	for (size_t i = 0; i < options_service_count(v->o) && i < CALLED_MAX; i++)
		check_upstream(s, v, options_service(v->o, i));
}

/* --- ports of one service ------------------------------------------------------------------------------------------ */

struct port_check {
	struct stack *s;
	const struct stack_service *v;
	uint16_t handler; /* 0: none */
	bool start_first, dnsrr;
};

static bool covers(const struct stack_port *p, uint16_t port)
{
	return !p->udp && port && port >= p->target && port <= p->target_end;
}

static bool listens(const struct options *o, enum option_id id, const struct stack_port *p)
{
	struct str rest = options_text(o, id), item;
	struct addr a;

	while (option_item_next(&rest, &item))
		if (option_address(item, &a, NULL) && addr_is_loopback(&a) && covers(p, addr_port(&a)))
			return true;
	return false;
}

static void check_pins(const struct port_check *c, const struct stack_port *p)
{
	struct str rest = options_text(c->v->o, OPT_UPSTREAMS);
	struct upstream_pin pin;

	while (upstream_pin_next(&rest, &pin, NULL) > 0) {
		uint16_t port = addr_port(&pin.addr);
		if (port != c->handler && covers(p, port)) /* the handler's is an option's problem already */
			stack_say(c->s, c->v, RULE_PIN_PORT, line_of_upstream(c->v, pin.service),
				"%.*s is pinned at port %u, on which the service itself listens (line %u)",
				STR_ARG(pin.service), port, p->line);
	}
}

static void on_port(void *arg, const struct stack_port *p)
{
	const struct port_check *c = arg;
	const struct stack_service *v = c->v;

	if (p->host && p->published && c->start_first)
		stack_say(c->s, v, RULE_HOST_PORT_ORDER, p->line,
			"port %u is published in mode host, and the order of updates is "
			"start-first",
			p->published);
	if (c->dnsrr && !p->host && !p->exposed)
		stack_say(c->s, v, RULE_ENDPOINT_MODE, p->line,
			"port %u is published through the ingress network, and "
			"endpoint_mode is dnsrr: Docker refuses both together",
			p->published);
	if (!v->o || v->role == ROLE_AGENT)
		return;
	check_pins(c, p);
	if (!p->exposed && (listens(v->o, OPT_OUTBOUND, p) || listens(v->o, OPT_ADMIN, p)))
		stack_say(c->s, v, RULE_LOOPBACK_PORT, p->line, "port %u is the agent's own", p->target);
	if (!p->exposed && covers(p, c->handler))
		stack_say(c->s, v, RULE_BYPASS, p->line,
			"published requests reach the handler's port %u past the agent", c->handler);
}

static uint16_t handler_port(const struct stack_service *v)
{
	struct addr a;
	uint16_t port;

	if (!v->o || !option_handler(options_text(v->o, OPT_PORT), &port, &a, NULL))
		return 0;
	return a.len ? addr_port(&a) : port;
}

void stack_check_ports(struct stack *s, const struct stack_service *v)
{
	const struct node *deploy = node_get(v->node, STR("deploy"));
	struct str mode = node_value(deploy, STR("endpoint_mode"));
	struct port_check c = {
		.s = s,
		.v = v,
		.handler = handler_port(v),
		.dnsrr = str_eq(mode, STR("dnsrr")),
		.start_first = str_eq(
			node_value(node_get(deploy, STR("update_config")), STR("order")), STR("start-first")),
	};

	if (mode.n && !c.dnsrr && !str_eq(mode, STR("vip")))
		stack_say(s, v, RULE_ENDPOINT_MODE, stack_line(v, deploy, STR("endpoint_mode")),
			"there is no endpoint_mode %.*s", (int)(mode.n < 80 ? mode.n : 80), mode.p);
	stack_ports(s, v, on_port, &c);
}

/* --- ports of all services ----------------------------------------------------------------------------------------- */

struct published {
	struct {
		const struct stack_service *v;
		struct stack_port p;
	} at[PUBLISHED_MAX];
	size_t n;
	struct stack *s;
	const struct stack_service *v;
};

static void on_published(void *arg, const struct stack_port *p)
{
	struct published *all = arg;

	if (!p->published || p->exposed || all->n == PUBLISHED_MAX)
		return;
	for (size_t i = 0; i < all->n; i++) {
		const struct stack_port *q = &all->at[i].p;
		/* Two in mode host may be on different nodes; two of one service are Docker's to refuse. */
		if ((p->host && q->host) || p->udp != q->udp || p->published > q->published_end ||
			q->published > p->published_end)
			continue;
		stack_say(all->s, all->v, RULE_PUBLISHED_TWICE, p->line,
			"port %u is published by %.*s too (%s:%u)",
			p->published > q->published ? p->published : q->published,
			STR_ARG(all->at[i].v->name), all->at[i].v->file->name, q->line);
		break;
	}
	all->at[all->n].v = all->v;
	all->at[all->n++].p = *p;
}

void stack_check_published(struct stack *s)
{
	struct published *all = mem_zalloc(sizeof(*all));

	if (!all) {
		s->out->failed = true;
		return;
	}
	all->s = s;
	for (size_t i = 0; i < s->n; i++) {
		all->v = &s->at[i];
		stack_ports(s, all->v, on_published, all);
	}
	mem_free(all);
}
