#include "control/options_impl.h"

#include "base/mem.h"
#include "control/cpus.h"
#include "control/option_mask.h"
#include "control/option_value.h"

#define PROBLEM_VALUE_MAX 80u
#define WORKERS_AUTO_MAX 4u

/* --- life ---------------------------------------------------------------------------------------------------------- */

struct options *options_new(void)
{
	struct options *o = mem_zalloc(sizeof(*o));

	if (!o)
		return NULL;
	arena_init(&o->arena, OPTIONS_MEMORY_MAX, NULL, 0);
	arena_init(&o->judged, OPTIONS_MEMORY_MAX, NULL, 0);
	table_init(&o->cells, OPTIONS_KEYS_MAX, (uintptr_t)o);
	row_index_init(&o->index);
	o->last = &o->first;
	for (unsigned i = 0; i < OPT_COUNT; i++) {
		const struct option_row *row = option_row((enum option_id)i);
		/* "" is no value, but the default of what is not set; a test proves that all others parse. */
		(void)!option_value_parse(row, str_of(row->def), &o->defaults[i], NULL);
	}
	return o;
}

void options_free(struct options *o)
{
	if (!o)
		return;
	for (struct option_cell *c = o->first; c; c = c->next)
		for (struct option_entry *e = c->top; e; e = e->weaker)
			mem_wipe_free(e->secret, e->secret_n);
	table_release(&o->cells);
	arena_release(&o->arena);
	arena_release(&o->judged);
	mem_free(o);
}

/* --- cells ---------------------------------------------------------------------------------------------------------- */

struct str options_cell_key(char buf[OPTIONS_CELL_KEY_MAX], enum option_id id, bool folded, struct str subject)
{
	size_t n = subject.n < OPTIONS_KEY_MAX ? subject.n : OPTIONS_KEY_MAX;

	buf[0] = (char)id;
	buf[1] = folded;
	if (n)
		memcpy(buf + 2, subject.p, n);
	return str_make(buf, n + 2);
}

struct option_cell *options_cell(const struct options *o, enum option_id id, bool folded, struct str subject)
{
	char buf[OPTIONS_CELL_KEY_MAX];
	struct option_cell *c = o->common[id];

	if (folded && !o->any_folded)
		return NULL;
	if (!folded && (subject.n == 0 || str_eq(subject, STR(OPTIONS_DEFAULT_SUBJECT))))
		return c && str_eq(c->subject, subject) ? c : NULL;
	return table_get(&o->cells, options_cell_key(buf, id, folded, subject));
}

/* --- problems ------------------------------------------------------------------------------------------------------- */

/* A copy for people: control bytes as '?', cut. */
static struct str printable(struct arena *a, struct str s, size_t max)
{
	size_t n = s.n < max ? s.n : max;
	char *p = arena_z(a, str_make(s.p, n));

	for (size_t i = 0; p && i < n; i++)
		if ((unsigned char)p[i] < ' ' || p[i] == 127)
			p[i] = '?';
	return str_make(p, p ? n : 0);
}

bool options_note(struct options *o, const struct option_row *row, struct str key, struct str value, struct str origin,
		  const char *why)
{
	o->problems_total++;
	if (o->n_problems == OPTIONS_PROBLEMS_MAX)
		return true;
	struct option_problem *p = &o->problems[o->n_problems];
	struct text shown;
	text_init(&shown, 4 * value.n + 16); /* "***@" stands for no less than '@' */
	mask_value(&shown, row, key, value);
	value = text_str(&shown);
	*p = (struct option_problem){ .row = row };
	p->key = printable(&o->arena, key, OPTIONS_KEY_MAX);
	p->value = printable(&o->arena, value.n ? value : STR(""), PROBLEM_VALUE_MAX);
	bool cut = value.n > PROBLEM_VALUE_MAX, masked = !shown.failed;
	text_release(&shown);
	p->origin = printable(&o->arena, origin, OPTIONS_KEY_MAX);
	p->why = printable(&o->arena, str_of(why), ERR_MAX);
	if (!masked || !p->key.p || !p->value.p || !p->origin.p || !p->why.p)
		return false;
	p->text = arena_fmt(&o->arena, "%s=%s%s (%s): %s", p->key.p, p->value.p,
			    cut ? "..." : "", p->origin.p, p->why.p);
	if (!p->text)
		return false;
	o->n_problems++;
	return true;
}

bool options_note_entry(struct options *o, enum option_id id, struct str subject, const struct option_entry *e,
			const char *why)
{
	const struct option_row *row = option_row(id);

	if (e)
		return options_note(o, row, e->key, e->value, str_of(e->origin), why);
	struct text t;
	text_init(&t, 2 * OPTIONS_KEY_MAX);
	key_print(&o->index, &t, id, subject);
	bool ok = options_note(o, row, text_str(&t), str_of(row->def), STR("default"), why);
	text_release(&t);
	return ok;
}

size_t options_problem_count(const struct options *o)
{
	return o->n_problems;
}

size_t options_problem_total(const struct options *o)
{
	return o->problems_total;
}

