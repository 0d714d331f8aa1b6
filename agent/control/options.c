#include "control/options_impl.h"

#include "base/mem.h"
#include "control/cpus.h"
#include "control/option_value.h"

#define CELL_KEY_MAX (OPTIONS_KEY_MAX + 2)
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

static void wipe(struct option_entry *e)
{
	mem_wipe_free(e->secret, e->secret_n);
	e->secret = NULL;
	e->secret_n = 0;
}

void options_free(struct options *o)
{
	if (!o)
		return;
	for (struct option_cell *c = o->first; c; c = c->next)
		for (struct option_entry *e = c->top; e; e = e->weaker)
			if (e->secret)
				wipe(e);
	table_release(&o->cells);
	arena_release(&o->arena);
	arena_release(&o->judged);
	mem_free(o);
}

/* --- cells ---------------------------------------------------------------------------------------------------------- */

static struct str cell_key(char buf[CELL_KEY_MAX], enum option_id id, bool folded, struct str subject)
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
	char buf[CELL_KEY_MAX];
	return table_get(&o->cells, cell_key(buf, id, folded, subject));
}

static struct option_cell *cell_make(struct options *o, enum option_id id, bool folded, struct str subject)
{
	char buf[CELL_KEY_MAX];
	struct str key = cell_key(buf, id, folded, subject);
	struct option_cell *c = table_get(&o->cells, key);

	if (c)
		return c;
	char *kept = arena_z(&o->arena, key);
	c = arena_zalloc(&o->arena, sizeof(*c));
	if (!kept || !c || !table_put(&o->cells, str_make(kept, key.n), c))
		return NULL;
	c->id = id;
	c->folded = folded;
	c->subject = str_make(kept + 2, key.n - 2);
	*o->last = c;
	o->last = &c->next;
	return c;
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
	if (row && row->type == OPTION_SECRET && value.n)
		value = STR("***");
	*p = (struct option_problem){ .row = row };
	p->key = printable(&o->arena, key, OPTIONS_KEY_MAX);
	p->value = printable(&o->arena, value, PROBLEM_VALUE_MAX);
	p->origin = printable(&o->arena, origin, OPTIONS_KEY_MAX);
	p->why = printable(&o->arena, str_of(why), ERR_MAX);
	if (!p->key.p || !p->value.p || !p->origin.p || !p->why.p)
		return false;
	p->text = arena_fmt(&o->arena, "%s=%s%s (%s): %s", p->key.p, p->value.p,
			    value.n > PROBLEM_VALUE_MAX ? "..." : "", p->origin.p, p->why.p);
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

	if (subject.n && subject.n <= sizeof(folded) && !str_eq(subject, STR(OPTIONS_DEFAULT_SUBJECT)))
		env = options_cell(o, id, true, key_fold(subject, folded));
	const struct option_entry *a = exact ? exact->top : NULL, *b = env ? env->top : NULL;
	if (!a || !b)
		return a ? a : b;
	return a->layer >= b->layer ? a : b;
}

