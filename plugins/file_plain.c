#include "file_plain.h"

#define SERVICES_MAX 64u /* of a file: a name that comes twice is the parser's affair */

struct reader {
	struct file_endpoints *f;
	struct str rest;
	struct str services[SERVICES_MAX]; /* as they were written */
	unsigned n_services;
	struct str service; /* lower case; n 0: none yet */
	size_t indent;      /* of items; SIZE_MAX: none was seen yet */
};

static bool is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A text that means itself in YAML, too: it begins with a letter or digit and has no colon at its end. */
static bool is_plain(struct str s)
{
	if (!s.n || s.n > 255 || !is_word_byte(s.p[0]) || s.p[s.n - 1] == ':')
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (!is_word_byte(s.p[i]) && s.p[i] != '.' && s.p[i] != '_' && s.p[i] != '-' && s.p[i] != ':')
			return false;
	return true;
}

static bool take_service(struct reader *r, struct str name)
{
	if (!is_plain(name) || str_find(name, ':') != SIZE_MAX || r->n_services == SERVICES_MAX)
		return false;
	for (unsigned i = 0; i < r->n_services; i++)
		if (str_ieq(r->services[i], name))
			return false;
	r->services[r->n_services++] = name;
	return file_endpoints_name(r->f, name, &r->service);
}

/* "{key: value, key: value}" without its braces. */
static bool take_map(struct reader *r, struct str map)
{
	struct registry_endpoint e = FILE_ENDPOINT_USUAL;
	bool more = true;

	while (more) {
		size_t comma = str_find(map, ',');
		struct str pair = str_make(map.p, comma == SIZE_MAX ? map.n : comma);
		size_t colon = str_find(pair, ':');
		more = comma != SIZE_MAX;
		if (more && (comma + 2 > map.n || map.p[comma + 1] != ' '))
			return false;
		if (more)
			map = str_make(map.p + comma + 2, map.n - comma - 2);
		if (colon == SIZE_MAX || colon + 2 >= pair.n || pair.p[colon + 1] != ' ')
			return false;
		struct str key = str_make(pair.p, colon),
			   value = str_make(pair.p + colon + 2, pair.n - colon - 2);
		if (!is_plain(value) || !file_endpoints_set(r->f, &e, key, value))
			return false;
	}
	return e.addr.len && file_endpoints_add(r->f, r->service, &e);
}

static bool take_item(struct reader *r, struct str item)
{
	if (!r->service.n)
		return false;
	if (item.n > 2 && item.p[0] == '{' && item.p[item.n - 1] == '}')
		return take_map(r, str_make(item.p + 1, item.n - 2));
	struct registry_endpoint e = FILE_ENDPOINT_USUAL;
	return is_plain(item) && file_endpoints_set(r->f, &e, STR("address"), item) &&
	       file_endpoints_add(r->f, r->service, &e);
}

/* A remark in other bytes than these is the parser's affair, too: it refuses some. */
static bool is_remark(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return true;
}

static bool take_line(struct reader *r, struct str line)
{
	size_t indent = 0;

	while (indent < line.n && line.p[indent] == ' ')
		indent++;
	if (indent == line.n || line.p[indent] == '#')
		return is_remark(line);
	if (indent == 0)
		return line.p[line.n - 1] == ':' && take_service(r, str_make(line.p, line.n - 1));
	if (line.n < indent + 3 || line.p[indent] != '-' || line.p[indent + 1] != ' ' ||
		(r->indent != SIZE_MAX && r->indent != indent))
		return false;
	r->indent = indent;
	return take_item(r, str_make(line.p + indent + 2, line.n - indent - 2));
}

bool file_plain_read(struct file_endpoints *f, struct str text)
{
	struct reader r = { .f = f, .rest = text, .indent = SIZE_MAX };

	while (r.rest.n) {
		size_t end = str_find(r.rest, '\n');
		size_t n = end == SIZE_MAX ? r.rest.n : end;
		if (n && !take_line(&r, str_make(r.rest.p, n)))
			return false;
		n += end != SIZE_MAX;
		r.rest = str_make(r.rest.p + n, r.rest.n - n);
	}
	return r.n_services > 0;
}
