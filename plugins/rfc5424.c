#include "rfc5424.h"

#include "base/clock.h"
#include "base/json.h"
#include "log_members.h"

#define PARAMS_MAX 64u
#define NAME_MAX_BYTES 32u /* RFC 5424, section 6: SD-NAME */
#define NIL STR("-")
#define UNKNOWN STR("\xef\xbf\xbd")

static unsigned severity(uint8_t level)
{
	static const uint8_t of[LEVEL_COUNT] = { [LEVEL_ERROR] = 3, [LEVEL_WARN] = 4, [LEVEL_INFO] = 6, [LEVEL_DEBUG] = 7 };

	return level < LEVEL_COUNT ? of[level] : 6;
}

bool rfc5424_facility(struct str word, unsigned *ret)
{
	static const char *const words[] = { "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
		"audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7" };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_eq(word, str_of(words[i]))) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* A field of the header: printable ASCII without blanks, never empty. */
static void add_word(struct text *t, struct str s, size_t max)
{
	text_char(t, ' ');
	if (!s.n)
		text_add(t, NIL);
	for (size_t i = 0; i < s.n && i < max; i++)
		text_char(t, s.p[i] > 0x20 && s.p[i] < 0x7f ? s.p[i] : '_');
}

/* --- structured data --------------------------------------------------------------------------------------------------------- */

static void add_value(struct text *t, struct str s)
{
	for (size_t i = 0; i < s.n;) {
		size_t n = utf8_length(s.p + i, s.n - i);
		unsigned char c = (unsigned char)s.p[i];
		if (n == 0) {
			text_add(t, UNKNOWN);
			i++;
			continue;
		}
		if (c == '"' || c == '\\' || c == ']')
			text_char(t, '\\');
		if (c < 0x20 || c == 0x7f)
			text_char(t, ' ');
		else
			text_add(t, str_make(s.p + i, n));
		i += n;
	}
}

static void add_name(struct text *t, struct str s)
{
	text_char(t, ' ');
	for (size_t i = 0; i < s.n && i < NAME_MAX_BYTES; i++) {
		char c = s.p[i];
		text_char(t, c > 0x20 && c < 0x7f && c != '=' && c != ']' && c != '"' ? c : '_');
	}
}

static void add_param(struct text *t, const char *name, struct str value)
{
	if (!value.n)
		return;
	add_name(t, str_of(name));
	text_addz(t, "=\"");
	add_value(t, value);
	text_char(t, '"');
}

static void add_member(struct text *t, const struct log_member *m, struct text *plain)
{
	struct str value = m->value;

	if (!m->key.n)
		return;
	if (m->type == LOG_MEMBER_STRING && str_find(value, '\\') != SIZE_MAX) {
		text_clear(plain);
		log_member_unescape(plain, value);
		value = text_str(plain);
	}
	add_name(t, m->key);
	text_addz(t, "=\"");
	add_value(t, value);
	text_char(t, '"');
}

static void add_members(struct text *t, struct str members)
{
	struct text plain;
	struct log_member m;

	text_init(&plain, members.n + 1);
	for (unsigned i = 0; i < PARAMS_MAX && log_member_next(&members, &m); i++)
		add_member(t, &m, &plain);
	text_release(&plain);
}

static void add_data(struct text *t, const struct log_record *r, struct str members, bool truncated)
{
	text_addz(t, " [outrider@32473");
	add_param(t, "subsystem", r->subsystem);
	add_param(t, "stack", r->stack);
	add_param(t, "slot", r->slot);
	add_param(t, "node", r->node);
	add_param(t, "stream", r->stream == LOG_STREAM_NONE ? STR("") : r->stream == LOG_STREAM_STDERR ? STR("stderr") : STR("stdout"));
	add_param(t, "trace_id", r->trace_id);
	add_param(t, "span_id", r->span_id);
	if (truncated)
		add_param(t, "truncated", STR("true"));
	add_members(t, members);
	text_char(t, ']');
}

/* --- the message --------------------------------------------------------------------------------------------------------------- */

static void add_message(struct text *t, struct str s)
{
	for (size_t i = 0; i < s.n;) {
		size_t n = utf8_length(s.p + i, s.n - i);
		if (n == 0)
			text_add(t, UNKNOWN);
		else if (!s.p[i])
			text_char(t, ' ');
		else
			text_add(t, str_make(s.p + i, n));
		i += n ? n : 1;
	}
}

static void write(struct text *t, const struct log_record *r, const struct sink_identity *self, unsigned facility, struct str members, size_t message_max)
{
	static const struct str kinds[LOG_KINDS] = { { "agent", 5 }, { "access", 6 }, { "app", 3 } };
	struct str message = str_make(r->message.p, r->message.n < message_max ? r->message.n : message_max);
	char time[25];

	while (message.n && message.n < r->message.n && ((unsigned char)r->message.p[message.n] & 0xc0) == 0x80)
		message.n--; /* not in the middle of a character */
	clock_iso(r->wall, time);
	text_clear(t);
	text_fmt(t, "<%u>1 %s", facility * 8 + severity(r->level), time);
	add_word(t, r->node.n ? r->node : str_of(self->host), 255);
	add_word(t, r->service.n ? r->service : STR("outrider"), 48);
	add_word(t, r->task, 128);
	add_word(t, kinds[r->kind < LOG_KINDS ? r->kind : 0], 32);
	add_data(t, r, members, members.n != r->members.n || message.n != r->message.n);
	text_char(t, ' ');
	add_message(t, message);
}

void rfc5424_message(struct text *t, const struct log_record *r, const struct sink_identity *self, unsigned facility, size_t longest)
{
	size_t max = r->message.n;

	write(t, r, self, facility, r->members, max);
	if (t->failed || t->n <= longest)
		return;
	write(t, r, self, facility, STR(""), max);
	while (!t->failed && t->n > longest && max > 16) {
		max = max > longest ? longest : max - max / 8;
		write(t, r, self, facility, STR(""), max);
	}
}
