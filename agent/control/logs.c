#include "control/logs.h"

#include "base/mem.h"
#include "control/log_json.h"
#include "control/log_keep.h"
#include "control/log_repeat.h"
#include "control/log_tail.h"
#include "control/nearest.h"
#include "control/option_levels.h"
#include "control/option_mask.h"
#include "control/options.h"
#include "net/timer.h"

#include <unistd.h>

#define FLUSH_TIME USEC_SEC
#define LINE_MAX_BYTES (6u * (size_t)LOG_MESSAGE_MAX + LOG_MEMBERS_MAX + 8192u) /* every byte escaped to six */
#define KEPT_LINE (64u * 1024u) /* memory for making lines that is not given back */

struct outlet { /* a sink, and what the hub knows of it */
	struct logs *owner;
	const struct sink_ops *ops;
	struct sink *sink;
	struct text name, trouble;
};

struct level_row { /* of a subsystem */
	char subsystem[LOGS_SUBSYSTEM_MAX];
	uint8_t level, start; /* LEVEL_COUNT: none of its own now; by the options */
};

struct logs {
	struct loop *loop;
	struct resolver *resolver;
	char host[256];
	struct outlet outlets[LOGS_SINKS_MAX];
	unsigned n_outlets, flushing;
	const struct outlet *except; /* what is said of a sink does not go there: it would bring about the next */
	enum log_level level, start; /* of subsystems without a row */
	struct level_row levels[LOGS_LEVELS_MAX];
	unsigned n_levels;
	struct log_repeat repeat;
	struct timer timer; /* the next collapsed record to be told of */
	struct log_keep *keep;
	struct log_tail *tail;
	struct text line;
	struct logs_counts counts;
	bool ended;
};

/* --- levels ------------------------------------------------------------------------------------------------------------------ */

static struct level_row *find_row(const struct logs *h, struct str subsystem)
{
	for (unsigned i = 0; i < h->n_levels; i++)
		if (str_eq(subsystem, str_of(h->levels[i].subsystem)))
			return (struct level_row *)&h->levels[i];
	return NULL;
}

static struct level_row *make_row(struct logs *h, struct str subsystem)
{
	struct level_row *row = find_row(h, subsystem);

	if (row || h->n_levels == LOGS_LEVELS_MAX)
		return row;
	row = &h->levels[h->n_levels];
	if (!str_copy(subsystem, row->subsystem, sizeof(row->subsystem)))
		return NULL;
	row->level = row->start = LEVEL_COUNT;
	h->n_levels++;
	return row;
}

enum log_level logs_level(const struct logs *h, struct str subsystem)
{
	const struct level_row *row = subsystem.n ? find_row(h, subsystem) : NULL;

	return row && row->level < LEVEL_COUNT ? (enum log_level)row->level : h->level;
}

bool logs_wants(const struct logs *h, enum log_level level, struct str subsystem)
{
	return level <= logs_level(h, subsystem);
}

bool logs_set_level(struct logs *h, struct str subsystem, enum log_level level)
{
	if (!subsystem.n) {
		h->level = level < LEVEL_COUNT ? level : h->start;
		return true;
	}
	struct level_row *row = make_row(h, subsystem);
	if (row)
		row->level = level < LEVEL_COUNT ? (uint8_t)level : row->start;
	return row != NULL;
}

bool logs_level_row(const struct logs *h, unsigned i, struct logs_level_row *ret)
{
	if (i >= h->n_levels)
		return false;
	*ret = (struct logs_level_row){ h->levels[i].subsystem, (enum log_level)h->levels[i].level, (enum log_level)h->levels[i].start };
	return true;
}

static bool start_level(void *arg, struct str subsystem, enum log_level level)
{
	struct level_row *row = make_row(arg, subsystem);

	if (row)
		row->level = row->start = (uint8_t)level;
	return row != NULL;
}

/* --- records ------------------------------------------------------------------------------------------------------------------ */

static void give(struct logs *h, const struct log_record *r)
{
	h->counts.records[r->kind]++;
	for (unsigned i = 0; i < h->n_outlets; i++)
		if (&h->outlets[i] != h->except)
			h->outlets[i].ops->put(h->outlets[i].sink, r);
	log_keep_put(h->keep, r);
	log_tail_put(h->tail, r);
}

