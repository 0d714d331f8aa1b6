#include "control/app_output.h"

#include "base/json.h"
#include "base/mem.h"
#include "control/app_entry.h"
#include "control/app_frames.h"
#include "control/app_lines.h"
#include "control/app_text.h"
#include "control/logs.h"
#include "net/timer.h"

#include <errno.h>
#include <unistd.h>

#define BURST USEC_SEC /* lines of that long may come at once */
#define PIECE 4096u    /* bytes of one read: of the shortest lines some 2 ms */
#define NS_OF_USEC 1000u
#define UNTIL_SPARE 1000000000u /* ns */
#define MEMBERS_MAX (LOG_MEMBERS_MAX + 64u)

struct app_output {
	struct loop *loop;
	struct logs *hub;
	struct list all, ready; /* of app_stream: those that may have bytes */
	struct timer timer;
	struct app_entry entry; /* of the line at hand, as what follows */
	struct text clean, members;
};

struct app_stream {
	struct list link, turn; /* turn: in ready, or alone */
	struct app_output *of;
	struct app_stream_config cfg;
	char service[132], task[132], stack[132], slot[64], node[256];
	int fd;
	struct watch watch;
	bool over, told; /* nothing more comes; the owner knows */
	struct app_frames frames;
	struct app_lines lines[2];
	enum log_level level[2]; /* of the line that goes on */
	enum app_source source;  /* whose line is at hand */
	uint64_t stamp, until;   /* ns since 1970 */
	usec may_read;           /* not before that: its rate */
	struct timer flush;
};

/* --- a line ------------------------------------------------------------------------------------------------------------ */

/* "first", "middle", "last": which piece of its line this is. */
static struct str members_of(struct app_output *o, unsigned flags)
{
	static const struct str words[] = { { NULL, 0 }, { "\"partial\":\"first\"", 17 },
		{ "\"partial\":\"last\"", 16 }, { "\"partial\":\"middle\"", 18 } };

	return flags ? words[flags & 3] : o->entry.members;
}

static uint64_t wall_of(const struct app_stream *s, uint64_t wall)
{
	const struct app_entry *e = &s->of->entry;

	return e->wall ? e->wall : wall;
}

static void count(struct app_stream *s, unsigned flags)
{
	struct app_counts *c = s->cfg.counts;

	c->lines[s->source]++;
	c->merged += s->of->entry.merged;
	c->split += flags != 0;
	if (s->cfg.rate) {
		usec now = loop_now(s->of->loop);
		s->may_read = (s->may_read > now ? s->may_read : now) + USEC_SEC / s->cfg.rate;
	}
}

static void put(struct app_stream *s, unsigned flags, uint64_t wall)
{
	const struct app_entry *e = &s->of->entry;
	enum log_level level = flags & APP_LINE_REST ? s->level[s->source] : e->level;
	const struct log_record r = {
		.wall = wall_of(s, wall),
		.seat = s->cfg.whose.seat,
		.level = (uint8_t)level,
		.kind = LOG_KIND_APP,
		.stream = s->source == APP_STDERR ? LOG_STREAM_STDERR : LOG_STREAM_STDOUT,
		.service = str_of(s->service),
		.task = str_of(s->task),
		.stack = str_of(s->stack),
		.slot = str_of(s->slot),
		.node = str_of(s->node),
		.trace_id = e->trace_id,
		.span_id = e->span_id,
		.message = e->message,
		.members = members_of(s->of, flags),
	};

	s->level[s->source] = level;
	count(s, flags);
	logs_put(s->of->hub, &r);
}

static void on_line(void *arg, struct str line, unsigned flags, uint64_t wall)
{
	struct app_stream *s = arg;
	struct app_output *o = s->of;

	if (!line.n && !flags)
		return; /* says nothing */
	if (!app_text_is_clean(line)) {
		text_clear(&o->clean);
		app_text_clean(&o->clean, line, s->cfg.colours);
		if (o->clean.failed) {
			s->cfg.counts->lost += line.n;
			return;
		}
		line = text_str(&o->clean);
	}
	app_entry_read(&o->entry, line, !flags);
	put(s, flags, wall);
}

