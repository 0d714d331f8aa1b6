#include "control/app_entry.h"

#include "base/clock.h"
#include "control/app_json.h"
#include "control/app_level.h"
#include "control/app_text.h"
#include "control/app_trace.h"

#define TEXT_MAX (8u * APP_ENTRY_JSON_MAX)
#define NO_MESSAGE "-" /* of an object that says none: some sinks may not have it empty */

/* Names that loggers give to what we take; the first that is there and makes sense wins. */
static const char *const time_names[] = { "time", "timestamp", "@timestamp", "@t", "ts", "datetime", NULL };
static const char *const level_names[] = { "level", "severity", "log.level", "loglevel", "lvl", "levelname",
	"@l", NULL };
static const char *const message_names[] = { "message", "msg", "short_message", "@m", "event", NULL };
/* Our stamps: what else a record has (control/log_json.h). */
static const char *const stamps[] = { "time", "level", "kind", "type", "subsystem", "message", "service", "task",
	"stack", "slot", "node", "stream", "trace_id", "span_id", "partial", NULL };

static bool is_one_of(struct str name, const char *const *list)
{
	for (; *list; list++)
		if (str_eq(name, str_of(*list)))
			return true;
	return false;
}

void app_entry_init(struct app_entry *e)
{
	*e = (struct app_entry){ .level = LEVEL_INFO };
	text_init(&e->text, TEXT_MAX);
}

void app_entry_release(struct app_entry *e)
{
	text_release(&e->text);
}

/* --- what is taken ----------------------------------------------------------------------------------------------------- */

static struct app_member *member(struct app_object *o, const char *name)
{
	for (size_t i = 0; i < o->n; i++)
		if (str_eq(o->at[i].name, str_of(name)))
			return &o->at[i];
	return NULL;
}

/* The content of a string that has no escapes, or the digits of a number. */
static struct str plain(struct str value)
{
	if (value.n >= 2 && value.p[0] == '"' && str_find(value, '\\') == SIZE_MAX)
		return str_make(value.p + 1, value.n - 2);
	return value.n && value.p[0] != '"' ? value : STR("");
}

/* Seconds, milli-, micro- or nanoseconds since 1970, by their size: these ranges are apart until the year 5138. */
static uint64_t wall_of_number(struct str digits)
{
	size_t point = str_find(digits, '.');
	struct str whole = point == SIZE_MAX ? digits : str_make(digits.p, point);
	uint64_t n, wall, unit = USEC_SEC / 10;

	if (!str_u64(whole, &n) || n < 100000000)
		return 0;
	if (n >= 100000000000000000)
		return n / 1000;
	if (n >= 100000000000000)
		return n;
	if (n >= 100000000000)
		return n * 1000;
	wall = n * USEC_SEC;
	for (size_t i = point; i != SIZE_MAX && ++i < digits.n && unit; unit /= 10) {
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return 0;
		wall += (uint64_t)(digits.p[i] - '0') * unit;
	}
	return wall;
}

static bool take_time(struct app_entry *e, struct str value)
{
	struct str s = plain(value);
	uint64_t ns = 0;

	if (value.p[0] == '"')
		e->wall = clock_read_iso(s.p, s.n, &ns) ? ns / 1000 : 0;
	else
		e->wall = wall_of_number(s);
	return e->wall != 0;
}

static bool take_level(struct app_entry *e, struct str value)
{
	return app_level_word(plain(value), &e->level);
}

/* Of a string with escapes the text is written anew, and made clean: it may hide what the line itself did not show. */
static bool take_message(struct app_entry *e, struct str value)
{
	if (value.p[0] != '"')
		return false;
	e->message = plain(value);
	if (e->message.n || value.n == 2)
		return true;
	struct text raw;
	text_init(&raw, APP_ENTRY_JSON_MAX);
	size_t from = e->text.n;
	bool ok = app_json_text(&raw, value) && !raw.failed;
	if (ok)
		app_text_clean(&e->text, text_str(&raw), false);
	text_release(&raw);
	e->message = str_make(NULL, from); /* becomes a slice when the text no longer moves */
	return ok && !e->text.failed;
}