/* Gives it to all with its line of JSON, which is made here if it has none. */
static void spread(struct logs *h, const struct log_record *r)
{
	if (r->json.n) {
		give(h, r);
		return;
	}
	text_clear(&h->line);
	log_json_line(&h->line, r);
	if (h->line.failed) {
		h->counts.dropped_memory++;
	} else {
		struct log_record whole = *r;
		whole.json = text_str(&h->line);
		give(h, &whole);
	}
	if (h->line.cap > KEPT_LINE)
		text_release(&h->line);
}

static void say_repeated(struct logs *h, usec now)
{
	struct log_record r;

	while (log_repeat_due(&h->repeat, now, &r))
		spread(h, &r);
	usec next = log_repeat_next(&h->repeat);
	if (next != USEC_NEVER)
		timer_set(h->loop, &h->timer, next);
}

static void on_time(void *arg)
{
	struct logs *h = arg;

	say_repeated(h, loop_touch(h->loop));
}

void logs_put(struct logs *h, const struct log_record *r)
{
	if (h->ended || r->kind >= LOG_KINDS)
		return;
	if (r->kind != LOG_KIND_AGENT) {
		spread(h, r);
		return;
	}
	if (!log_repeat_take(&h->repeat, r, loop_touch(h->loop))) {
		spread(h, r);
		return;
	}
	h->counts.repeated++;
	if (!timer_armed(&h->timer))
		timer_set(h->loop, &h->timer, log_repeat_next(&h->repeat));
}

/* --- sinks --------------------------------------------------------------------------------------------------------------------- */

static void on_trouble(void *arg, const char *why)
{
	struct outlet *o = arg;
	struct log log = { .fd = STDERR_FILENO, .hub = o->owner };

	text_clear(&o->trouble);
	text_addz(&o->trouble, why);
	if (o->owner->ended)
		return;
	o->owner->except = o;
	log_write(&log, why[0] ? LEVEL_WARN : LEVEL_INFO, "log", why[0] ? "log records cannot be delivered" : "log records are delivered again",
		LOG_FIELDS(log_text("sink", text_z(&o->name)), log_text("why", why)));
	o->owner->except = NULL;
}

