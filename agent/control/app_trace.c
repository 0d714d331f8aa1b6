#include "control/app_trace.h"

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

/* Digits from s on, when they are an id of n digits and nothing longer; else empty. */
static struct str id_of(struct str s, size_t n)
{
	bool zero = true;

	if (s.n < n || (s.n > n && is_word(s.p[n])))
		return STR("");
	for (size_t i = 0; i < n; i++) {
		if (!is_hex(s.p[i]))
			return STR("");
		zero = zero && s.p[i] == '0';
	}
	return zero ? STR("") : str_make(s.p, n);
}

static struct str trace_of(struct str s)
{
	struct str id = id_of(s, 32);
	return id.n ? id : id_of(s, 16);
}

static struct str from(struct str s, size_t i)
{
	return i < s.n ? str_make(s.p + i, s.n - i) : STR("");
}

/* Behind a name: its end quote, blanks, = or :, blanks, a quote or bracket. Empty: no value stands there. */
static struct str value_of(struct str s)
{
	size_t i = 0;

	while (i < s.n && (s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == '\''))
		i++;
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
		i++;
	if (i == s.n || (s.p[i] != '=' && s.p[i] != ':'))
		return STR("");
	i++;
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '"' || s.p[i] == '\\' ||
				  s.p[i] == '\'' || s.p[i] == '['))
		i++;
	return from(s, i);
}

/* "traceid", "trace_id", "Trace-Id", "trace.id": how many bytes of s are that; 0: none. */
static size_t name_length(struct str s, struct str word)
{
	size_t n = word.n;

	if (!str_istarts(s, word))
		return 0;
	if (n < s.n && (s.p[n] == '_' || s.p[n] == '-' || s.p[n] == '.'))
		n++;
	if (!str_istarts(from(s, n), STR("id")))
		return 0;
	return n + 2 < s.n && is_word(s.p[n + 2]) ? 0 : n + 2;
}

static struct str id_behind(struct str s, struct str word, bool span)
{
	size_t n = name_length(s, word);
	struct str value = n ? value_of(from(s, n)) : STR("");

	return span ? id_of(value, 16) : trace_of(value);
}

/* 00-TRACE-SPAN-FLAGS */
static bool parent_at(struct str s, struct str *trace, struct str *span)
{
	struct str v;

	if (!str_istarts(s, STR("traceparent")))
		return false;
	v = value_of(from(s, 11));
	if (v.n < 55 || v.p[2] != '-' || v.p[35] != '-' || v.p[52] != '-')
		return false;
	*trace = id_of(from(v, 3), 32);
	*span = id_of(from(v, 36), 16);
	return trace->n > 0;
}

/* [application,TRACE,SPAN with any end; the name has none of the signs that would make it something else. */
static bool sleuth_at(struct str s, struct str *trace, struct str *span)
{
	size_t i = 1;

	while (i < s.n && i < 80 && s.p[i] != ',' && s.p[i] != ']' && s.p[i] != ' ' && s.p[i] != '[')
		i++;
	/* With '-' for signs the name may have some itself: what matters are the ids at its end. */
	if (i < s.n && s.p[i] == ']' && i > 34) {
		size_t t = i > 50 && s.p[i - 17] == '-' && s.p[i - 50] == '-' ? i - 49
			   : s.p[i - 17] == '-' && s.p[i - 34] == '-'         ? i - 33
									      : 0;
		*trace = t ? trace_of(from(s, t)) : STR("");
		*span = t ? id_of(from(s, i - 16), 16) : STR("");
		return trace->n && span->n;
	}
	if (i >= s.n || s.p[i] != ',')
		return false;
	*trace = trace_of(from(s, i + 1));
	if (!trace->n)
		return false;
	struct str rest = from(s, i + 1 + trace->n);
	*span = rest.n && rest.p[0] == ',' ? id_of(from(rest, 1), 16) : STR("");
	return true;
}

static void look_at(struct str s, struct str *trace, struct str *span)
{
	struct str t = STR(""), p = STR("");

	switch (s.p[0] | 0x20) {
	case 't':
		if (trace->n)
			return;
		t = id_behind(s, STR("trace"), false);
		if (!t.n)
			(void)parent_at(s, &t, &p);
		break;
	case 's':
		p = id_behind(s, STR("span"), true);
		break;
	case '[' | 0x20:
		if (s.p[0] != '[' || trace->n || !sleuth_at(s, &t, &p))
			return;
		break;
	default:
		return;
	}
	if (t.n)
		*trace = t;
	if (p.n && !span->n)
		*span = p;
}

void app_trace_find(struct str line, struct str *trace, struct str *span)
{
	*trace = *span = STR("");
	struct str s = str_make(line.p, line.n < APP_TRACE_WITHIN ? line.n : APP_TRACE_WITHIN);
	for (; s.n >= 16 && !(trace->n && span->n); s = from(s, 1))
		look_at(s, trace, span);
	if (!trace->n)
		*span = STR("");
}
