#include "control/exposition.h"

#include "base/json.h"

#include <inttypes.h>

#define MICRO 1000000u
#define BYTES_RESERVE (128u * 1024u) /* of the text: then series go into overflow */
#define OVERFLOW "service=\"_overflow\""

static const struct family_row rows[] = {
#define METRIC(id, name, type, unit, help) { name, FAMILY_TYPE_##type, unit, "", help },
#define FAMILY(id, name, type, unit, labels, help) { name, FAMILY_TYPE_##type, unit, labels, help },
#include "metrics.def"
};

const struct family_row *family_row(enum family_id id)
{
	return &rows[id];
}

const char *family_type_word(uint8_t type)
{
	static const char *const words[] = {
		[FAMILY_TYPE_counter] = "counter", [FAMILY_TYPE_gauge] = "gauge", [FAMILY_TYPE_state] = "gauge", [FAMILY_TYPE_histogram] = "histogram"
	};
	return words[type];
}

/* --- pieces -------------------------------------------------------------------------------------------------------------------- */

static void escape(struct text *t, struct str s, bool quotes)
{
	for (size_t i = 0; i < s.n;) {
		size_t n = utf8_length(s.p + i, s.n - i);
		if (!n)
			text_addz(t, "\xEF\xBF\xBD");
		else if (s.p[i] == '\\')
			text_addz(t, "\\\\");
		else if (s.p[i] == '\n')
			text_addz(t, "\\n");
		else if (s.p[i] == '"' && quotes)
			text_addz(t, "\\\"");
		else
			text_add(t, str_make(s.p + i, n));
		i += n ? n : 1;
	}
}

void labels_put(struct text *t, const char *key, struct str value)
{
	if (!value.n)
		return;
	if (t->n)
		text_char(t, ',');
	text_addz(t, key);
	text_addz(t, "=\"");
	escape(t, value, true);
	text_char(t, '"');
}

/* Millionths as a decimal with at least one digit behind the point: OpenMetrics' canonical form, as far as bounds need it. */
static void put_micro(struct text *t, uint64_t v)
{
	char digits[6];
	size_t n = sizeof(digits);
	uint32_t rest = (uint32_t)(v % MICRO);

	for (size_t i = sizeof(digits); i-- > 0; rest /= 10)
		digits[i] = (char)('0' + rest % 10);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	text_u64(t, v / MICRO);
	text_char(t, '.');
	text_add(t, str_make(digits, n));
}

static void put_value(struct exposition *e, uint64_t v)
{
	if (e->scale == MICRO)
		put_micro(e->t, v);
	else
		text_u64(e->t, v);
}

/* --- families ------------------------------------------------------------------------------------------------------------------ */

/* In OpenMetrics a counter's family has no _total: its samples have. */
static struct str family_name(const struct exposition *e)
{
	static const struct str total = { "_total", 6 };
	struct str name = str_of(e->row->name);

	if (e->openmetrics && e->row->type == FAMILY_TYPE_counter && str_ends(name, total))
		name.n -= total.n;
	return name;
}

static void put_comment(struct exposition *e, const char *kind, struct str name)
{
	text_addz(e->t, "# ");
	text_addz(e->t, kind);
	text_char(e->t, ' ');
	text_add(e->t, name);
	text_char(e->t, ' ');
}

static void put_head(struct exposition *e)
{
	struct str name = family_name(e), unit = str_of(e->row->unit);

	if (e->begun)
		return;
	e->begun = true;
	put_comment(e, "TYPE", name);
	text_addz(e->t, family_type_word(e->row->type));
	text_char(e->t, '\n');
	if (e->openmetrics && unit.n && str_ends(name, unit)) {
		put_comment(e, "UNIT", name);
		text_add(e->t, unit);
		text_char(e->t, '\n');
	}
	put_comment(e, "HELP", name);
	escape(e->t, str_of(e->row->help), e->openmetrics);
	text_char(e->t, '\n');
}

/* name{labels,le="…"} and a blank. */
static void put_name(struct exposition *e, const char *suffix, struct str labels, const char *le)
{
	text_addz(e->t, e->row->name);
	text_addz(e->t, suffix);
	if (labels.n || le) {
		text_char(e->t, '{');
		text_add(e->t, labels);
		if (le) {
			text_addz(e->t, labels.n ? ",le=\"" : "le=\"");
			text_addz(e->t, le);
			text_char(e->t, '"');
		}
		text_char(e->t, '}');
	}
	text_char(e->t, ' ');
}

static bool takes(struct exposition *e, uint32_t series)
{
	bool room = e->always || (e->series + series <= e->room && e->t->n + BYTES_RESERVE < e->t->max);

	if (room)
		e->series += series;
	else
		e->dropped += series;
	return room;
}

static void put_sample(struct exposition *e, struct str labels, uint64_t v)
{
	put_head(e);
	put_name(e, "", labels, NULL);
	put_value(e, v);
	text_char(e->t, '\n');
}

static void sample(struct exposition *e, struct str labels, uint64_t v, unsigned scale)
{
	e->scale = scale;
	if (takes(e, 1)) {
		put_sample(e, labels, v);
		return;
	}
	if (e->row->type != FAMILY_TYPE_state)
		e->over_value += v;
	else if (v > e->over_value)
		e->over_value = v;
	e->over = true;
}

