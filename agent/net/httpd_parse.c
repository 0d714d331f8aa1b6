#include "net/httpd_int.h"

#define URI_MAX 8192u

/* --- bytes ------------------------------------------------------------------------------------------------ */

/* RFC 9110 section 5.6.2 */
static bool is_tchar(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != 0 && strchr("!#$%&'*+-.^_`|~", c);
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 127;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX in place. false: bad hex, or a NUL or other control byte comes out of it. */
static bool percent_decode(char *p, size_t n, bool plus_is_blank, struct str *ret)
{
	size_t to = 0;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];
		if (c == '%') {
			int high = i + 2 < n ? hex(p[i + 1]) : -1;
			int low = i + 2 < n ? hex(p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		if (is_control(c))
			return false;
		p[to++] = c;
	}
	*ret = str_make(p, to);
	return true;
}

/* Index behind the empty line, 0 when it has not come; SIZE_MAX: a line ends in a bare LF. *seen lines are behind us. */
static size_t head_end(const char *p, size_t n, size_t *seen)
{
	for (;;) {
		const char *lf = memchr(p + *seen, '\n', n - *seen);
		if (!lf)
			return 0;
		size_t line = *seen, at = (size_t)(lf - p);
		if (at == 0 || p[at - 1] != '\r')
			return SIZE_MAX;
		*seen = at + 1;
		if (at - line == 1)
			return at + 1;
	}
}

/* --- the request line ---------------------------------------------------------------------------------------- */

static int parse_method(struct str s, struct httpd_head *h)
{
	static const char *const known[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" };
	if (s.n == 0)
		return 400;
	for (size_t i = 0; i < s.n; i++)
		if (!is_tchar(s.p[i]))
			return 400;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq(s, str_of(known[i])))
			return str_copy(s, h->method, sizeof(h->method)) ? 200 : 501;
	return 501;
}

static int parse_params(char *p, size_t n, struct httpd_head *h)
{
	for (char *end = p + n; p < end;) {
		char *amp = memchr(p, '&', (size_t)(end - p));
		char *stop = amp ? amp : end;
		char *equals = memchr(p, '=', (size_t)(stop - p));
		char *name_end = equals ? equals : stop, *value = equals ? equals + 1 : stop;
		if (stop > p) {
			if (h->param_count == HTTPD_PARAMS_MAX)
				return 400;
			struct httpd_pair *pair = &h->params[h->param_count++];
			if (!percent_decode(p, (size_t)(name_end - p), true, &pair->name) ||
			    !percent_decode(value, (size_t)(stop - value), true, &pair->value))
				return 400;
		}
		p = stop + 1;
	}
	return 200;
}

static int parse_target(char *p, size_t n, struct httpd_head *h)
{
	if (n > URI_MAX)
		return 414;
	if (n == 0 || (p[0] != '/' && !(n == 1 && p[0] == '*')))
		return 400; /* a proxy's absolute form has no business here */
	for (size_t i = 0; i < n; i++)
		if (is_control(p[i]) || p[i] == ' ' || p[i] == '#' || (unsigned char)p[i] > 127)
			return 400;
	char *query = memchr(p, '?', n);
	size_t path = query ? (size_t)(query - p) : n;
	if (!percent_decode(p, path, false, &h->path))
		return 400;
	return query ? parse_params(query + 1, n - path - 1, h) : 200;
}

static int parse_request_line(char *p, size_t n, struct httpd_head *h)
{
	struct str line = str_make(p, n);
	size_t first = str_find(line, ' '), last = str_rfind(line, ' ');
	if (first == SIZE_MAX || last == first)
		return 400;
	struct str version = str_make(p + last + 1, n - last - 1);
	if (!str_starts(version, STR("HTTP/")))
		return 400;
	if (str_eq(version, STR("HTTP/1.1")))
		h->minor = 1;
	else if (!str_eq(version, STR("HTTP/1.0")))
		return 505;
	int status = parse_method(str_make(p, first), h);
	return status == 200 ? parse_target(p + first + 1, last - first - 1, h) : status;
}

/* --- fields ------------------------------------------------------------------------------------------------------ */

static int parse_field(struct str line, struct httpd_head *h)
{
	size_t colon = str_find(line, ':');
	if (colon == SIZE_MAX || colon == 0)
		return 400;
	for (size_t i = 0; i < colon; i++)
		if (!is_tchar(line.p[i])) /* a blank before the colon, an obsolete fold */
			return 400;
	for (size_t i = colon + 1; i < line.n; i++)
		if (is_control(line.p[i]) && line.p[i] != '\t')
			return 400;
	if (h->field_count == HTTPD_FIELDS_MAX)
		return 431;
	h->fields[h->field_count++] = (struct httpd_pair){
		.name = str_make(line.p, colon),
		.value = str_trim(str_make(line.p + colon + 1, line.n - colon - 1)),
	};
	return 200;
}

static unsigned count_fields(const struct httpd_head *h, struct str name, struct str *value)
{
	unsigned n = 0;
	for (unsigned i = 0; i < h->field_count; i++) {
		if (str_ieq(h->fields[i].name, name)) {
			*value = h->fields[i].value;
			n++;
		}
	}
	return n;
}

static void parse_connection(struct httpd_head *h)
{
	h->close = h->minor == 0;
	for (unsigned i = 0; i < h->field_count; i++) {
		if (!str_ieq(h->fields[i].name, STR("connection")))
			continue;
		struct str rest = h->fields[i].value, word;
		while (str_next(&rest, ',', &word)) {
			if (str_ieq(word, STR("close"))) {
				h->close = true;
				return;
			}
			if (str_ieq(word, STR("keep-alive")))
				h->close = false;
		}
	}
}

/* What the fields say about the message itself. */
static int parse_framing(struct httpd_head *h)
{
	struct str v = { NULL, 0 };
	unsigned hosts = count_fields(h, STR("host"), &v);
	if (hosts > 1 || (hosts == 0 && h->minor > 0))
		return 400;
	if (count_fields(h, STR("transfer-encoding"), &v))
		return 411;
	unsigned lengths = count_fields(h, STR("content-length"), &v);
	uint64_t body = 0;
	if (lengths > 1 || (lengths && !str_u64(v, &body)))
		return 400;
	if (body > HTTPD_BODY_MAX)
		return 413;
	h->body = (size_t)body;
	if (count_fields(h, STR("expect"), &v)) {
		if (!str_ieq(v, STR("100-continue")))
			return 417;
		h->expect = h->minor > 0;
	}
	parse_connection(h);
	return 200;
}

static int parse_lines(char *p, size_t n, struct httpd_head *h)
{
	int status = 200;
	for (size_t at = 0; status == 200 && at < n - 2;) {
		char *lf = memchr(p + at, '\n', n - at);
		size_t len = (size_t)(lf - p) - 1 - at;
		status = at == 0 ? parse_request_line(p, len, h) : parse_field(str_make(p + at, len), h);
		at += len + 2;
	}
	return status == 200 ? parse_framing(h) : status;
}

int httpd_parse(char *p, size_t n, size_t *seen, struct httpd_head *ret)
{
	size_t end = head_end(p, n, seen);
	if (end == SIZE_MAX)
		return 400;
	if (end > HTTPD_HEAD_MAX || (end == 0 && n >= HTTPD_HEAD_MAX))
		return *seen == 0 ? 414 : 431;
	if (end == 0)
		return 0;
	memset(ret, 0, sizeof(*ret));
	ret->bytes = end;
	return end == 2 ? 400 : parse_lines(p, end, ret);
}
