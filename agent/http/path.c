#include "http/h1.h"
#include "http/octets.h"

/* How a path is brought to one form (RFC 3986 section 6.2.2), so that the rule that judged it and the service that
 * gets it read the same. One scan looks for anything that must change; only then is it copied. */

/* Is the dot at s the start of a segment that needs a look? */
static bool is_dot_segment(const char *s, const char *end)
{
	return s[-1] == '/' && (end - s == 1 || memchr("./?;%", s[1], 5) != NULL);
}

/* Can the path part of [s, end) surely stay as it is? */
static bool is_plain(const char *s, const char *end)
{
	for (; s < end && *s != '?'; s++) {
		if (octet_is(*s, OCTET_PATH_STOP) && (*s != '.' || is_dot_segment(s, end)))
			return false;
	}
	return true;
}

/* One byte of the path, decoded when it is unreserved, else as it stands or as %XX in upper case. Returns the new end
 * of the output, NULL when it must be refused. *s moves on. */
static char *put_octet(const char **s, const char *end, char *dst)
{
	static const char hex[] = "0123456789ABCDEF";
	const char *p = *s;

	if (*p != '%') {
		if (*p == '\\' || !octet_is(*p, OCTET_TARGET))
			return NULL;
		*dst++ = *p;
		*s = p + 1;
		return dst;
	}
	if (end - p < 3 || !octet_is(p[1], OCTET_HEX) || !octet_is(p[2], OCTET_HEX))
		return NULL;
	unsigned hi = hex_value(p[1]), lo = hex_value(p[2]);
	char c = (char)(hi << 4 | lo);
	if (c == '/' || c == '\\' || c == '\0')
		return NULL;
	*s = p + 3;
	if (octet_is(c, OCTET_HOST)) {
		*dst++ = c;
		return dst;
	}
	*dst++ = '%';
	*dst++ = hex[hi];
	*dst++ = hex[lo];
	return dst;
}

enum segment { SEGMENT_NAME, SEGMENT_DOT, SEGMENT_UP, SEGMENT_BAD };

/* Some servers cut parameters off before they look at a segment: "..;x" hides a way up. */
static enum segment segment_kind(struct str s)
{
	if (s.n == 0 || s.p[0] != '.')
		return SEGMENT_NAME;
	if (s.n == 1)
		return SEGMENT_DOT;
	if (s.p[1] == ';')
		return SEGMENT_BAD;
	if (s.p[1] != '.')
		return SEGMENT_NAME;
	if (s.n == 2)
		return SEGMENT_UP;
	return s.p[2] == ';' ? SEGMENT_BAD : SEGMENT_NAME;
}

/* Rewrites [s, query), which begins with '/', to dst (as many bytes). Returns the end, NULL to refuse. The output
 * always ends behind a '/' when a segment begins; *dst is the root's. */
static char *rewrite(const char *s, const char *query, char *dst)
{
	char *out = dst, *segment;

	*out++ = '/';
	for (s++;;) {
		segment = out;
		while (s < query && *s != '/') {
			out = put_octet(&s, query, out);
			if (!out)
				return NULL;
		}
		switch (segment_kind(str_make(segment, (size_t)(out - segment)))) {
		case SEGMENT_BAD:
			return NULL;
		case SEGMENT_UP:
			if (segment == dst + 1)
				return NULL; /* above the root */
			for (out = segment - 1; out[-1] != '/';)
				out--;
			break;
		case SEGMENT_DOT:
			out = segment;
			break;
		case SEGMENT_NAME:
			if (s < query)
				*out++ = '/';
			break;
		}
		if (s == query)
			return out;
		s++; /* the slash */
	}
}

bool path_normalise(struct str path, struct arena *a, struct str *ret)
{
	const char *end = path.p + path.n, *query;
	char *dst, *e;

	if (path.n == 0 || (path.p[0] != '/' && !str_eq(path, STR("*"))))
		return false;
	*ret = path;
	if (is_plain(path.p, end))
		return true;
	query = memchr(path.p, '?', path.n);
	if (!query)
		query = end;
	dst = arena_bytes(a, path.n);
	e = dst ? rewrite(path.p, query, dst) : NULL;
	if (!e)
		return false;
	if (e - dst == query - path.p && memcmp(dst, path.p, (size_t)(e - dst)) == 0)
		return true; /* "/a%20b": looked odd, is not */
	memcpy(e, query, (size_t)(end - query));
	*ret = str_make(dst, (size_t)(e - dst) + (size_t)(end - query));
	return true;
}
