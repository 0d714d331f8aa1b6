#include "log_members.h"

#include "base/json.h"

#define NESTED_MAX 64u

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_blank(struct str s, size_t i)
{
	while (i < s.n && is_blank(s.p[i]))
		i++;
	return i;
}

/* s.p[i] is a quote; *inner is what stands in it. Where it ends, or SIZE_MAX. */
static size_t string_end(struct str s, size_t i, struct str *inner)
{
	size_t begin = ++i;

	for (; i < s.n; i++) {
		if (s.p[i] == '\\') {
			i++;
		} else if (s.p[i] == '"') {
			*inner = str_make(s.p + begin, i - begin);
			return i + 1;
		}
	}
	return SIZE_MAX;
}

/* An object or array, strings within it respected. */
static size_t nested_end(struct str s, size_t i)
{
	unsigned depth = 0;
	struct str inner;

	while (i < s.n) {
		char c = s.p[i];
		if (c == '"') {
			i = string_end(s, i, &inner);
			if (i == SIZE_MAX)
				return SIZE_MAX;
			continue;
		}
		if ((c == '{' || c == '[') && ++depth > NESTED_MAX)
			return SIZE_MAX;
		i++;
		if ((c == '}' || c == ']') && --depth == 0)
			return i;
	}
	return SIZE_MAX;
}

static size_t bare_end(struct str s, size_t i)
{
	while (i < s.n && s.p[i] != ',' && !is_blank(s.p[i]) && s.p[i] != '}' && s.p[i] != ']' && s.p[i] != '"')
		i++;
	return i;
}

static size_t digits(struct str s, size_t i)
{
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return i;
}

/* RFC 8259, section 6. */
static bool is_number(struct str s)
{
	size_t i = s.n && s.p[0] == '-', end = digits(s, i);

	if (end == i || (s.p[i] == '0' && end > i + 1))
		return false;
	i = end;
	if (i < s.n && s.p[i] == '.') {
		end = digits(s, i + 1);
		if (end == i + 1)
			return false;
		i = end;
	}
	if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
		i++;
		i += i < s.n && (s.p[i] == '+' || s.p[i] == '-');
		end = digits(s, i);
		if (end == i)
			return false;
		i = end;
	}
	return i == s.n;
}

static size_t value_end(struct str s, size_t i, struct log_member *ret)
{
	size_t end;

	if (s.p[i] == '"') {
		ret->type = LOG_MEMBER_STRING;
		return string_end(s, i, &ret->value);
	}
	bool nested = s.p[i] == '{' || s.p[i] == '[';
	end = nested ? nested_end(s, i) : bare_end(s, i);
	if (end == SIZE_MAX || end == i)
		return SIZE_MAX;
	ret->value = str_make(s.p + i, end - i);
	ret->type = nested ? LOG_MEMBER_NESTED : LOG_MEMBER_NUMBER;
	if (nested || is_number(ret->value))
		return end;
	ret->type = LOG_MEMBER_WORD;
	return str_eq(ret->value, STR("true")) || str_eq(ret->value, STR("false")) || str_eq(ret->value, STR("null")) ? end : SIZE_MAX;
}

bool log_member_next(struct str *rest, struct log_member *ret)
{
	struct str s = *rest;
	size_t i = skip_blank(s, 0);

	*rest = STR("");
	if (i >= s.n || s.p[i] != '"' || (i = string_end(s, i, &ret->key)) == SIZE_MAX)
		return false;
	i = skip_blank(s, i);
	if (i >= s.n || s.p[i] != ':')
		return false;
	i = skip_blank(s, i + 1);
	if (i >= s.n || (i = value_end(s, i, ret)) == SIZE_MAX)
		return false;
	i = skip_blank(s, i);
	if (i < s.n && s.p[i] == ',')
		*rest = str_make(s.p + i + 1, s.n - i - 1);
	return true;
}

/* --- escapes ------------------------------------------------------------------------------------------------------------------ */

static bool hex4(struct str s, size_t i, uint32_t *ret)
{
	uint32_t v = 0;

	if (s.n - i < 4)
		return false;
	for (size_t k = i; k < i + 4; k++) {
		char c = s.p[k];
		if (c >= '0' && c <= '9')
			v = v * 16 + (uint32_t)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = v * 16 + (uint32_t)((c | 32) - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

static void add_utf8(struct text *t, uint32_t v)
{
	if (v < 0x80) {
		text_char(t, (char)v);
	} else if (v < 0x800) {
		text_char(t, (char)(0xc0 | v >> 6));
		text_char(t, (char)(0x80 | (v & 0x3f)));
	} else if (v < 0x10000) {
		text_char(t, (char)(0xe0 | v >> 12));
		text_char(t, (char)(0x80 | (v >> 6 & 0x3f)));
		text_char(t, (char)(0x80 | (v & 0x3f)));
	} else {
		text_char(t, (char)(0xf0 | v >> 18));
		text_char(t, (char)(0x80 | (v >> 12 & 0x3f)));
		text_char(t, (char)(0x80 | (v >> 6 & 0x3f)));
		text_char(t, (char)(0x80 | (v & 0x3f)));
	}
}

/* s.p[i] is the first digit behind \u. How many bytes are taken. */
static size_t unicode(struct text *t, struct str s, size_t i)
{
	uint32_t v, low;

	if (!hex4(s, i, &v)) {
		text_addz(t, "\\u");
		return 0;
	}
	if (v >= 0xd800 && v < 0xdc00 && s.n - i >= 10 && s.p[i + 4] == '\\' && s.p[i + 5] == 'u' && hex4(s, i + 6, &low) && low >= 0xdc00 && low < 0xe000) {
		add_utf8(t, 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00));
		return 10;
	}
	add_utf8(t, v >= 0xd800 && v < 0xe000 ? 0xfffd : v);
	return 4;
}

void log_member_unescape(struct text *t, struct str s)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\\' || i + 1 == s.n) {
			text_char(t, s.p[i]);
			continue;
		}
		char c = s.p[++i];
		const char *at = c ? strchr(from, c) : NULL;
		if (at) {
			text_char(t, to[at - from]);
		} else if (c == 'u') {
			i += unicode(t, s, i + 1);
		} else {
			text_char(t, '\\');
			text_char(t, c);
		}
	}
}

bool log_member_is_clean(struct str s)
{
	uint32_t v;

	for (size_t i = 0; i < s.n;) {
		size_t n = utf8_length(s.p + i, s.n - i);
		if (n == 0 || (unsigned char)s.p[i] < 0x20)
			return false;
		if (s.p[i] != '\\') {
			i += n;
			continue;
		}
		if (i + 1 == s.n || s.p[i + 1] == '\0' || !strchr("\"\\/bfnrtu", s.p[i + 1]) || (s.p[i + 1] == 'u' && !hex4(s, i + 2, &v)))
			return false;
		i += s.p[i + 1] == 'u' ? 6 : 2;
	}
	return true;
}
