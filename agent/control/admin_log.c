/* Admin pages about log records: /log, /log/recent, /log/tail. */
#include "control/access_log.h"
#include "control/admin.h"
#include "control/app_output.h"
#include "control/log_filter.h"
#include "control/log_json.h"
#include "control/log_keep.h"
#include "control/log_tail.h"
#include "control/logs.h"
#include "control/option_levels.h"

#define RECENT 200u
#define RECENT_MAX 1000u
#define FILTERS "?service=&level=warn&kind=agent|access|app&subsystem=&q=text&limit=200"

/* --- /log ---------------------------------------------------------------------------------------------------------------- */

static void put_levels(struct json *j, const struct logs *h)
{
	struct logs_level_row row;

	json_key(j, "levels");
	json_object(j);
	for (unsigned i = 0; logs_level_row(h, i, &row); i++)
		if (row.level < LEVEL_COUNT)
			json_put_strz(j, row.subsystem, log_level_word(row.level));
	json_end(j);
	json_key(j, "subsystems");
	json_array(j);
	for (size_t i = 0; log_subsystems[i]; i++)
		json_strz(j, log_subsystems[i]);
	json_end(j);
}

static void put_sink(struct json *j, const struct logs_sink *s)
{
	json_object(j);
	json_put_strz(j, "sink", s->name);
	json_put_strz(j, "state", s->trouble[0] ? "trouble" : "ok");
	if (s->trouble[0])
		json_put_strz(j, "why", s->trouble);
	json_put_u64(j, "produced", s->counts.produced);
	json_put_u64(j, "sent", s->counts.sent);
	json_put_u64(j, "queued", s->counts.queued);
	json_key(j, "dropped");
	json_object(j);
	json_put_u64(j, "full", s->counts.dropped_full);
	json_put_u64(j, "failed", s->counts.dropped_failed);
	json_put_u64(j, "long", s->counts.dropped_long);
	json_end(j);
	json_end(j);
}

static void put_hub(struct json *j, const struct logs *h)
{
	struct logs_counts c = logs_counts(h);
	struct logs_sink s;

	put_levels(j, h);
	json_key(j, "records");
	json_object(j);
	for (unsigned i = 0; i < LOG_KINDS; i++)
		json_put_u64(j, log_kind_word(i), c.records[i]);
	json_end(j);
	json_put_u64(j, "repeated", c.repeated);
	json_put_u64(j, "dropped_memory", c.dropped_memory);
	json_key(j, "sinks");
	json_array(j);
	for (unsigned i = 0; logs_sink(h, i, &s); i++)
		put_sink(j, &s);
	json_end(j);
}

void admin_page_log(struct admin *a, struct httpd_request *r)
{
	const struct agent *g = a->agent;
	struct text t;

	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_put_strz(&j, "level", log_level_word(g->logs ? logs_level(g->logs, STR("")) : g->log->level));
	json_put_u64(&j, "lines", g->log->lines);
	json_put_u64(&j, "lost", g->log->lost);
	if (g->access) {
		struct access_log_counts c = access_log_counts(g->access);
		json_put_u64(&j, "access_lines", c.lines);
		json_put_u64(&j, "access_lost", c.cut);
	}
	if (g->logs && g->sees_swarm) /* where an agent's records go is no service's business */
		put_hub(&j, g->logs);
	if (g->output) {
		json_key(&j, "output");
		json_object(&j);
		app_counts_put(&j, g->output);
		json_end(&j);
	}
	json_end(&j);
	admin_reply(r, 200, &t);
}

/* --- PUT /log ------------------------------------------------------------------------------------------------------------ */

static void reopen(struct admin *a, struct httpd_request *r)
{
	struct text t;

	logs_reopen(a->agent->logs);
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_put_strz(&j, "reopen", "files are opened again before their next line; GET /log shows what is wrong with them");
	json_end(&j);
	admin_reply(r, 202, &t);
}

