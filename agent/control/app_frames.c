#include "control/app_frames.h"

#include "base/clock.h"

void app_frames_init(struct app_frames *f, bool raw)
{
	*f = (struct app_frames){ .raw = raw, .stamping = raw, .left = raw ? UINT32_MAX : 0 };
}

static void drop(struct str *s, size_t n)
{
	s->p += n;
	s->n -= n;
}

static struct str cut(struct str *s, size_t n)
{
	struct str piece = str_make(s->p, n);
	drop(s, n);
	return piece;
}

/* Standard input counts as output, as the engine's own client has it. */
static bool begin_frame(struct app_frames *f)
{
	static const enum app_source kinds[] = { APP_STDOUT, APP_STDOUT, APP_STDERR, APP_ENGINE };
	const unsigned char *h = f->head;

	f->n_head = 0;
	f->broken = h[0] >= sizeof(kinds) / sizeof(kinds[0]) || h[1] || h[2] || h[3];
	if (f->broken)
		return false;
	f->source = kinds[h[0]];
	f->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
	f->stamping = f->source != APP_ENGINE;
	f->n_stamp = 0;
	f->stamp = 0;
	return true;
}

/* false: its head is not whole yet, or broken. */
static bool take_head(struct app_frames *f, struct str *rest)
{
	while (!f->left) {
		if (!rest->n)
			return false;
		f->head[f->n_head++] = (unsigned char)rest->p[0];
		drop(rest, 1);
		if (f->n_head == sizeof(f->head) && !begin_frame(f))
			return false;
	}
	return true;
}

static size_t available(const struct app_frames *f, struct str rest)
{
	return f->raw || rest.n < f->left ? rest.n : f->left;
}

static void count(struct app_frames *f, size_t n)
{
	if (!f->raw)
		f->left -= (uint32_t)n;
}

static bool may_stand_in_stamp(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == ':' || c == '.' || c == '+' || c == 'T' || c == 'Z';
}

/* Gathers what may be a stamp. true: what was gathered is none, and is a piece (in f->text). */
static bool take_stamp(struct app_frames *f, struct str *rest)
{
	size_t n = available(f, *rest), i = 0;

	for (; i < n && f->n_stamp < APP_STAMP_MAX && may_stand_in_stamp(rest->p[i]); i++)
		f->text[f->n_stamp++] = rest->p[i];
	bool over = i < n || f->n_stamp == APP_STAMP_MAX || (!f->raw && f->left == i);
	bool blank = i < n && rest->p[i] == ' ';
	drop(rest, i);
	count(f, i);
	if (!over)
		return false;
	f->stamping = false;
	if (blank && clock_read_iso(f->text, f->n_stamp, &f->stamp)) {
		drop(rest, 1);
		count(f, 1);
		f->n_stamp = 0;
	}
	return f->n_stamp > 0;
}

/* Of a raw stream a message ends where its line does. */
static struct str take_bytes(struct app_frames *f, struct str *rest)
{
	size_t n = available(f, *rest);
	const char *end = f->raw ? memchr(rest->p, '\n', n) : NULL;

	if (end) {
		n = (size_t)(end - rest->p) + 1;
		f->stamping = true;
	}
	count(f, n);
	return cut(rest, n);
}

bool app_frames_next(struct app_frames *f, struct str *rest, struct app_piece *ret)
{
	while (!f->broken && take_head(f, rest)) {
		if (!rest->n)
			return false;
		if (f->stamping) {
			if (f->raw && f->n_stamp == 0)
				f->stamp = 0;
			if (!take_stamp(f, rest))
				continue;
			*ret = (struct app_piece){ f->source, f->stamp, str_make(f->text, f->n_stamp) };
			f->n_stamp = 0;
			return true;
		}
		*ret = (struct app_piece){ f->source, f->stamp, take_bytes(f, rest) };
		return true;
	}
	return false;
}