const struct option_entry *options_effective(const struct options *o, enum option_id id, struct str subject)
{
	const struct option_entry *e = options_entry(o, id, subject);

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

/* --- putting -------------------------------------------------------------------------------------------------------- */

/* The subject as it is kept: lower case, of env names folded. `buf`: OPTIONS_KEY_MAX bytes. */
static struct str subject_kept(const struct option_key *k, char *buf)
{
	if (k->folded)
		return key_fold(k->subject, buf);
	for (size_t i = 0; i < k->subject.n; i++) {
		char c = k->subject.p[i];
		buf[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	return str_make(buf, k->subject.n);
}

/* An agent on a node serves containers of others: their env and labels name no path (DESIGN section 4). */
static bool names_path(struct str value)
{
	for (size_t i = 0; i + 6 <= value.n; i++)
		if (str_istarts(str_make(value.p + i, value.n - i), STR("unix:/")))
			return true;
	return false;
}

static bool may_set(const struct option_row *row, const struct option_key *k, const struct option_input *in,
		    struct err *why)
{
	static const char *const who[] = { "the agent's own flags and environment", "the agent and its sources" };
	enum option_who setter = in->layer >= LAYER_ENV                                       ? WHO_PROCESS :
				 in->layer == LAYER_LABEL || in->layer == LAYER_CONTAINER_ENV ? WHO_CONTAINER :
												WHO_OPERATOR;

	if (setter > row->who)
		return err_set(why, "only %s may set this option", who[row->who]);
	if (k->file && setter != WHO_PROCESS)
		return err_set(why, "only the agent's own flags and environment may name a file");
	if (setter == WHO_CONTAINER && names_path(in->value))
		return err_set(why, "a container may name no path");
	if ((row->flags & OPTION_NODEFAULT) && str_eq(k->subject, STR(OPTIONS_DEFAULT_SUBJECT)))
		return err_set(why, "it belongs to one service: outrider.upstream.<service>.%s", row->name);
	return true;
}

static bool subject_fits(const struct option_row *row, const struct option_key *k, struct err *why)
{
	if (k->subject.n == 0 || str_eq(k->subject, STR(OPTIONS_DEFAULT_SUBJECT)))
		return true;
	const char *what = row->scope == SCOPE_ROUTE ? "route" : "service";
	return service_name_check(k->subject, why) ||
	       err_prefix(why, "\"%.*s\" can be no %s", (int)(k->subject.n < 80 ? k->subject.n : 80), k->subject.p, what);
}

/* A new entry at its place among the layers; NULL and *clash when another spelling stands in that layer already. */
static struct option_entry *entry_make(struct options *o, struct option_cell *c, const struct option_input *in,
				       const struct option_entry **clash)
{
	struct option_entry **at = &c->top;

	while (*at && (*at)->layer > in->layer)
		at = &(*at)->weaker;
	*clash = NULL;
	struct option_entry *e = *at;
	if (e && e->layer == in->layer) {
		if (!str_eq(e->key, in->key)) {
			*clash = e;
			return NULL;
		}
	} else {
		e = arena_zalloc(&o->arena, sizeof(*e));
		if (!e)
			return NULL;
		e->layer = (uint8_t)in->layer;
		e->weaker = *at;
		e->value = STR("");
		e->origin = "";
		e->key = arena_str(&o->arena, in->key);
		if (!e->key.p)
			return NULL;
		*at = e;
	}
	return e;
}

static bool entry_fill(struct options *o, struct option_entry *e, const struct option_row *row,
		       const struct option_input *in, uint64_t number)
{
	bool secret = row->type == OPTION_SECRET;
	/* Many keys of one source have the same origin. */
	const char *origin = str_eq(str_of(e->origin), in->origin) ? e->origin : arena_z(&o->arena, in->origin);
	char *copy = secret ? mem_dup(in->value.p ? in->value.p : "", in->value.n) : arena_z(&o->arena, in->value);

	if (!origin || !copy) {
		if (secret)
			mem_wipe_free(copy, in->value.n);
		return false;
	}
	if (e->secret)
		wipe(e);
	if (secret) {
		e->secret = copy;
		e->secret_n = in->value.n;
	}
	e->origin = origin;
	e->value = str_make(copy, in->value.n);
	e->number = number;
	return true;
}

static bool no_room(struct err *err)
{
	return err_set(err, "out of memory while reading options, or more than %u keys", OPTIONS_KEYS_MAX);
}

static bool store(struct options *o, const struct option_input *in, const struct option_key *k, uint64_t number,
		  struct err *err)
{
	char buf[OPTIONS_KEY_MAX];
	const struct option_row *row = option_row(k->id);
	const struct option_entry *clash;
	struct option_cell *c = cell_make(o, k->id, k->folded, subject_kept(k, buf));
	struct option_entry *e = c ? entry_make(o, c, in, &clash) : NULL;

	if (e)
		return entry_fill(o, e, row, in, number) || no_room(err);
	if (!c || !clash)
		return no_room(err);
	struct err why;
	err_set(&why, "%.*s says the same option in the same place; keep one of them", STR_ARG(clash->key));
	return options_note(o, row, in->key, in->value, in->origin, why.text) || no_room(err);
}

static bool unknown(struct options *o, const struct option_input *in, struct err *err)
{
	struct text t;

	text_init(&t, ERR_MAX);
	text_addz(&t, "no such option; ");
	struct text near;
	text_init(&near, 2 * OPTIONS_KEY_MAX);
	if (o->n_problems < OPTIONS_PROBLEMS_MAX && key_nearest(&o->index, in->name, in->form, &near))
		text_fmt(&t, "did you mean %s?", text_z(&near));
	else
		text_addz(&t, "`outrider help options` lists them");
	bool ok = options_note(o, NULL, in->key, in->value, in->origin, text_z(&t));
	text_release(&near);
	text_release(&t);
	return ok || no_room(err);
}

static void forget_judgement(struct options *o)
{
	o->n_problems = o->n_read;
	o->problems_total = o->read_total;
	o->n_services = o->n_routes = o->n_pins = 0;
	arena_reset(&o->judged);
}

static bool put_secret_file(struct options *o, struct option_input *in, const struct option_key *k, struct err *err)
{
	struct err why = { "" };
	struct str secret;
	size_t cap;
	uint64_t number = 0;
	char path[4096], *mem = NULL;
	const struct option_row *row = option_row(k->id);

	if (!str_copy(in->value, path, sizeof(path)))
		err_set(&why, "the path is too long");
	else
		mem = secret_read(path, &secret, &cap, &why);
	if (mem && !option_value_parse(row, secret, &number, &why)) {
		mem_wipe_free(mem, cap);
		mem = NULL;
	}
	if (!mem) /* the path is no secret: it helps to see it */
		return options_note(o, NULL, in->key, in->value, in->origin, why.text) || no_room(err);
	in->value = secret;
	bool ok = store(o, in, k, number, err);
	mem_wipe_free(mem, cap);
	return ok;
}

static bool put(struct options *o, struct option_input *in, struct err *err)
{
	struct option_key k;
	struct err why = { "" };
	uint64_t number = 0;

	if (in->key.n > OPTIONS_KEY_MAX)
		return options_note(o, NULL, in->key, in->value, in->origin, "the key is too long") || no_room(err);
	if (!key_parse(&o->index, in->name, in->form, &k))
		return unknown(o, in, err);
	const struct option_row *row = option_row(k.id);
	if (!may_set(row, &k, in, &why) || !subject_fits(row, &k, &why))
		return options_note(o, row, in->key, in->value, in->origin, why.text) || no_room(err);
	if (k.file)
		return put_secret_file(o, in, &k, err);
	if (!option_value_parse(row, in->value, &number, &why))
		return options_note(o, row, in->key, in->value, in->origin, why.text) || no_room(err);
	return store(o, in, &k, number, err);
}

bool options_put(struct options *o, const struct option_input *in, struct err *err)
{
	struct option_input trimmed = *in;

	forget_judgement(o);
	trimmed.value = str_trim(in->value);
	if (!trimmed.value.p)
		trimmed.value = STR("");
	bool ok = put(o, &trimmed, err);
	o->n_read = o->n_problems;
	o->read_total = o->problems_total;
	return ok;
}

bool options_set(struct options *o, enum option_layer layer, struct str key, struct str value, struct str origin,
		 struct err *err)
{
	struct option_input in = {
		.layer = layer, .form = KEY_PROPERTY, .key = key, .value = value, .origin = origin
	};

	if (!key_strip(key, KEY_PROPERTY, &in.name))
		return true;
	return options_put(o, &in, err);
}