void exposition_u64(struct exposition *e, struct str labels, uint64_t v)
{
	sample(e, labels, v, 1);
}

void exposition_micro(struct exposition *e, struct str labels, uint64_t v)
{
	sample(e, labels, v, MICRO);
}

/* --- histograms ---------------------------------------------------------------------------------------------------------------- */

static void put_exemplar(struct exposition *e, const struct exemplar_view *x)
{
	if (!e->openmetrics || !x->at)
		return;
	text_addz(e->t, " # {trace_id=\"");
	if (x->hi)
		text_fmt(e->t, "%016" PRIx64, x->hi);
	text_fmt(e->t, "%016" PRIx64 "\"} ", x->lo);
	put_micro(e->t, x->us);
	text_char(e->t, ' ');
	put_micro(e->t, x->at);
}

static void put_histogram(struct exposition *e, struct str labels, const struct duration_bounds *b, const struct durations_view *v)
{
	struct text le;
	uint64_t sum = 0;

	put_head(e);
	text_init(&le, 32);
	for (uint32_t i = 0; i <= b->n; i++) {
		sum += v->buckets[i];
		text_clear(&le);
		if (i < b->n)
			put_micro(&le, b->us[i]);
		else
			text_addz(&le, "+Inf");
		put_name(e, "_bucket", labels, text_z(&le));
		text_u64(e->t, sum);
		put_exemplar(e, &v->exemplars[i]);
		text_char(e->t, '\n');
	}
	text_release(&le);
	put_name(e, "_sum", labels, NULL);
	put_micro(e->t, v->sum);
	text_char(e->t, '\n');
	put_name(e, "_count", labels, NULL);
	text_u64(e->t, sum); /* the same as +Inf, whatever was counted meanwhile */
	text_char(e->t, '\n');
}

void exposition_histogram(struct exposition *e, struct str labels, const struct duration_bounds *b, const struct durations_view *v)
{
	if (takes(e, b->n + 3)) {
		put_histogram(e, labels, b, v);
		return;
	}
	for (unsigned i = 0; i < DURATION_BUCKETS; i++)
		e->over_histogram.buckets[i] += v->buckets[i];
	e->over_histogram.sum += v->sum;
	e->bounds = b;
	e->over = true;
}

/* --- a page -------------------------------------------------------------------------------------------------------------------- */

static void end_family(struct exposition *e)
{
	if (!e->over)
		return;
	if (e->row->type == FAMILY_TYPE_histogram)
		put_histogram(e, STR(OVERFLOW), e->bounds, &e->over_histogram);
	else
		put_sample(e, STR(OVERFLOW), e->over_value);
	e->over_histogram = (struct durations_view){ 0 };
	e->over_value = 0;
	e->over = false;
}

void exposition_begin(struct exposition *e, struct text *t, bool openmetrics, uint32_t series_max)
{
	*e = (struct exposition){ .t = t, .openmetrics = openmetrics, .room = series_max > EXPOSITION_RESERVE ? series_max - EXPOSITION_RESERVE : 0 };
}

void exposition_family(struct exposition *e, enum family_id id)
{
	end_family(e);
	e->row = family_row(id);
	e->begun = false;
}

void exposition_end(struct exposition *e)
{
	end_family(e);
	if (e->openmetrics)
		text_addz(e->t, "# EOF\n");
}

/* --- which format -------------------------------------------------------------------------------------------------------------- */

/* "0.5" in thousandths, 1000 when it makes no sense (RFC 9110 section 12.4.2). */
static unsigned quality(struct str s)
{
	uint64_t whole = 0, part = 0;
	size_t point = str_find(s, '.');
	struct str rest = point == SIZE_MAX ? STR("") : str_make(s.p + point + 1, s.n - point - 1);

	if (!str_u64(point == SIZE_MAX ? s : str_make(s.p, point), &whole) || whole > 0 || rest.n > 3 || (rest.n && !str_u64(rest, &part)))
		return 1000;
	for (size_t i = rest.n; i < 3; i++)
		part *= 10;
	return (unsigned)part;
}

/* What one item of Accept says: its type, version and quality. */
static struct str media(struct str item, struct str *version, unsigned *q)
{
	struct str type = { NULL, 0 }, part;

	*version = STR("");
	*q = 1000;
	for (bool first = true; str_next(&item, ';', &part); first = false) {
		if (first)
			type = part;
		else if (str_istarts(part, STR("version=")))
			*version = str_make(part.p + 8, part.n - 8);
		else if (str_istarts(part, STR("q=")))
			*q = quality(str_make(part.p + 2, part.n - 2));
	}
	return type;
}

bool exposition_wants_openmetrics(struct str accept)
{
	unsigned open = 0, plain = 0, q;
	struct str item, version;

	while (str_next(&accept, ',', &item)) {
		struct str type = media(item, &version, &q);
		bool known = !version.n || str_eq(version, STR("1.0.0"));
		if (str_ieq(type, STR("application/openmetrics-text")) && known && q > open)
			open = q;
		else if (str_ieq(type, STR("text/plain")) && q > plain)
			plain = q;
	}
	return open > plain;
}
