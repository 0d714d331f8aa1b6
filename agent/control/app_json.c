#include "control/app_json.h"

#include "base/json.h"

struct scan {
	const char *p, *end;
};

static void skip_blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n'))
		s->p++;
}

static bool take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind \u. false: there are none. */
static bool take_hex4(struct scan *s, unsigned *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++, s->p++) {
		int h = s->p < s->end ? hex_of(*s->p) : -1;
		if (h < 0)
			return false;
		*ret = *ret * 16 + (unsigned)h;
	}
	return true;
}

/* Behind \u. Half of a pair is no character, and many readers take it for an error. */
static bool take_unicode(struct scan *s)
{
	unsigned high, low;

	if (!take_hex4(s, &high) || (high >= 0xdc00 && high <= 0xdfff))
		return false;
	if (high < 0xd800 || high > 0xdbff)
		return true;
	return take(s, '\\') && take(s, 'u') && take_hex4(s, &low) && low >= 0xdc00 && low <= 0xdfff;
}

/* Behind the backslash. */
static bool take_escape(struct scan *s)
{
	if (s->p == s->end)
		return false;
	char c = *s->p++;
	if (c == 'u')
		return take_unicode(s);
	return c && strchr("\"\\/bfnrt", c) != NULL;
}

static bool take_string(struct scan *s, bool *escaped)
{
	*escaped = false;
	if (!take(s, '"'))
		return false;
	while (s->p < s->end && *s->p != '"') {
		if ((unsigned char)*s->p < 0x20)
			return false;
		if (*s->p == '\\') {
			s->p++;
			*escaped = true;
			if (!take_escape(s))
				return false;
			continue;
		}
		size_t n = (unsigned char)*s->p < 0x80 ? 1 : utf8_length(s->p, (size_t)(s->end - s->p));
		if (!n)
			return false;
		s->p += n;
	}
	return take(s, '"');
}

static bool take_digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static bool take_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !take_digits(s))
		return false;
	if (take(s, '.') && !take_digits(s))
		return false;
	if (!take(s, 'e') && !take(s, 'E'))
		return true;
	if (!take(s, '+'))
		(void)take(s, '-');
	return take_digits(s);
}

static bool take_word(struct scan *s)
{
	static const struct str words[] = { { "true", 4 }, { "false", 5 }, { "null", 4 } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!str_starts(str_make(s->p, (size_t)(s->end - s->p)), words[i]))
			continue;
		s->p += words[i].n;
		return true;
	}
	return false;
}

static bool take_scalar(struct scan *s)
{
	bool escaped;

	if (s->p == s->end)
		return false;
	if (*s->p == '"')
		return take_string(s, &escaped);
	return *s->p == '-' || (*s->p >= '0' && *s->p <= '9') ? take_number(s) : take_word(s);
}

/* Where a value of a list or an object begins: behind a name, if it is an object. */
static bool take_name(struct scan *s, bool object)
{
	bool escaped;

	skip_blanks(s);
	if (!object)
		return true;
	if (!take_string(s, &escaped))
		return false;
	skip_blanks(s);
	if (!take(s, ':'))
		return false;
	skip_blanks(s);
	return true;
}

struct levels {
	unsigned depth;
	bool object[APP_JSON_DEPTH];
};

/* Behind the end of a value: ends of what it stands in, then a comma and the next. false: no JSON. */
static bool close_levels(struct scan *s, struct levels *l)
{
	while (l->depth) {
		skip_blanks(s);
		if (take(s, ','))
			return take_name(s, l->object[l->depth - 1]);
		if (!take(s, l->object[l->depth - 1] ? '}' : ']'))
			return false;
		l->depth--;
	}
	return true;
}