/* --- bytes -------------------------------------------------------------------------------------------------------------- */

static void feed(struct app_stream *s, enum app_source source, struct str bytes, uint64_t wall)
{
	s->source = source;
	s->cfg.counts->bytes[source] += bytes.n;
	app_lines_feed(&s->lines[source], bytes, loop_now(s->of->loop), wall, on_line, s);
}

/* Messages of two streams may stand in another order than they were written. */
static bool is_others(struct app_stream *s, uint64_t stamp)
{
	if (stamp && stamp <= s->cfg.after)
		return true;
	if (!s->until || stamp < s->until)
		return false;
	s->over = stamp >= s->until + UNTIL_SPARE;
	return true;
}

static void feed_frames(struct app_stream *s, struct str bytes)
{
	struct app_piece p;

	while (!s->over && app_frames_next(&s->frames, &bytes, &p)) {
		if (p.source == APP_ENGINE) {
			if (s->cfg.trouble)
				s->cfg.trouble(s->cfg.arg, str_trim(p.bytes));
			continue;
		}
		if (is_others(s, p.stamp))
			continue;
		feed(s, p.source, p.bytes, p.stamp ? p.stamp / NS_OF_USEC : clock_wall());
		s->stamp = p.stamp > s->stamp ? p.stamp : s->stamp;
	}
	s->over = s->over || s->frames.broken;
}

static void take(struct app_stream *s, struct str bytes)
{
	if (s->cfg.kind >= APP_KIND_FRAMES)
		feed_frames(s, bytes);
	else
		feed(s, s->cfg.kind == APP_KIND_STDERR ? APP_STDERR : APP_STDOUT, bytes, clock_wall());
}

