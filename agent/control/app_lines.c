#include "control/app_lines.h"

#include "base/json.h"
#include "base/mem.h"

#define GROW_FIRST 512u

void app_lines_init(struct app_lines *l, size_t max)
{
	*l = (struct app_lines){ .max = max < APP_LINE_MIN   ? APP_LINE_MIN
					: max > APP_LINE_MAX ? APP_LINE_MAX
							     : max };
}

void app_lines_release(struct app_lines *l)
{
	mem_free(l->mem);
	l->mem = NULL;
	l->n = l->cap = 0;
}

usec app_lines_due(const struct app_lines *l)
{
	return l->n ? l->began + APP_LINE_PATIENCE : USEC_NEVER;
}

/* How much of s, at most n bytes, does not end within a character. */
static size_t whole_characters(const char *p, size_t n)
{
	for (size_t back = 1; back <= 3 && back < n; back++) {
		unsigned char c = (unsigned char)p[n - back];
		if ((c & 0xc0) == 0x80)
			continue;
		size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
		return length > back ? n - back : n;
	}
	return n;
}

static void give(
	struct app_lines *l, struct str s, unsigned flags, uint64_t wall, app_line_fn *line, void *arg)
{
	line(arg, s, flags | (l->rest ? APP_LINE_REST : 0), wall);
	l->rest = (flags & APP_LINE_MORE) != 0;
}

static bool grow(struct app_lines *l, size_t need)
{
	size_t cap = l->cap ? l->cap : GROW_FIRST;

	if (need <= l->cap)
		return true;
	while (cap < need)
		cap *= 2;
	cap = cap < l->max ? cap : l->max;
	char *p = mem_alloc(cap);
	if (!p)
		return false;
	if (l->n)
		memcpy(p, l->mem, l->n);
	mem_free(l->mem);
	l->mem = p;
	l->cap = cap;
	return true;
}

/* Behind what has come of the line, which fits. */
static void keep(struct app_lines *l, struct str s, usec now, uint64_t wall)
{
	if (!s.n)
		return;
	if (!grow(l, l->n + s.n)) {
		l->lost += s.n;
		return;
	}
	if (!l->n) {
		l->began = now;
		l->wall = wall;
	}
	memcpy(l->mem + l->n, s.p, s.n);
	l->n += s.n;
}

static struct str without_cr(struct str s)
{
	return s.n && s.p[s.n - 1] == '\r' ? str_make(s.p, s.n - 1) : s;
}

/* The line ends with s; the CR of its end may have come before. */
static void end_line(struct app_lines *l, struct str s, usec now, uint64_t wall, app_line_fn *line, void *arg)
{
	if (l->n) {
		keep(l, s, now, wall);
		give(l, without_cr(str_make(l->mem, l->n)), 0, l->wall, line, arg);
		app_lines_release(l);
	} else {
		give(l, without_cr(s), 0, wall, line, arg);
	}
}

/* A piece of a line that is too long: what was kept, and as much of s as still goes with it, which is returned. */
static size_t give_piece(
	struct app_lines *l, struct str s, usec now, uint64_t wall, app_line_fn *line, void *arg)
{
	size_t take = l->max - l->n;

	if (!l->n) {
		take = whole_characters(s.p, take);
		give(l, str_make(s.p, take), APP_LINE_MORE, wall, line, arg);
		return take;
	}
	keep(l, str_make(s.p, take), now, wall);
	size_t n = whole_characters(l->mem, l->n);
	give(l, str_make(l->mem, n), APP_LINE_MORE, l->wall, line, arg);
	memmove(l->mem, l->mem + n, l->n - n);
	l->n -= n;
	l->began = now;
	l->wall = wall;
	return take;
}

void app_lines_feed(
	struct app_lines *l, struct str bytes, usec now, uint64_t wall, app_line_fn *line, void *arg)
{
	while (bytes.n) {
		const char *end = memchr(bytes.p, '\n', bytes.n);
		size_t n = end ? (size_t)(end - bytes.p) : bytes.n;
		if (l->n + n > l->max) {
			size_t taken = give_piece(l, bytes, now, wall, line, arg);
			bytes = str_make(bytes.p + taken, bytes.n - taken);
			continue;
		}
		if (!end) {
			keep(l, bytes, now, wall);
			return;
		}
		end_line(l, str_make(bytes.p, n), now, wall, line, arg);
		bytes = str_make(end + 1, bytes.n - n - 1);
	}
}

static void give_rest(struct app_lines *l, unsigned flags, app_line_fn *line, void *arg)
{
	if (!l->n)
		return;
	give(l, str_make(l->mem, l->n), flags, l->wall, line, arg);
	app_lines_release(l);
}

void app_lines_flush(struct app_lines *l, app_line_fn *line, void *arg)
{
	give_rest(l, APP_LINE_MORE, line, arg);
}

void app_lines_end(struct app_lines *l, app_line_fn *line, void *arg)
{
	give_rest(l, 0, line, arg);
}
