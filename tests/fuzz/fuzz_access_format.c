/* A template of the access log: whatever stands in it, it is refused with a reason, or its lines are within their bounds, end no line and
 * say the literals as they are. The record's texts are the same bytes. */
#include "control/access_format.h"
#include "fuzz.h"

static _Alignas(8) char mem[sizeof(struct record) + sizeof(struct record_try) + RECORD_TEXT_MAX];

static const struct record *make(struct str text)
{
	struct record *r = (void *)mem;

	*r = (struct record){ .started = 1795496607540679, .duration = 5, .n_tries = 1, .status = 200 };
	memset(r + 1, 0, sizeof(struct record_try));
	r->text_n[RECORD_PATH] = (uint16_t)(text.n < RECORD_TEXT_MAX ? text.n : RECORD_TEXT_MAX);
	if (text.n)
		memcpy((char *)(r + 1) + sizeof(struct record_try), text.p, r->text_n[RECORD_PATH]);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct line *l;
	const struct telemetry_who who = { .service = { "one", 3 } };
	struct str s = { (const char *)data, n };
	struct access_format f;
	struct err why = { "" };

	if (!l)
		l = line_new();
	FUZZ_CHECK(l);
	const struct record *r = make(s);
	line_clear(l);
	access_line_json(l, &who, r);
	FUZZ_CHECK(!l->cut && l->mem[0] == '{' && l->mem[l->n - 1] == '}');
	if (!access_format_parse(s, &f, &why)) {
		FUZZ_CHECK(why.text[0]);
		return 0;
	}
	FUZZ_CHECK(f.n <= ACCESS_PARTS_MAX && (f.json || f.n));
	line_clear(l);
	access_line(l, &f, &who, r);
	FUZZ_CHECK(l->n <= LINE_BYTES);
	for (size_t i = 0; i < l->n; i++)
		FUZZ_CHECK((unsigned char)l->mem[i] >= 0x20 && l->mem[i] != 0x7f);
	return 0;
}