static const struct sink_ops *find_ops(struct str item, struct str *address, struct err *err)
{
	size_t colon = str_find(item, ':');
	struct str name = str_make(item.p, colon == SIZE_MAX ? item.n : colon);
	const char *near = NULL;

	*address = colon == SIZE_MAX ? STR("") : str_make(item.p + colon + 1, item.n - colon - 1);
	for (size_t i = 0; plugin_sinks[i]; i++) {
		if (str_eq(name, str_of(plugin_sinks[i]->name)))
			return plugin_sinks[i];
		if (nearest_is_near(name, str_of(plugin_sinks[i]->name)))
			near = plugin_sinks[i]->name;
	}
	err_set(err, "outrider.log: there is no sink \"%.*s\"%s%s%s", STR_ARG(name), near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return NULL;
}

static bool open_one(struct logs *h, const struct logs_config *cfg, struct str item, struct err *err)
{
	static const struct sink_events events = { on_trouble };
	struct sink_config c = { .loop = h->loop, .queue = (size_t)options_u64(cfg->options, OPT_LOG_QUEUE),
		.settings = { options_setting, cfg->options }, .identity = cfg->identity };

	if (h->n_outlets == LOGS_SINKS_MAX)
		return err_set(err, "outrider.log: more than %u sinks", LOGS_SINKS_MAX);
	struct outlet *o = &h->outlets[h->n_outlets];
	o->owner = h;
	o->ops = find_ops(item, &c.address, err);
	if (!o->ops)
		return false;
	if (!h->resolver && !(h->resolver = resolver_new(h->loop, NULL, err)))
		return false;
	c.resolver = h->resolver;
	c.identity.host = h->host;
	text_init(&o->name, 512);
	text_init(&o->trouble, 512);
	mask_address(&o->name, item);
	o->sink = o->ops->open(&c, &events, o, err);
	if (o->sink) {
		h->n_outlets++;
		return true;
	}
	err_prefix(err, "outrider.log: %s", text_z(&o->name));
	text_release(&o->name);
	text_release(&o->trouble);
	return false;
}

static bool open_all(struct logs *h, const struct logs_config *c, struct err *err)
{
	struct str list = options_text(c->options, OPT_LOG), item;

	if (str_ieq(list, STR("off")))
		return true;
	while (str_next(&list, ',', &item))
		if (item.n && !open_one(h, c, item, err))
			return false;
	return true;
}

bool logs_sink(const struct logs *h, unsigned i, struct logs_sink *ret)
{
	if (i >= h->n_outlets)
		return false;
	const struct outlet *o = &h->outlets[i];
	*ret = (struct logs_sink){ .name = text_z(&o->name), .trouble = text_z(&o->trouble), .counts = o->ops->counts(o->sink) };
	return true;
}

struct logs_counts logs_counts(const struct logs *h)
{
	return h->counts;
}

const struct log_keep *logs_kept(const struct logs *h)
{
	return h->keep;
}

struct log_tail *logs_tail(struct logs *h)
{
	return h->tail;
}

void logs_reopen(struct logs *h)
{
	for (unsigned i = 0; i < h->n_outlets; i++)
		if (h->outlets[i].ops->reopen)
			h->outlets[i].ops->reopen(h->outlets[i].sink);
}

/* --- life ----------------------------------------------------------------------------------------------------------------------- */

void logs_name_host(struct logs *h, const char *host)
{
	if (host && host[0])
		(void)str_copy(str_of(host), h->host, sizeof(h->host));
	else if (gethostname(h->host, sizeof(h->host) - 1) != 0)
		h->host[0] = '\0';
	if (!h->host[0])
		(void)str_copy(STR("localhost"), h->host, sizeof(h->host));
}

struct logs *logs_new(const struct logs_config *c, struct err *err)
{
	struct logs *h = mem_zalloc(sizeof(*h));

	if (!h) {
		err_set(err, "out of memory");
		return NULL;
	}
	h->loop = c->loop;
	timer_init(&h->timer, on_time, h);
	log_repeat_init(&h->repeat);
	text_init(&h->line, LINE_MAX_BYTES);
	logs_name_host(h, c->identity.host);
	h->level = h->start = (enum log_level)options_u64(c->options, OPT_LOG_LEVEL);
	h->keep = log_keep_new(err);
	h->tail = log_tail_new(c->loop, err);
	if (h->keep && h->tail && option_levels(options_text(c->options, OPT_LOG_LEVELS), start_level, h, err) && open_all(h, c, err))
		return h;
	logs_free(h);
	return NULL;
}

static void on_flushed(void *arg)
{
	struct logs *h = arg;

	h->flushing--;
}

static void on_wake(void *arg)
{
	(void)arg; /* the turn ends */
}

void logs_flush(struct logs *h)
{
	struct timer wake;
	usec until = clock_now() + FLUSH_TIME;

	if (!h || h->ended)
		return;
	say_repeated(h, USEC_NEVER);
	h->ended = true;
	h->flushing = h->n_outlets;
	for (unsigned i = 0; i < h->n_outlets; i++)
		h->outlets[i].ops->flush(h->outlets[i].sink, on_flushed, h);
	timer_init(&wake, on_wake, NULL);
	timer_set(h->loop, &wake, until);
	while (h->flushing && clock_now() < until && timer_armed(&wake))
		loop_turn(h->loop, true);
	timer_clear(&wake);
}

bool logs_ended(const struct logs *h)
{
	return h->ended;
}

void logs_free(struct logs *h)
{
	if (!h)
		return;
	h->ended = true;
	timer_clear(&h->timer);
	for (unsigned i = 0; i < h->n_outlets; i++) {
		h->outlets[i].ops->close(h->outlets[i].sink);
		text_release(&h->outlets[i].name);
		text_release(&h->outlets[i].trouble);
	}
	loop_turn(h->loop, false); /* what threads of sinks left behind */
	if (h->resolver)
		resolver_free(h->resolver);
	log_repeat_release(&h->repeat);
	log_keep_free(h->keep);
	log_tail_free(h->tail);
	text_release(&h->line);
	mem_free(h);
}