const struct option_problem *options_problem(const struct options *o, size_t i)
{
	return i < o->n_problems ? &o->problems[i] : NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

const struct option_entry *options_entry(const struct options *o, enum option_id id, struct str subject)
{
	char folded[OPTIONS_KEY_MAX];
	const struct option_cell *exact = options_cell(o, id, false, subject), *env = NULL;

	if (o->any_folded && subject.n && subject.n <= sizeof(folded) && !str_eq(subject, STR(OPTIONS_DEFAULT_SUBJECT)))
		env = options_cell(o, id, true, key_fold(subject, folded));
	const struct option_entry *a = exact ? exact->top : NULL, *b = env ? env->top : NULL;
	if (!a || !b)
		return a ? a : b;
	return a->layer >= b->layer ? a : b;
}

/* "@route@upstream" in its two halves, the first with its mark. */
static bool split_route(struct str subject, struct str *route, struct str *upstream)
{
	if (subject.n < 2 || subject.p[0] != OPTIONS_ROUTE_MARK)
		return false;
	size_t second = str_find(str_make(subject.p + 1, subject.n - 1), OPTIONS_ROUTE_MARK);
	if (second == SIZE_MAX)
		return false;
	*route = str_make(subject.p, second + 1);
	*upstream = str_make(subject.p + second + 2, subject.n - second - 2);
	return true;
}

bool options_route_differs(const struct options *o, struct str route)
{
	char buf[OPTIONS_KEY_MAX];

	if (route.n >= sizeof(buf))
		return false;
	buf[0] = OPTIONS_ROUTE_MARK;
	memcpy(buf + 1, route.p, route.n);
	for (unsigned i = 0; i < OPT_COUNT; i++)
		if ((option_row((enum option_id)i)->flags & OPTION_BY_ROUTE) && options_entry(o, (enum option_id)i, str_make(buf, route.n + 1)))
			return true;
	return false;
}

const struct option_entry *options_effective(const struct options *o, enum option_id id, struct str subject)
{
	struct str route, upstream;
	bool by_route = split_route(subject, &route, &upstream);
	const struct option_entry *e = options_entry(o, id, by_route ? route : subject);

	if (!e && by_route)
		e = options_entry(o, id, upstream);

	if (!e && option_row(id)->scope == SCOPE_UPSTREAM)
		e = options_entry(o, id, STR(OPTIONS_DEFAULT_SUBJECT));
	return e;
}

uint64_t options_of_u64(const struct options *o, struct str subject, enum option_id id)
{
	const struct option_entry *e = options_effective(o, id, subject);
	return e ? e->number : o->defaults[id];
}

usec options_of_duration(const struct options *o, struct str subject, enum option_id id)
{
	return options_of_u64(o, subject, id);
}

bool options_of_bool(const struct options *o, struct str subject, enum option_id id)
{
	return options_of_u64(o, subject, id) != 0;
}

struct str options_of_text(const struct options *o, struct str subject, enum option_id id)
{
	const struct option_entry *e = options_effective(o, id, subject);
	return e ? e->value : str_of(option_row(id)->def);
}

const char *options_of_origin(const struct options *o, struct str subject, enum option_id id)
{
	const struct option_entry *e = options_effective(o, id, subject);
	return e ? e->origin : "default";
}

uint64_t options_u64(const struct options *o, enum option_id id)
{
	return options_of_u64(o, STR(""), id);
}

usec options_duration(const struct options *o, enum option_id id)
{
	return options_of_u64(o, STR(""), id);
}

bool options_bool(const struct options *o, enum option_id id)
{
	return options_of_u64(o, STR(""), id) != 0;
}

struct str options_text(const struct options *o, enum option_id id)
{
	return options_of_text(o, STR(""), id);
}

struct str options_setting(const void *of, const char *plugin, const char *name)
{
	const struct options *o = of;
	char key[128];
	struct option_key k;
	int n = snprintf(key, sizeof(key), "%s.%s", plugin, name);

	if (!o || n <= 0 || (size_t)n >= sizeof(key) ||
	    !key_parse(&o->index, str_make(key, (size_t)n), KEY_PROPERTY, &k) || k.subject.n || k.file)
		return (struct str){ NULL, 0 };
	struct str v = options_text(o, k.id);
	return v.n ? v : (struct str){ NULL, 0 };
}

const char *options_origin(const struct options *o, enum option_id id)
{
	return options_of_origin(o, STR(""), id);
}

bool options_is_set(const struct options *o, enum option_id id)
{
	return options_effective(o, id, STR("")) != NULL;
}

unsigned options_workers(const struct options *o)
{
	uint64_t n = options_u64(o, OPT_WORKERS);

	if (n)
		return (unsigned)n;
	unsigned granted = cpus_granted();
	return granted < WORKERS_AUTO_MAX ? granted : WORKERS_AUTO_MAX;
}

size_t options_service_count(const struct options *o)
{
	return o->n_services;
}

struct str options_service(const struct options *o, size_t i)
{
	return i < o->n_services ? o->services[i] : str_make(NULL, 0);
}

size_t options_route_count(const struct options *o)
{
	return o->n_routes;
}

struct str options_route(const struct options *o, size_t i)
{
	return i < o->n_routes ? o->routes[i] : str_make(NULL, 0);
}
