/* .properties as java.util.Properties reads it: `=`, `:` or a blank parts key and value, `\` at the end goes on in the next
 * line, \t \n \r \f \uXXXX; `#---` or `!---` alone in a line parts documents (Spring). UTF-8. */
#include "config_files.h"

#include "base/text.h"

#define LINE_MAX_BYTES (1u << 20)

struct lines {
	struct str rest;
	size_t line; /* of the last one */
	const char *name;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\f';
}

static bool natural_line(struct lines *l, struct str *ret)
{
	if (!l->rest.n || !l->rest.p)
		return false;
	size_t end = str_find(l->rest, '\n');
	size_t n = end == SIZE_MAX ? l->rest.n : end;
	*ret = str_make(l->rest.p, n);
	l->rest = str_make(l->rest.p + n + (end != SIZE_MAX), l->rest.n - n - (end != SIZE_MAX));
	l->line++;
	if (ret->n && ret->p[ret->n - 1] == '\r')
		ret->n--;
	while (ret->n && is_blank(ret->p[0])) {
		ret->p++;
		ret->n--;
	}
	return true;
}

static bool goes_on(struct str s)
{
	size_t n = 0;
	while (n < s.n && s.p[s.n - 1 - n] == '\\')
		n++;
	return n % 2 == 1;
}

static void put_utf8(struct text *t, unsigned c)
{
	if (c < 0x80) {
		text_char(t, (char)c);
	} else if (c < 0x800) {
		text_char(t, (char)(0xc0 | c >> 6));
		text_char(t, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		text_char(t, (char)(0xe0 | c >> 12));
		text_char(t, (char)(0x80 | (c >> 6 & 0x3f)));
		text_char(t, (char)(0x80 | (c & 0x3f)));
	} else {
		text_char(t, (char)(0xf0 | c >> 18));
		text_char(t, (char)(0x80 | (c >> 12 & 0x3f)));
		text_char(t, (char)(0x80 | (c >> 6 & 0x3f)));
		text_char(t, (char)(0x80 | (c & 0x3f)));
	}
}

static bool hex4(struct str s, size_t at, unsigned *ret)
{
	*ret = 0;
	for (size_t i = at; i < at + 4; i++) {
		char c = i < s.n ? s.p[i] : 'x';
		unsigned d = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (c | 32) >= 'a' && (c | 32) <= 'f' ?
								  (unsigned)((c | 32) - 'a' + 10) : 99;
		if (d == 99)
			return false;
		*ret = *ret << 4 | d;
	}
	return true;
}

/* s.p[*i] stands behind the backslash. */
static bool unescape(struct str s, size_t *i, struct text *t)
{
	static const char from[] = "tnrf", to[] = "\t\n\r\f";
	char c = s.p[*i];
	const char *at = memchr(from, c, 4);
	unsigned u, low;
	if (c != 'u') {
		text_char(t, at ? to[at - from] : c);
		return true;
	}
	if (!hex4(s, *i + 1, &u))
		return false;
	*i += 4;
	if (u >= 0xd800 && u < 0xdc00 && *i + 2 < s.n && s.p[*i + 1] == '\\' && s.p[*i + 2] == 'u' &&
	    hex4(s, *i + 3, &low) && low >= 0xdc00 && low < 0xe000) {
		u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
		*i += 6;
	}
	if (u == 0 || (u >= 0xd800 && u < 0xe000))
		return false;
	put_utf8(t, u);
	return true;
}

struct pair {
	struct text key, value;
};

static bool split(struct str s, struct pair *pair)
{
	size_t i = 0;
	for (; i < s.n && s.p[i] != '=' && s.p[i] != ':' && !is_blank(s.p[i]); i++) {
		if (s.p[i] != '\\')
			text_char(&pair->key, s.p[i]);
		else if (i + 1 < s.n && (++i, !unescape(s, &i, &pair->key)))
			return false;
	}
	while (i < s.n && is_blank(s.p[i]))
		i++;
	if (i < s.n && (s.p[i] == '=' || s.p[i] == ':'))
		i++;
	while (i < s.n && is_blank(s.p[i]))
		i++;
	for (; i < s.n; i++) {
		if (s.p[i] != '\\')
			text_char(&pair->value, s.p[i]);
		else if (i + 1 < s.n && (++i, !unescape(s, &i, &pair->value)))
			return false;
	}
	return true;
}

static bool is_divider(struct str s)
{
	return str_eq(str_trim(s), STR("#---")) || str_eq(str_trim(s), STR("!---"));
}

static bool add_logical(struct config_props *p, struct lines *l, struct str first, struct text *joined, uint32_t set,
			struct err *err)
{
	size_t line = l->line;
	struct str more = first;
	struct pair pair;

	text_clear(joined);
	while (goes_on(more)) {
		text_add(joined, str_make(more.p, more.n - 1));
		if (!natural_line(l, &more))
			more = STR("");
	}
	text_add(joined, more);
	text_init(&pair.key, 8192);
	text_init(&pair.value, LINE_MAX_BYTES);
	bool ok = split(text_str(joined), &pair) ||
		  err_set(err, "%s:%zu: \\u needs four hexadecimal digits of a character", l->name, line);
	if (ok && (joined->failed || pair.key.failed || pair.value.failed))
		ok = err_set(err, "%s:%zu: the line is too long, or memory is short", l->name, line);
	ok = ok && (!pair.key.n || config_add(p, text_str(&pair.key), text_str(&pair.value), l->name, line, set, err));
	text_release(&pair.key);
	text_release(&pair.value);
	return ok;
}

bool config_read_properties(struct config_props *p, struct str text, const char *name, struct str profiles,
			    struct err *err)
{
	struct lines l = { .rest = text, .name = name };
	struct str s;
	struct text joined;
	size_t all = p->n, from = all;
	uint32_t first_set = p->sets, set = p->sets++;
	bool ok = true;

	if (memchr(text.p ? text.p : "", '\0', text.n))
		return err_set(err, "%s: it is no text", name);
	text_init(&joined, LINE_MAX_BYTES);
	while (ok && natural_line(&l, &s)) {
		if (is_divider(s)) {
			config_end_document(p, from, profiles);
			from = p->n;
			set = p->sets++;
		} else if (s.n && s.p[0] != '#' && s.p[0] != '!') {
			ok = add_logical(p, &l, s, &joined, set, err);
		}
	}
	text_release(&joined);
	if (!ok)
		return false;
	config_end_document(p, from, profiles);
	config_strongest_first(p, all, first_set);
	return true;
}
