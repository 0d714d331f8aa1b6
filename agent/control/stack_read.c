/* The many spellings of compose files: maps or lists, short forms or long ones. */
#include "control/stack_int.h"

/* --- pairs --------------------------------------------------------------------------------------------------------- */

/* One item; 1: it is there, 0: it is left out. */
static bool pair_of(struct stack *s, const struct node *list, const struct node_item *i, char sep,
	bool from_env, struct pair *ret)
{
	*ret = (struct pair){ .key = i->key, .value = node_text(i->value), .line = i->line };
	bool valued = i->value->kind != NODE_NULL;

	if (list->kind == NODE_LIST) {
		struct str all = node_text(i->value);
		size_t at = str_find(all, sep);
		valued = at != SIZE_MAX;
		ret->key = str_make(all.p, valued ? at : all.n);
		ret->value = valued ? str_make(all.p + at + 1, all.n - at - 1) : STR("");
	}
	if (valued || !from_env)
		return ret->key.n > 0;
	const char *value = env_find(s->env, ret->key);
	ret->value = str_of(value ? value : "");
	return value != NULL;
}

bool stack_pairs(struct stack *s, const struct stack_service *v, const struct node *n, const char *what,
	char sep, bool from_env, struct pairs *ret)
{
	*ret = (struct pairs){ NULL, 0 };
	if (!n || n->kind == NODE_NULL)
		return true;
	if (n->kind == NODE_SCALAR) {
		stack_say(s, v, RULE_SHAPE, n->line, "%s is a text, and has to be a map or a list", what);
		return true;
	}
	struct pair *at = arena_alloc(&s->arena, (n->n + 1) * sizeof(*at));
	if (!at)
		return false;
	for (const struct node_item *i = n->first; i; i = i->next) {
		if (i->value->kind == NODE_MAP || i->value->kind == NODE_LIST)
			stack_say(s, v, RULE_SHAPE, i->line, "an item of %s is no text", what);
		else if (pair_of(s, n, i, sep, from_env, &at[ret->n]))
			ret->n++;
	}
	ret->at = at;
	return true;
}

const struct pair *pairs_find(const struct pairs *p, struct str key)
{
	for (size_t i = p->n; i-- > 0;)
		if (str_eq(p->at[i].key, key))
			return &p->at[i];
	return NULL;
}

/* --- words --------------------------------------------------------------------------------------------------------- */

size_t stack_words(const struct node *n, struct str *words, size_t max)
{
	size_t count = 0;

	for (const struct node_item *i = n && n->kind == NODE_LIST ? n->first : NULL; i && count < max;
		i = i->next)
		words[count++] = node_text(i->value);
	struct str rest = node_text(n), word;
	while (count < max && str_next(&rest, ' ', &word)) {
		if (word.n > 1 && (word.p[0] == '"' || word.p[0] == '\'') && word.p[word.n - 1] == word.p[0])
			word = str_make(word.p + 1, word.n - 2);
		if (word.n)
			words[count++] = word;
	}
	return count;
}

uint32_t stack_line(const struct stack_service *v, const struct node *map, struct str key)
{
	const struct node_item *i = node_item(map, key);
	return i ? i->line : v->line;
}

/* --- durations ----------------------------------------------------------------------------------------------------- */

static bool duration_unit(struct str *s, usec *ret)
{
	static const struct {
		const char *word;
		usec each;
	} units[] = { { "ms", USEC_MS }, { "us", 1 }, { "h", 3600 * USEC_SEC }, { "m", 60 * USEC_SEC },
		{ "s", USEC_SEC } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct str word = str_of(units[i].word);
		if (!str_starts(*s, word))
			continue;
		*ret = units[i].each;
		*s = str_make(s->p + word.n, s->n - word.n);
		return true;
	}
	return false;
}

bool stack_duration(struct str s, usec *ret)
{
	usec all = 0;

	if (str_eq(s, STR("0"))) {
		*ret = 0;
		return true;
	}
	if (!s.n)
		return false;
	while (s.n) {
		size_t n = 0;
		uint64_t v;
		usec each;
		while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
			n++;
		if (!str_u64(str_make(s.p, n), &v) || v > 1000000000)
			return false;
		s = str_make(s.p + n, s.n - n);
		if (!duration_unit(&s, &each))
			return false;
		all += (usec)v * each;
	}
	*ret = all;
	return true;
}

/* --- ports --------------------------------------------------------------------------------------------------------- */