/* A piece. false: there is none now, or never again (s->over). */
static bool read_piece(struct app_stream *s)
{
	char buf[PIECE];
	ssize_t n;

	do {
		n = read(s->fd, buf, sizeof(buf));
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		take(s, str_make(buf, (size_t)n));
	else if (n == 0 || errno != EAGAIN)
		s->over = true;
	return n > 0 && !s->over;
}

static void flush_lines(struct app_stream *s, usec now)
{
	for (int i = 0; i < 2; i++) {
		s->source = (enum app_source)i;
		if (app_lines_due(&s->lines[i]) <= now)
			app_lines_flush(&s->lines[i], on_line, s);
	}
}

static void end_lines(struct app_stream *s)
{
	for (int i = 0; i < 2; i++) {
		s->source = (enum app_source)i;
		app_lines_end(&s->lines[i], on_line, s);
	}
}

/* --- turns -------------------------------------------------------------------------------------------------------------- */

static void set_flush(struct app_stream *s)
{
	usec a = app_lines_due(&s->lines[0]), b = app_lines_due(&s->lines[1]), due = a < b ? a : b;

	if (due == USEC_NEVER)
		timer_clear(&s->flush);
	else
		timer_set(s->of->loop, &s->flush, due);
}

static void on_flush(void *arg)
{
	struct app_stream *s = arg;

	flush_lines(s, loop_touch(s->of->loop));
	set_flush(s);
}

static void rest(struct app_stream *s)
{
	list_remove(&s->turn);
	list_init(&s->turn);
	set_flush(s);
	if (!s->over && !watch_on(&s->watch))
		s->over = true;
	if (!s->over || s->told)
		return;
	s->told = true;
	end_lines(s);
	timer_clear(&s->flush);
	if (s->cfg.ended)
		s->cfg.ended(s->cfg.arg, s->frames.broken); /* s may be gone */
}

/* The first of those that may be read now, which goes to the end. NULL: none may. */
static struct app_stream *next(struct app_output *o, usec now)
{
	LIST_EACH (it, tmp, &o->ready) {
		struct app_stream *s = LIST_OWNER(it, struct app_stream, turn);
		if (s->may_read > now + BURST)
			continue;
		list_remove(&s->turn);
		list_append(&o->ready, &s->turn);
		return s;
	}
	return NULL;
}

static void on_turn(void *arg)
{
	struct app_output *o = arg;
	usec now = loop_touch(o->loop), end = now + APP_OUTPUT_SLICE;
	struct app_stream *s;

	while (now < end && (s = next(o, now))) {
		if (!read_piece(s))
			rest(s);
		now = loop_touch(o->loop);
	}
	if (!list_empty(&o->ready))
		timer_set(o->loop, &o->timer, now + APP_OUTPUT_PAUSE);
}

static void on_readable(void *arg, short what)
{
	struct app_stream *s = arg;
	struct app_output *o = s->of;

	(void)what;
	watch_off(&s->watch);
	list_append(&o->ready, &s->turn);
	if (!timer_armed(&o->timer))
		timer_set(o->loop, &o->timer, 0);
}

/* --- life --------------------------------------------------------------------------------------------------------------- */

struct app_output *app_output_new(struct loop *l, struct logs *hub, struct err *err)
{
	struct app_output *o = mem_zalloc(sizeof(*o));

	if (!o) {
		err_set(err, "out of memory");
		return NULL;
	}
	o->loop = l;
	o->hub = hub;
	list_init(&o->all);
	list_init(&o->ready);
	timer_init(&o->timer, on_turn, o);
	app_entry_init(&o->entry);
	text_init(&o->clean, 3 * (size_t)APP_LINE_MAX);
	return o;
}

void app_output_free(struct app_output *o)
{
	if (!o)
		return;
	while (!list_empty(&o->all))
		app_stream_close(LIST_OWNER(o->all.next, struct app_stream, link));
	timer_clear(&o->timer);
	app_entry_release(&o->entry);
	text_release(&o->clean);
	mem_free(o);
}

static void copy_whose(struct app_stream *s, const struct app_whose *w)
{
	(void)str_copy(w->service, s->service, sizeof(s->service));
	(void)str_copy(w->task, s->task, sizeof(s->task));
	(void)str_copy(w->stack, s->stack, sizeof(s->stack));
	(void)str_copy(w->slot, s->slot, sizeof(s->slot));
	(void)str_copy(w->node, s->node, sizeof(s->node));
}

struct app_stream *app_stream_open(struct app_output *o, int fd, const struct app_stream_config *config)
{
	struct app_stream *s = mem_zalloc(sizeof(*s));

	if (!s) {
		close(fd);
		return NULL;
	}
	*s = (struct app_stream){ .of = o, .cfg = *config, .fd = fd };
	copy_whose(s, &config->whose);
	app_frames_init(&s->frames, config->kind == APP_KIND_TERMINAL);
	for (int i = 0; i < 2; i++)
		app_lines_init(&s->lines[i], config->line_max);
	list_init(&s->turn);
	list_append(&o->all, &s->link);
	timer_init(&s->flush, on_flush, s);
	watch_init(&s->watch, o->loop, fd, EV_READ, on_readable, s);
	if (watch_on(&s->watch))
		return s;
	app_stream_close(s);
	return NULL;
}

uint64_t app_stream_stamp(const struct app_stream *s)
{
	return s->stamp;
}

void app_stream_until(struct app_stream *s, uint64_t ns)
{
	s->until = ns;
}

void app_stream_close(struct app_stream *s)
{
	if (!s)
		return;
	for (size_t n = 0; n < APP_OUTPUT_LAST && !s->over && read_piece(s); n += PIECE)
		;
	end_lines(s);
	for (int i = 0; i < 2; i++) {
		s->cfg.counts->lost += s->lines[i].lost;
		app_lines_release(&s->lines[i]);
	}
	timer_clear(&s->flush);
	watch_off(&s->watch);
	close(s->fd);
	list_remove(&s->turn);
	list_remove(&s->link);
	mem_free(s);
}

void app_counts_put(struct json *j, const struct app_counts *c)
{
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = { { "lines", c->lines[0] + c->lines[1] }, { "stderr_lines", c->lines[1] },
		{ "bytes", c->bytes[0] + c->bytes[1] }, { "merged", c->merged }, { "split", c->split },
		{ "lost_bytes", c->lost } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_key(j, rows[i].key);
		json_u64(j, rows[i].value);
	}
}
