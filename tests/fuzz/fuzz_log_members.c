/* Members of a log record, which may come from what a service wrote: whatever they are, a message of GELF is JSON whose fields are texts and numbers, one
 * of syslog is one line of UTF-8 with its element closed, a line for people has no control byte; all within their bounds. The bytes are the message, too. */
#include "../../plugins/gelf_json.h"
#include "../../plugins/log_members.h"
#include "../../plugins/log_text.h"
#include "../../plugins/rfc5424.h"
#include "base/json.h"
#include "fuzz.h"

#include <cjson/cJSON.h>

static void check_utf8(struct str s)
{
	for (size_t i = 0, n; i < s.n; i += n) {
		n = utf8_length(s.p + i, s.n - i);
		FUZZ_CHECK(n > 0);
	}
}

static void check_gelf(const struct text *t)
{
	cJSON *v = cJSON_ParseWithLength(t->p, t->n), *item;

	FUZZ_CHECK(v && cJSON_IsObject(v));
	cJSON_ArrayForEach(item, v) FUZZ_CHECK(cJSON_IsString(item) || cJSON_IsNumber(item));
	item = cJSON_GetObjectItemCaseSensitive(v, "short_message");
	FUZZ_CHECK(cJSON_IsString(item) && item->valuestring[0] && !cJSON_GetObjectItemCaseSensitive(v, "_id"));
	cJSON_Delete(v);
	check_utf8(text_str(t));
}

/* Behind the header, up to the bracket that no backslash stands before. */
static void check_syslog(const struct text *t)
{
	const char *begin = strstr(text_z(t), " [outrider@32473"); /* no field of the header has a blank */
	bool quoted = false;

	FUZZ_CHECK(begin);
	size_t i = (size_t)(begin - t->p) + 1;
	for (; i < t->n && (quoted || t->p[i] != ']'); i++) {
		FUZZ_CHECK((unsigned char)t->p[i] >= 0x20 && t->p[i] != 0x7f);
		if (quoted && t->p[i] == '\\')
			i++;
		else if (t->p[i] == '"')
			quoted = !quoted;
	}
	FUZZ_CHECK(i + 1 < t->n && t->p[i + 1] == ' ');
	check_utf8(text_str(t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct sink_identity self = { "n1", "0" };
	struct str s = { (const char *)data, n };
	const struct log_record r = { .level = LEVEL_INFO, .kind = LOG_KIND_APP, .message = s, .members = s, .service = s, .trace_id = { s.p, n < 64 ? n : 64 } };
	struct log_member m;
	struct text t;

	if (n > 65536)
		return 0;
	text_init(&t, 1 << 20);
	for (struct str rest = s; log_member_next(&rest, &m);)
		FUZZ_CHECK(rest.n < n && m.key.p >= s.p && m.value.p + m.value.n <= s.p + n);
	log_member_unescape(&t, s);
	FUZZ_CHECK(t.failed || t.n <= n);
	size_t longest = 400 + n * 20;
	gelf_json(&t, &r, &self, longest);
	FUZZ_CHECK(!t.failed);
	check_gelf(&t);
	rfc5424_message(&t, &r, &self, 16, 8192);
	FUZZ_CHECK(!t.failed);
	check_syslog(&t);
	text_clear(&t);
	log_text_line(&t, &r);
	for (size_t i = 0; i < t.n; i++)
		FUZZ_CHECK((unsigned char)t.p[i] >= 0x20 && t.p[i] != 0x7f);
	text_release(&t);
	return 0;
}