/* The first of the names whose value makes sense leaves the object, unless `keep` says that it would lose something. */
static void take(struct app_entry *e, struct app_object *o, const char *const *names,
	bool (*fn)(struct app_entry *, struct str), bool (*keep)(const struct app_entry *, struct str))
{
	for (; *names; names++) {
		struct app_member *m = member(o, *names);
		if (!m || !m->value.n || !fn(e, m->value))
			continue;
		if (!keep || !keep(e, m->value))
			m->value = STR(""); /* taken */
		return;
	}
}

/* FATAL is more than error. */
static bool keeps_level(const struct app_entry *e, struct str value)
{
	return !str_ieq(plain(value), str_of(log_level_word(e->level)));
}

/* Finer than ours. */
static bool keeps_time(const struct app_entry *e, struct str value)
{
	uint64_t ns = 0;
	struct str s = plain(value);
	(void)e;
	return value.p[0] == '"' ? clock_read_iso(s.p, s.n, &ns) && ns % 1000 != 0 : s.n >= 18;
}

/* Members that say what the trace's stamp says. */
static void take_ids(struct app_entry *e, struct app_object *o)
{
	static const char *const names[] = { "trace_id", "span_id", "traceId", "spanId", "trace.id",
		"span.id", NULL };

	for (const char *const *n = names; *n; n++) {
		struct app_member *m = member(o, *n);
		struct str id = m ? plain(m->value) : STR("");
		if (id.n && (str_eq(id, e->trace_id) || str_eq(id, e->span_id)) && id.p[-1] == '"')
			m->value = STR("");
	}
}

/* --- what stays -------------------------------------------------------------------------------------------------------- */

/* app_NAME must not be there already: that line is not merged. */
static bool names_are_apart(struct app_object *o)
{
	char name[APP_JSON_NAME];

	for (size_t i = 0; i < o->n; i++) {
		struct str n = o->at[i].name;
		if (!is_one_of(n, stamps))
			continue;
		memcpy(name, "app_", 4);
		memcpy(name + 4, n.p, n.n);
		name[4 + n.n] = '\0';
		if (member(o, name))
			return false;
	}
	return true;
}

static void put_members(struct app_entry *e, const struct app_object *o)
{
	bool first = true;

	for (size_t i = 0; i < o->n; i++) {
		const struct app_member *m = &o->at[i];
		if (!m->value.n)
			continue;
		text_add(&e->text, first ? STR("\"") : STR(",\""));
		if (is_one_of(m->name, stamps))
			text_add(&e->text, STR("app_"));
		text_add(&e->text, m->name);
		text_add(&e->text, STR("\":"));
		text_add(&e->text, m->value);
		first = false;
	}
}

static struct str piece_of(const struct text *t, size_t from, size_t to)
{
	return to > from ? str_make(t->p + from, to - from) : STR("");
}

static bool merge(struct app_entry *e, struct str line)
{
	struct app_object o;

	if (!app_json_read(line, &o) || !names_are_apart(&o))
		return false;
	e->message = STR(NO_MESSAGE);
	take(e, &o, time_names, take_time, keeps_time);
	take(e, &o, level_names, take_level, keeps_level);
	take(e, &o, message_names, take_message, NULL);
	take_ids(e, &o);
	size_t from = e->text.n;
	put_members(e, &o);
	if (e->text.failed)
		return false;
	if (!e->message.p)
		e->message = piece_of(&e->text, e->message.n, from);
	e->members = piece_of(&e->text, from, e->text.n);
	if (!e->message.n)
		e->message = STR(NO_MESSAGE);
	return true;
}

static struct str left_trimmed(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_make(s.p + 1, s.n - 1);
	return s;
}

void app_entry_read(struct app_entry *e, struct str line, bool whole)
{
	struct str inner = left_trimmed(line);

	e->wall = 0;
	e->level = LEVEL_INFO;
	text_clear(&e->text);
	app_trace_find(line, &e->trace_id, &e->span_id);
	e->merged = whole && inner.n && inner.p[0] == '{' && line.n <= APP_ENTRY_JSON_MAX && merge(e, inner);
	if (e->merged)
		return;
	e->wall = 0;
	e->level = LEVEL_INFO;
	e->message = line;
	e->members = STR("");
	(void)app_level_find(line, &e->level);
}
