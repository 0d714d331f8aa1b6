/* Spans as JSON: whatever bytes their texts and numbers have, what is written is within its bound, is JSON, is valid UTF-8, and a text of
 * plain bytes reads back as it was. */
#include "../../plugins/otlp_json.h"
#include "../../plugins/span_text.h"
#include "../../plugins/zipkin_json.h"
#include "base/json.h"
#include "fuzz.h"

#include <cjson/cJSON.h>

struct input {
	const uint8_t *p;
	size_t n;
};

static uint64_t number(struct input *in, size_t bytes)
{
	uint64_t v = 0;

	for (; bytes && in->n; bytes--, in->p++, in->n--)
		v = v << 8 | *in->p;
	return v;
}

static struct str string(struct input *in)
{
	size_t n = (size_t)number(in, 2) % 700;

	n = n < in->n ? n : in->n;
	struct str s = str_make((const char *)in->p, n);
	in->p += n;
	in->n -= n;
	return s;
}

static void peer(struct input *in, struct span_peer *p)
{
	p->service = string(in);
	p->family = (uint8_t)number(in, 1);
	for (size_t i = 0; i < 16; i++)
		p->ip[i] = (uint8_t)number(in, 1);
	p->port = (uint16_t)number(in, 2);
}

static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return s.n <= SPAN_VALUE_MAX;
}

static void check(const struct span *s, const char *out, size_t n)
{
	FUZZ_CHECK(n <= SPAN_BYTES_MAX);
	for (size_t at = 0, len; at < n; at += len) {
		len = utf8_length((const char *)out + at, n - at);
		FUZZ_CHECK(len > 0 && (unsigned char)out[at] >= 0x20);
	}
	cJSON *root = cJSON_ParseWithLength(out, n);
	FUZZ_CHECK(root);
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(root, "name");
	FUZZ_CHECK(cJSON_IsString(name));
	FUZZ_CHECK(!is_plain(s->name) || str_eq(str_of(name->valuestring), s->name));
	cJSON_Delete(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const keys[] = { "http.method", "http.path", "http.status_code", "error", "own \"key\"", "" };
	char *copy = fuzz_copy(data, n);
	struct input in = { (const uint8_t *)copy, n };
	struct span s = { .kind = (uint8_t)number(&in, 1) };
	uint64_t flags = number(&in, 1);

	s.trace_hi = number(&in, 8);
	s.trace_lo = number(&in, 8);
	s.id = number(&in, 8);
	s.parent = number(&in, 8);
	s.started = number(&in, 8);
	s.duration = number(&in, 8);
	s.debug = flags & 1;
	s.shared = flags & 2;
	s.failed = flags & 4;
	s.name = string(&in);
	peer(&in, &s.local);
	peer(&in, &s.remote);
	s.n_notes = (uint8_t)number(&in, 1);
	for (size_t i = 0; i < SPAN_NOTES_MAX; i++)
		s.notes[i] = (struct span_note){ number(&in, 8), keys[i % 6] };
	s.n_tags = (uint8_t)number(&in, 1);
	for (size_t i = 0; i < SPAN_TAGS_MAX; i++) {
		size_t key = (size_t)number(&in, 1) % 6;
		s.tags[i] = (struct span_tag){ keys[key], string(&in) };
	}
	char *out = malloc(SPAN_BYTES_MAX);
	if (!out)
		abort();
	size_t (*const writers[])(const struct span *, char *) = { zipkin_json_span, otlp_json_span };
	for (size_t i = 0; i < 2; i++) {
		size_t len = writers[i](&s, out);
		FUZZ_CHECK((len == 0) == !span_is_sound(&s));
		if (len)
			check(&s, out, len);
	}
	free(out);
	free(copy);
	return 0;
}
