#include "log_text.h"

#include "base/clock.h"
#include "base/json.h"
#include "log_members.h"

const char *log_text_level(unsigned level)
{
	static const char *const words[LEVEL_COUNT] = { [LEVEL_ERROR] = "error", [LEVEL_WARN] = "warn", [LEVEL_INFO] = "info", [LEVEL_DEBUG] = "debug" };

	return level < LEVEL_COUNT ? words[level] : "?";
}

/* Printable UTF-8 as it is; other bytes as JSON would have them. */
static void add_plain(struct text *t, struct str s)
{
	size_t from = 0;

	for (size_t i = 0; i < s.n;) {
		size_t n = utf8_length(s.p + i, s.n - i);
		bool odd = n == 0 || (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f || (n == 2 && (unsigned char)s.p[i] == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0);
		if (!odd) {
			i += n;
			continue;
		}
		text_add(t, str_make(s.p + from, i - from));
		text_fmt(t, "\\x%02x", (unsigned char)s.p[i]);
		from = ++i;
	}
	text_add(t, str_make(s.p + from, s.n - from));
}

static void add_word(struct text *t, struct str s)
{
	if (!s.n)
		return;
	text_char(t, ' ');
	add_plain(t, s);
}

static void add_members(struct text *t, struct str members)
{
	struct str rest = members, repeated = STR("");
	struct log_member m;

	while (log_member_next(&rest, &m)) {
		if (str_eq(m.key, STR("repeated"))) {
			repeated = m.value;
			continue;
		}
		text_char(t, ' ');
		add_plain(t, m.key);
		text_char(t, '=');
		if (m.type == LOG_MEMBER_STRING)
			text_char(t, '"');
		add_plain(t, m.value);
		if (m.type == LOG_MEMBER_STRING)
			text_char(t, '"');
	}
	if (repeated.n) {
		text_addz(t, " (repeated ");
		add_plain(t, repeated);
		text_addz(t, " times)");
	}
}

void log_text_line(struct text *t, const struct log_record *r)
{
	static const struct str kinds[LOG_KINDS] = { { "", 0 }, { "access", 6 }, { "app", 3 } };
	char time[25];

	clock_iso(r->wall, time);
	text_fmt(t, "%s %-5s", time, log_text_level(r->level));
	add_word(t, kinds[r->kind < LOG_KINDS ? r->kind : 0]);
	add_word(t, r->subsystem);
	add_word(t, r->service);
	text_addz(t, ": ");
	add_plain(t, r->message);
	if (r->stream == LOG_STREAM_STDERR)
		text_addz(t, " stream=stderr");
	if (r->trace_id.n) {
		text_addz(t, " trace_id=");
		add_plain(t, r->trace_id);
	}
	add_members(t, r->members);
}