/* "8080", "9000-9010" */
static bool port_range(struct str s, uint16_t *from, uint16_t *to)
{
	size_t dash = str_find(s, '-');
	uint64_t a, b;

	if (!str_u64(str_make(s.p, dash == SIZE_MAX ? s.n : dash), &a) || a > 65535)
		return false;
	b = a;
	if (dash != SIZE_MAX &&
		(!str_u64(str_make(s.p + dash + 1, s.n - dash - 1), &b) || b > 65535 || b < a))
		return false;
	*from = (uint16_t)a;
	*to = (uint16_t)b;
	return true;
}

/* [[IP:]published:]target[/protocol] */
static bool port_short(struct str s, struct stack_port *p)
{
	size_t slash = str_find(s, '/'), colon;

	if (slash != SIZE_MAX) {
		p->udp = !str_ieq(str_make(s.p + slash + 1, s.n - slash - 1), STR("tcp"));
		s.n = slash;
	}
	colon = str_rfind(s, ':');
	if (colon == SIZE_MAX)
		return port_range(s, &p->target, &p->target_end) && p->target;
	if (!port_range(str_make(s.p + colon + 1, s.n - colon - 1), &p->target, &p->target_end) || !p->target)
		return false;
	s.n = colon;
	colon = str_rfind(s, ':');
	if (colon != SIZE_MAX)
		s = str_make(s.p + colon + 1, s.n - colon - 1);
	return s.n == 0 || port_range(s, &p->published, &p->published_end);
}

static bool port_long(const struct node *n, struct stack_port *p)
{
	struct str published = node_value(n, STR("published")), protocol = node_value(n, STR("protocol"));

	p->udp = protocol.n && !str_ieq(protocol, STR("tcp"));
	p->host = str_eq(node_value(n, STR("mode")), STR("host"));
	return port_range(node_value(n, STR("target")), &p->target, &p->target_end) && p->target &&
	       (!published.n || port_range(published, &p->published, &p->published_end));
}

static void ports_of(struct stack *s, const struct stack_service *v, const struct node *list, bool exposed,
	void (*fn)(void *arg, const struct stack_port *p), void *arg)
{
	for (const struct node_item *i = list && list->kind == NODE_LIST ? list->first : NULL; i;
		i = i->next) {
		struct stack_port p = { .exposed = exposed, .line = i->line };
		bool ok = i->value->kind == NODE_MAP ? port_long(i->value, &p)
						     : port_short(node_text(i->value), &p);
		if (ok)
			fn(arg, &p);
		else
			stack_say(s, v, RULE_SHAPE, i->line,
				"this is no port: write 8080, \"80:8080\" or {target: 8080, "
				"published: 80}");
	}
}

void stack_ports(struct stack *s, const struct stack_service *v,
	void (*fn)(void *arg, const struct stack_port *p), void *arg)
{
	ports_of(s, v, node_get(v->node, STR("ports")), false, fn, arg);
	ports_of(s, v, node_get(v->node, STR("expose")), true, fn, arg);
}

/* --- mounts -------------------------------------------------------------------------------------------------------- */

/* SOURCE:TARGET[:OPTIONS], or a map. */
static struct stack_mount mount_of(const struct node_item *i)
{
	const struct node *n = i->value;
	struct stack_mount m = { .line = i->line, .propagation = STR("") };

	if (n->kind == NODE_MAP) {
		m.source = node_value(n, STR("source"));
		m.target = node_value(n, STR("target"));
		m.bind = str_eq(node_value(n, STR("type")), STR("bind"));
		m.propagation = node_value(node_get(n, STR("bind")), STR("propagation"));
		return m;
	}
	struct str rest = node_text(n), option;
	m.source = m.target = STR("");
	(void)str_next(&rest, ':', &m.source);
	(void)str_next(&rest, ':', &m.target);
	m.bind = m.source.n && m.source.p[0] == '/';
	while (str_next(&rest, ',', &option))
		if (str_ends(option, STR("slave")) || str_ends(option, STR("shared")) ||
			str_ends(option, STR("private")))
			m.propagation = option;
	return m;
}

bool stack_mount(const struct stack_service *v, struct str tail, bool by_source, struct stack_mount *ret)
{
	const struct node *list = node_get(v->node, STR("volumes"));

	for (const struct node_item *i = list && list->kind == NODE_LIST ? list->first : NULL; i;
		i = i->next) {
		*ret = mount_of(i);
		struct str path = by_source ? ret->source : ret->target;
		while (path.n > 1 && path.p[path.n - 1] == '/')
			path.n--;
		if (str_ends(path, tail))
			return true;
	}
	return false;
}