static void set_level(struct admin *a, struct httpd_request *r, struct str subsystem, enum log_level level)
{
	struct log *log = a->agent->log;
	struct logs *h = a->agent->logs;
	enum log_level former = logs_level(h, subsystem);
	char name[LOGS_SUBSYSTEM_MAX] = "all";
	struct text t;

	if (!logs_set_level(h, subsystem, level)) {
		admin_refuse(r, 503, "too-many", "Too many subsystems have a level of their own.", "Set the level of all: PUT /log?level=debug.");
		return;
	}
	if (subsystem.n)
		(void)str_copy(subsystem, name, sizeof(name));
	level = logs_level(h, subsystem);
	log_write(log, LEVEL_WARN, "admin", "the log level was changed",
		LOG_FIELDS(log_text("of", name), log_text("from", log_level_word(former)), log_text("to", log_level_word(level))));
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_put_strz(&j, "level", log_level_word(level));
	json_put_strz(&j, "former", log_level_word(former));
	if (subsystem.n)
		json_put_strz(&j, "subsystem", name);
	json_end(&j);
	admin_reply(r, 200, &t);
}

void admin_page_log_level(struct admin *a, struct httpd_request *r)
{
	struct str word = httpd_query(r, "level"), subsystem = httpd_query(r, "subsystem");
	enum log_level level = LEVEL_COUNT;
	struct err why = { "" };

	if (!a->agent->logs)
		admin_refuse(r, 503, "starting", "The agent is starting.", "Ask again in a moment.");
	else if (!a->agent->sees_swarm)
		admin_refuse(r, 403, "not-here", "Levels and files are the agent's, not this service's.", "Ask the admin port of the node's agent.");
	else if (httpd_query(r, "reopen").p)
		reopen(a, r);
	else if (!str_eq(word, STR("default")) && !log_level_parse(word, &level))
		admin_refuse(r, 400, "bad-level", "The query's level is missing or no level.",
			"PUT /log?level=error, warn, info, debug or default, with &subsystem=discovery for one part; or PUT /log?reopen.");
	else if (subsystem.n && !option_levels_subsystem(subsystem, &why))
		admin_refuse(r, 400, "bad-subsystem", why.text, "GET /log lists the subsystems.");
	else
		set_level(a, r, subsystem, level);
}

/* --- /log/recent, /log/tail ---------------------------------------------------------------------------------------------- */

/* In a container's namespace the records of its own sidecar alone. false: it is answered. */
static bool take_filter(struct admin *a, struct httpd_request *r, struct log_filter *f)
{
	const char *bad = log_filter_read(f, r, a->agent->sees_swarm ? 0 : a->agent->seat);

	if (!a->agent->logs || (!a->agent->sees_swarm && !a->agent->seat))
		admin_refuse(r, 503, "starting", "The agent is starting.", "Ask again in a moment.");
	else if (bad)
		admin_refuse(r, 400, "bad-filter", bad, FILTERS);
	else
		return true;
	return false;
}

struct page {
	struct text text, one;
	bool any;
};

/* As many as a page may have. */
static bool add_record(void *arg, const struct log_record *r)
{
	struct page *p = arg;

	text_clear(&p->one);
	log_json_page(&p->one, r);
	if (p->one.failed || p->one.n + 64 > ADMIN_PAGE_MAX - p->text.n)
		return false;
	if (p->any)
		text_char(&p->text, ',');
	text_add(&p->text, text_str(&p->one));
	p->any = true;
	return true;
}

void admin_page_log_recent(struct admin *a, struct httpd_request *r)
{
	struct log_filter f;
	struct page p = { .any = false };
	struct str limit = httpd_query(r, "limit");
	uint64_t n = RECENT;

	if (!take_filter(a, r, &f))
		return;
	if (limit.n && (!str_u64(limit, &n) || n < 1 || n > RECENT_MAX)) {
		admin_refuse(r, 400, "bad-filter", "limit is a number from 1 to 1000.", FILTERS);
		return;
	}
	text_init(&p.text, ADMIN_PAGE_MAX);
	text_init(&p.one, ADMIN_PAGE_MAX);
	text_addz(&p.text, "{\"records\":[");
	bool more = log_keep_each(logs_kept(a->agent->logs), (size_t)n, log_filter_fits, &f, add_record, &p);
	text_fmt(&p.text, "],\"more\":%s}", more ? "true" : "false");
	text_release(&p.one);
	admin_reply(r, 200, &p.text);
}

void admin_page_log_tail(struct admin *a, struct httpd_request *r)
{
	struct log_filter f;

	if (take_filter(a, r, &f))
		log_tail_serve(logs_tail(a->agent->logs), r, &f);
}
