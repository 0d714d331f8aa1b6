/* `json:stdout`, `json:stderr`, `text:stdout`, `text:stderr`: a line per record, as JSON or for people (log_text.h), but for those of the
 * access log where access.format asks for a form of its own. `file:PATH`: lines of JSON, whatever access.format says; opened again by reopen.
 * A thread writes (line_writer.h); the agent's own records without delay, others in batches. Thread: the loop's. */
#include "base/mem.h"
#include "line_writer.h"
#include "log_text.h"

#include <unistd.h>

#define LAST_LINES (200 * USEC_MS) /* for a slow reader to take them, when the agent leaves */
#define KEPT (64u * 1024u)

struct sink {
	struct line_writer *writer;
	struct sink_events events;
	void *arg;
	struct text text; /* text: the line under way */
	bool file, plain;
};

static void on_trouble(void *arg, const char *why)
{
	struct sink *s = arg;

	s->events.on_trouble(s->arg, why);
}

static void lines_put(struct sink *s, const struct log_record *r)
{
	struct str line = r->line.n && !s->file ? r->line : r->json;

	if (s->plain && !r->line.n) {
		text_clear(&s->text);
		log_text_line(&s->text, r);
		line = s->text.failed ? r->json : text_str(&s->text);
	}
	line_writer_put(s->writer, line, r->kind == LOG_KIND_AGENT);
	if (s->text.cap > KEPT)
		text_release(&s->text);
}

static struct sink_counts lines_counts(const struct sink *s)
{
	return line_writer_counts(s->writer);
}

static void lines_flush(struct sink *s, void (*done)(void *arg), void *arg)
{
	line_writer_flush(s->writer, LAST_LINES, done, arg);
}

static void file_reopen(struct sink *s)
{
	line_writer_reopen(s->writer);
}

static void lines_close(struct sink *s)
{
	if (!s)
		return;
	line_writer_on_trouble(s->writer, NULL, NULL);
	line_writer_stop(s->writer, 0);
	line_writer_free(s->writer);
	text_release(&s->text);
	mem_free(s);
}

static struct sink *make(size_t max, const struct sink_events *events, void *arg, struct line_writer *w, struct err *err)
{
	struct sink *s = w ? mem_zalloc(sizeof(*s)) : NULL;

	if (!s) {
		line_writer_free(w);
		err_set(err, "out of memory");
		return NULL;
	}
	*s = (struct sink){ .writer = w, .events = *events, .arg = arg };
	text_init(&s->text, max);
	line_writer_on_trouble(w, on_trouble, s);
	return s;
}

static struct sink *open_standard(const struct sink_config *c, const struct sink_events *events, void *arg, struct err *err)
{
	bool out = str_eq(c->address, STR("stdout"));

	if (!out && !str_eq(c->address, STR("stderr"))) {
		err_set(err, "behind the colon stands stdout or stderr; a path is file:/var/log/outrider.log");
		return NULL;
	}
	return make(c->queue, events, arg, line_writer_new(c->loop, out ? STDOUT_FILENO : STDERR_FILENO, c->queue), err);
}

static struct sink *text_open(const struct sink_config *c, const struct sink_events *events, void *arg, struct err *err)
{
	struct sink *s = open_standard(c, events, arg, err);

	if (s)
		s->plain = true;
	return s;
}

static struct sink *file_open(const struct sink_config *c, const struct sink_events *events, void *arg, struct err *err)
{
	if (!c->address.n || c->address.p[0] != '/') {
		err_set(err, "behind file: stands an absolute path, file:/var/log/outrider.log");
		return NULL;
	}
	struct sink *s = make(c->queue, events, arg, line_writer_file(c->loop, c->address, c->queue), err);
	if (s)
		s->file = true;
	return s;
}

extern const struct sink_ops sink_json, sink_text, sink_file;

const struct sink_ops sink_json = {
	.name = "json",
	.help = "json:stdout or json:stderr: a line of JSON per record",
	.open = open_standard,
	.put = lines_put,
	.counts = lines_counts,
	.flush = lines_flush,
	.close = lines_close,
};

const struct sink_ops sink_text = {
	.name = "text",
	.help = "text:stdout or text:stderr: a line for people per record",
	.open = text_open,
	.put = lines_put,
	.counts = lines_counts,
	.flush = lines_flush,
	.close = lines_close,
};

const struct sink_ops sink_file = {
	.name = "file",
	.help = "file:/var/log/outrider.log: lines of JSON; opened again by PUT /log?reopen and SIGUSR1",
	.open = file_open,
	.put = lines_put,
	.counts = lines_counts,
	.reopen = file_reopen,
	.flush = lines_flush,
	.close = lines_close,
};