/* Any value; a loop and not a recursion, since its depth is chosen by others. */
static bool take_value(struct scan *s)
{
	struct levels l = { .depth = 0 };

	do {
		bool object = s->p < s->end && *s->p == '{';
		if (!object && (s->p == s->end || *s->p != '[')) {
			if (!take_scalar(s) || !close_levels(s, &l))
				return false;
			continue;
		}
		if (l.depth == APP_JSON_DEPTH - 1)
			return false;
		s->p++;
		l.object[l.depth++] = object;
		skip_blanks(s);
		if (s->p < s->end && *s->p == (object ? '}' : ']')) {
			s->p++;
			l.depth--;
			if (!close_levels(s, &l))
				return false;
		} else if (!take_name(s, object)) {
			return false;
		}
	} while (l.depth);
	return true;
}

static bool is_known(const struct app_object *o, struct str name)
{
	for (size_t i = 0; i < o->n; i++)
		if (str_eq(o->at[i].name, name))
			return true;
	return false;
}

static bool take_member(struct scan *s, struct app_object *o)
{
	bool escaped;

	skip_blanks(s);
	const char *from = s->p + 1;
	if (o->n == APP_JSON_MEMBERS || !take_string(s, &escaped) || escaped)
		return false;
	struct str name = str_make(from, (size_t)(s->p - from) - 1);
	if (name.n > APP_JSON_NAME || is_known(o, name))
		return false;
	skip_blanks(s);
	if (!take(s, ':'))
		return false;
	skip_blanks(s);
	from = s->p;
	if (!take_value(s))
		return false;
	o->at[o->n++] = (struct app_member){ name, str_make(from, (size_t)(s->p - from)) };
	skip_blanks(s);
	return true;
}

bool app_json_read(struct str text, struct app_object *ret)
{
	struct scan s = { text.p, text.p + text.n };

	ret->n = 0;
	skip_blanks(&s);
	if (!take(&s, '{'))
		return false;
	skip_blanks(&s);
	if (!take(&s, '}')) {
		do {
			if (!take_member(&s, ret))
				return false;
		} while (take(&s, ','));
		if (!take(&s, '}'))
			return false;
	}
	skip_blanks(&s);
	return s.p == s.end;
}

/* --- the text of a string ---------------------------------------------------------------------------------------------- */

static void add_code(struct text *t, unsigned c)
{
	if (!c || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	if (c < 0x80) {
		text_char(t, (char)c);
		return;
	}
	if (c < 0x800) {
		text_char(t, (char)(0xc0 | c >> 6));
	} else if (c < 0x10000) {
		text_char(t, (char)(0xe0 | c >> 12));
		text_char(t, (char)(0x80 | (c >> 6 & 0x3f)));
	} else {
		text_char(t, (char)(0xf0 | c >> 18));
		text_char(t, (char)(0x80 | (c >> 12 & 0x3f)));
		text_char(t, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	text_char(t, (char)(0x80 | (c & 0x3f)));
}

/* Behind \u: two of them are one character above U+FFFF. */
static void add_unicode(struct text *t, struct scan *s)
{
	unsigned high, low;

	if (!take_hex4(s, &high))
		return;
	struct scan next = *s;
	if (high >= 0xd800 && high < 0xdc00 && take(&next, '\\') && take(&next, 'u') &&
		take_hex4(&next, &low) && low >= 0xdc00 && low < 0xe000) {
		*s = next;
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	add_code(t, high);
}

bool app_json_text(struct text *t, struct str value)
{
	static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";

	if (value.n < 2 || value.p[0] != '"')
		return false;
	struct scan s = { value.p + 1, value.p + value.n - 1 };
	while (s.p < s.end) {
		const char *back = memchr(s.p, '\\', (size_t)(s.end - s.p));
		const char *to = back ? back : s.end;
		text_add(t, str_make(s.p, (size_t)(to - s.p)));
		s.p = to;
		if (!back || s.end - s.p < 2)
			break;
		char c = s.p[1];
		s.p += 2;
		const char *letter = strchr(letters, c);
		if (c == 'u')
			add_unicode(t, &s);
		else
			text_char(t, letter && c ? meant[letter - letters] : c);
	}
	return true;
}
