#include "base/json.h"

#include <math.h>

#define MAX_DEPTH 63

struct json json_begin(struct text *t)
{
	return (struct json){ .t = t };
}

static uint64_t level_bit(const struct json *j)
{
	return (uint64_t)1 << j->depth;
}

/* The comma that is due before a value or key. */
static void before_item(struct json *j)
{
	if (j->after_key) {
		j->after_key = false;
		return;
	}
	if (j->depth && (j->has_item & level_bit(j)))
		text_char(j->t, ',');
	j->has_item |= level_bit(j);
}

static void open_level(struct json *j, char c, bool is_array)
{
	if (j->depth >= MAX_DEPTH) {
		j->t->failed = true;
		return;
	}
	before_item(j);
	text_char(j->t, c);
	j->depth++;
	j->has_item &= ~level_bit(j);
	j->is_array = is_array ? j->is_array | level_bit(j) : j->is_array & ~level_bit(j);
}

void json_object(struct json *j)
{
	open_level(j, '{', false);
}

void json_array(struct json *j)
{
	open_level(j, '[', true);
}

void json_end(struct json *j)
{
	if (j->depth == 0) {
		j->t->failed = true;
		return;
	}
	text_char(j->t, j->is_array & level_bit(j) ? ']' : '}');
	j->depth--;
	j->after_key = false;
}

static void quoted(struct json *j, struct str s)
{
	text_char(j->t, '"');
	json_escape(j->t, s);
	text_char(j->t, '"');
}

void json_keyn(struct json *j, struct str key)
{
	before_item(j);
	quoted(j, key);
	text_char(j->t, ':');
	j->after_key = true;
}

void json_key(struct json *j, const char *key)
{
	json_keyn(j, str_of(key));
}

void json_str(struct json *j, struct str s)
{
	before_item(j);
	quoted(j, s);
}

void json_strz(struct json *j, const char *z)
{
	if (z)
		json_str(j, str_of(z));
	else
		json_null(j);
}

void json_u64(struct json *j, uint64_t v)
{
	before_item(j);
	text_u64(j->t, v);
}

void json_i64(struct json *j, int64_t v)
{
	before_item(j);
	if (v < 0)
		text_char(j->t, '-');
	/* Negated as unsigned: INT64_MIN has no positive twin. */
	text_u64(j->t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* v in thousandths, written without printf and so without a locale's decimal comma. */
static void thousandths(struct text *t, uint64_t v)
{
	char digits[] = { '.', (char)('0' + v / 100 % 10), (char)('0' + v / 10 % 10), (char)('0' + v % 10) };
	size_t n = sizeof(digits);

	text_u64(t, v / 1000);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	if (n > 1)
		text_add(t, str_make(digits, n));
}

void json_num(struct json *j, double v)
{
	if (!isfinite(v)) {
		json_null(j);
		return;
	}
	before_item(j);
	double size = fabs(v);
	if (size >= 1e15) { /* above it, thousandths are no longer exact and soon overflow */
		text_fmt(j->t, "%.0f", v);
		return;
	}
	uint64_t milli = (uint64_t)(size * 1000.0 + 0.5);
	if (v < 0 && milli)
		text_char(j->t, '-');
	thousandths(j->t, milli);
}

void json_bool(struct json *j, bool v)
{
	before_item(j);
	text_add(j->t, v ? STR("true") : STR("false"));
}

void json_null(struct json *j)
{
	before_item(j);
	text_add(j->t, STR("null"));
}

void json_raw(struct json *j, struct str json)
{
	before_item(j);
	text_add(j->t, json);
}

/* RFC 3629 section 4: the second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF. */
size_t utf8_length(const char *z, size_t n)
{
	static const struct {
		unsigned char first, last, low, high, len;
	} rows[] = {
		{ 0x00, 0x7f, 0x00, 0x00, 1 },
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *p = (const unsigned char *)z;

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		if (p[0] < rows[r].first || p[0] > rows[r].last)
			continue;
		if (rows[r].len > n)
			return 0;
		if (rows[r].len > 1 && (p[1] < rows[r].low || p[1] > rows[r].high))
			return 0;
		for (size_t i = 2; i < rows[r].len; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
		}
		return rows[r].len;
	}
	return 0;
}

/* The short escape of c, or NULL. */
static const char *short_escape(unsigned char c)
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\b':
		return "\\b";
	case '\f':
		return "\\f";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	default:
		return NULL;
	}
}

static void escape_byte(struct text *t, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	const char *z = short_escape(c);

	if (z) {
		text_addz(t, z);
		return;
	}
	char u[] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
	text_add(t, str_make(u, sizeof(u)));
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != 0x7f;
}

void json_escape(struct text *t, struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t from = 0, at = 0; /* from..at: clean bytes that are not written yet */

	while (at < s.n) {
		size_t len = utf8_length(s.p + at, s.n - at);
		if (len && is_plain(p[at])) {
			at += len;
			continue;
		}
		text_add(t, str_make(s.p + from, at - from));
		if (len)
			escape_byte(t, p[at]);
		else
			text_add(t, STR("\xef\xbf\xbd"));
		from = ++at;
	}
	if (at > from)
		text_add(t, str_make(s.p + from, at - from));
}
