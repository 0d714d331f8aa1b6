#include "http/bounded_json.h"

#include "base/mem.h"

/* cJSON makes doubles of numbers, a tree of 80 bytes and more of each value, and calls itself for each level. So the text is
 * first copied: with numbers in quotes, which keeps their digits, and not at all when it has too many values or levels. */
struct scan {
	struct str in;
	size_t at; /* next byte of in */
	char *out; /* never longer than twice in: of two bytes at most one is a number */
	size_t n;
	size_t nodes;
	unsigned depth;
	bool foreign; /* an escaped NUL is replaced */
	const struct json_limits *limits;
};

static bool is_number(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static void copy(struct scan *s, struct str piece)
{
	memcpy(s->out + s->n, piece.p, piece.n);
	s->n += piece.n;
}

static bool scan_string(struct scan *s, struct err *err)
{
	size_t from = s->at++;
	for (; s->at < s->in.n && s->in.p[s->at] != '"'; s->at++) {
		struct str rest = str_make(s->in.p + s->at, s->in.n - s->at);
		bool escaped = str_starts(rest, STR("\\u0000"));
		if (rest.p[0] == '\0' || (escaped && !s->foreign))
			return err_set(err, "byte %zu: a NUL", s->at);
		if (escaped) {
			copy(s, str_make(s->in.p + from, s->at - from));
			copy(s, STR("\\ufffd"));
			s->at += 5;
			from = s->at + 1;
		} else {
			s->at += rest.p[0] == '\\';
		}
	}
	if (s->at >= s->in.n)
		return err_set(err, "it ends in the middle of a text: the answer was cut");
	s->at++;
	copy(s, str_make(s->in.p + from, s->at - from));
	return true;
}

static size_t digits(struct str s, size_t *at)
{
	size_t from = *at;
	while (*at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9')
		++*at;
	return *at - from;
}

/* RFC 8259 section 6. */
static bool number_is_right(struct str s)
{
	size_t at = s.n && s.p[0] == '-', from = at;
	if (!digits(s, &at) || (s.p[from] == '0' && at - from > 1))
		return false;
	if (at < s.n && s.p[at] == '.' && (at++, !digits(s, &at)))
		return false;
	if (at < s.n && (s.p[at] | 32) == 'e') {
		at++;
		at += at < s.n && (s.p[at] == '+' || s.p[at] == '-');
		if (!digits(s, &at))
			return false;
	}
	return at == s.n;
}

static bool scan_number(struct scan *s, struct err *err)
{
	size_t from = s->at;
	while (s->at < s->in.n && is_number(s->in.p[s->at]))
		s->at++;
	struct str number = str_make(s->in.p + from, s->at - from);
	if (!number_is_right(number))
		return err_set(err, "byte %zu: no JSON value stands here", from);
	copy(s, STR("\""));
	copy(s, number);
	copy(s, STR("\""));
	return true;
}

static bool scan_one(struct scan *s, struct err *err)
{
	char c = s->in.p[s->at];

	if (c == '"')
		return scan_string(s, err);
	if (c == '-' || (c >= '0' && c <= '9'))
		return scan_number(s, err);
	if (c == '\0')
		return err_set(err, "byte %zu: a NUL", s->at);
	if (c == '{' || c == '[') {
		if (++s->depth > s->limits->depth)
			return err_set(err, "byte %zu: more than %u levels", s->at, s->limits->depth);
	} else if ((c == '}' || c == ']') && s->depth) {
		s->depth--;
	}
	if ((c == '{' || c == '[' || c == ',') && ++s->nodes > s->limits->nodes)
		return err_set(err, "byte %zu: more than %zu values", s->at, s->limits->nodes);
	s->out[s->n++] = c;
	s->at++;
	return true;
}

static cJSON *parse(struct str body, const struct json_limits *limits, bool foreign, struct err *err)
{
	struct scan s = { .in = body, .limits = limits, .foreign = foreign };
	const char *end = NULL;
	cJSON *root = NULL;
	bool ok = body.n <= limits->bytes || err_set(err, "it is longer than %zu bytes", limits->bytes);

	if (!ok)
		return NULL;
	s.out = mem_alloc(2 * body.n + 3);
	if (!s.out) {
		err_set(err, "out of memory");
		return NULL;
	}
	while (ok && s.at < body.n)
		ok = scan_one(&s, err);
	if (ok) {
		s.out[s.n] = '\0';
		root = cJSON_ParseWithLengthOpts(s.out, s.n + 1, &end, true);
		if (!root)
			(void)err_set(err, "about byte %zu: it is no JSON, or memory is short",
				      end ? (size_t)(end - s.out) : 0);
	}
	mem_wipe_free(s.out, s.n);
	return root;
}

cJSON *bounded_json_parse(struct str body, const struct json_limits *limits, struct err *err)
{
	return parse(body, limits, false, err);
}

cJSON *bounded_json_parse_foreign(struct str body, const struct json_limits *limits, struct err *err)
{
	return parse(body, limits, true, err);
}
