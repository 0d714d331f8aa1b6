#include "control/log_json.h"

#include "base/clock.h"
#include "base/json.h"
#include "control/log.h"

const char *log_kind_word(unsigned kind)
{
	static const char *const words[LOG_KINDS] = { [LOG_KIND_AGENT] = "agent", [LOG_KIND_ACCESS] = "access", [LOG_KIND_APP] = "app" };

	return kind < LOG_KINDS ? words[kind] : "?";
}

static void put(struct json *j, const char *key, struct str s)
{
	if (!s.n)
		return;
	json_key(j, key);
	json_str(j, s);
}

static void put_whose(struct json *j, const struct log_record *r)
{
	put(j, "service", r->service);
	put(j, "task", r->task);
	put(j, "stack", r->stack);
	put(j, "slot", r->slot);
	put(j, "node", r->node);
	if (r->stream)
		put(j, "stream", r->stream == LOG_STREAM_STDERR ? STR("stderr") : STR("stdout"));
	put(j, "trace_id", r->trace_id);
	put(j, "span_id", r->span_id);
}

static void write(struct text *t, const struct log_record *r, const char *kind_key)
{
	char time[25];
	struct json j = json_begin(t);

	clock_iso(r->wall, time);
	json_object(&j);
	put(&j, "time", str_of(time));
	put(&j, "level", str_of(log_level_word((enum log_level)r->level)));
	if (kind_key)
		put(&j, kind_key, str_of(log_kind_word(r->kind)));
	put(&j, "subsystem", r->subsystem);
	json_key(&j, "message");
	json_str(&j, r->message);
	put_whose(&j, r);
	if (r->members.n) {
		text_char(t, ',');
		text_add(t, r->members);
	}
	json_end(&j);
}

void log_json_line(struct text *t, const struct log_record *r)
{
	write(t, r, r->kind == LOG_KIND_AGENT ? NULL : "type");
}

void log_json_page(struct text *t, const struct log_record *r)
{
	write(t, r, "kind");
}
