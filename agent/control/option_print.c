/* Options for people and programs: effective values, and the table itself. */
#include "control/options_impl.h"

#include "base/json.h"
#include "control/option_value.h"

#define WIDTH_MAX 48

struct shown { /* one effective option */
	enum option_id id;
	struct str subject;
	const struct option_entry *entry; /* NULL: the default */
};

typedef void (*shown_fn)(void *arg, const struct options *o, const struct shown *s);

/* Options of an upstream that were said of a route. */
static void each_by_route(const struct options *o, struct str route, shown_fn fn, void *arg)
{
	char buf[OPTIONS_KEY_MAX + 1];
	struct shown s = { .subject = str_make(buf, route.n + 1) };

	if (route.n >= OPTIONS_KEY_MAX)
		return;
	buf[0] = OPTIONS_ROUTE_MARK;
	memcpy(buf + 1, route.p, route.n);
	for (unsigned i = 0; i < OPT_COUNT; i++) {
		s.id = (enum option_id)i;
		s.entry = option_row(s.id)->flags & OPTION_BY_ROUTE ? options_entry(o, s.id, s.subject) : NULL;
		if (s.entry)
			fn(arg, o, &s);
	}
}

/* Rows of the table in its order, then what is said of single services and routes. */
static void each_shown(const struct options *o, shown_fn fn, void *arg)
{
	struct shown s = { .subject = STR("") };

	for (unsigned i = 0; i < OPT_COUNT; i++) {
		const struct option_row *row = option_row((enum option_id)i);
		bool upstream = row->scope == SCOPE_UPSTREAM;
		if (row->scope == SCOPE_ROUTE || (row->flags & OPTION_NODEFAULT))
			continue;
		s.id = (enum option_id)i;
		s.subject = upstream ? STR(OPTIONS_DEFAULT_SUBJECT) : STR("");
		s.entry = options_entry(o, s.id, s.subject);
		fn(arg, o, &s);
	}
	for (size_t k = 0; k < o->n_services + o->n_routes; k++) {
		bool route = k >= o->n_services;
		s.subject = route ? o->routes[k - o->n_services] : o->services[k];
		for (unsigned i = 0; i < OPT_COUNT; i++) {
			s.id = (enum option_id)i;
			if (option_row(s.id)->scope != (route ? SCOPE_ROUTE : SCOPE_UPSTREAM))
				continue;
			s.entry = options_entry(o, s.id, s.subject);
			if (s.entry)
				fn(arg, o, &s);
		}
		if (route)
			each_by_route(o, s.subject, fn, arg);
	}
}

static struct str shown_value(const struct shown *s)
{
	const struct option_row *row = option_row(s->id);
	struct str v = s->entry ? s->entry->value : str_of(row->def);
	return option_value_shown(row, v);
}

/* --- aligned text -------------------------------------------------------------------------------------------------------- */

struct columns {
	struct text *t;
	struct text key; /* scratch */
	size_t key_width, value_width, origin_width;
};

static void widen(size_t *w, size_t n)
{
	if (n > *w)
		*w = n < WIDTH_MAX ? n : WIDTH_MAX;
}

static void measure(void *arg, const struct options *o, const struct shown *s)
{
	struct columns *c = arg;

	text_clear(&c->key);
	key_print(&o->index, &c->key, s->id, s->subject);
	widen(&c->key_width, c->key.n);
	widen(&c->value_width, shown_value(s).n);
	widen(&c->origin_width, s->entry ? strlen(s->entry->origin) : 7);
}

static void pad(struct text *t, struct str s, size_t width)
{
	text_add(t, s.n ? s : STR("-"));
	for (size_t n = s.n ? s.n : 1; n < width; n++)
		text_char(t, ' ');
	text_addz(t, "  ");
}

static void put_line(struct columns *c, struct str key, struct str value, struct str origin, struct str def)
{
	pad(c->t, key, c->key_width);
	pad(c->t, value, c->value_width);
	pad(c->t, origin, c->origin_width);
	text_add(c->t, def.n ? def : STR("-"));
	text_char(c->t, '\n');
}

static void print_line(void *arg, const struct options *o, const struct shown *s)
{
	struct columns *c = arg;

	text_clear(&c->key);
	key_print(&o->index, &c->key, s->id, s->subject);
	put_line(c, text_str(&c->key), shown_value(s), s->entry ? str_of(s->entry->origin) : STR("default"),
		 str_of(option_row(s->id)->def));
}

static void print_text(const struct options *o, struct text *t)
{
	struct columns c = { .t = t, .key_width = 3, .value_width = 5, .origin_width = 6 };

	text_init(&c.key, 2 * OPTIONS_KEY_MAX);
	each_shown(o, measure, &c);
	put_line(&c, STR("KEY"), STR("VALUE"), STR("ORIGIN"), STR("DEFAULT"));
	each_shown(o, print_line, &c);
	for (size_t i = 0; i < o->n_problems; i++)
		text_fmt(t, "problem: %s\n", o->problems[i].text);
	if (c.key.failed)
		t->failed = true;
	text_release(&c.key);
}

/* --- JSON and properties ---------------------------------------------------------------------------------------------------- */

static const char *const scope_words[] = { "process", "sidecar", "upstream", "route" };

struct json_arg {
	struct json *j;
	struct text key;
};

static void print_object(void *arg, const struct options *o, const struct shown *s)
{
	struct json_arg *a = arg;
	const struct option_row *row = option_row(s->id);

	text_clear(&a->key);
	key_print(&o->index, &a->key, s->id, s->subject);
	json_object(a->j);
	json_key(a->j, "key");
	json_str(a->j, text_str(&a->key));
	json_key(a->j, "value");
	json_str(a->j, shown_value(s));
	json_key(a->j, "origin");
	json_strz(a->j, s->entry ? s->entry->origin : "default");
	json_key(a->j, "default");
	json_strz(a->j, row->def);
	json_key(a->j, "scope");
	json_strz(a->j, scope_words[row->scope]);
	json_key(a->j, "reloadable");
	json_bool(a->j, row->change == CHANGE_LIVE);
	json_end(a->j);
}

void options_print_json(const struct options *o, struct json *j)
{
	struct json_arg a = { .j = j };

	text_init(&a.key, 2 * OPTIONS_KEY_MAX);
	json_key(j, "options");
	json_array(j);
	each_shown(o, print_object, &a);
	json_end(j);
	json_key(j, "problems");
	json_array(j);
	for (size_t i = 0; i < o->n_problems; i++) {
		const struct option_problem *p = &o->problems[i];
		json_object(j);
		json_key(j, "key");
		json_str(j, p->key);
		json_key(j, "value");
		json_str(j, p->value);
		json_key(j, "origin");
		json_str(j, p->origin);
		json_key(j, "why");
		json_str(j, p->why);
		json_end(j);
	}
	json_end(j);
	if (a.key.failed)
		j->t->failed = true;
	text_release(&a.key);
}

static void print_property(void *arg, const struct options *o, const struct shown *s)
{
	struct text *t = arg;

	if (!s->entry)
		return;
	key_print(&o->index, t, s->id, s->subject);
	text_char(t, '=');
	text_add(t, shown_value(s));
	text_char(t, '\n');
}

void options_print(const struct options *o, struct text *t, enum options_format format)
{
	if (format == OPTIONS_TEXT) {
		print_text(o, t);
	} else if (format == OPTIONS_PROPERTIES) {
		each_shown(o, print_property, t);
	} else {
		struct json j = json_begin(t);
		json_object(&j);
		options_print_json(o, &j);
		json_end(&j);
		text_char(t, '\n');
	}
}
