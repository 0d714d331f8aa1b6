/* What services write, from the engine's frames to entries. However the bytes are cut, the same entries come out; none is longer than the
 * maximum; a message is safe to show; members are JSON, and what is merged is an object for another parser, too.
 *
 * Input: a byte (1: no frames, 2: a terminal's stream, 4: colours stay), a byte for the pieces, the stream. */
#include "base/json.h"
#include "control/app_entry.h"
#include "control/app_frames.h"
#include "control/app_lines.h"
#include "control/app_text.h"
#include "fuzz.h"

#include <cjson/cJSON.h>

#define TEXT_MAX ((size_t)16 << 20)

struct run {
	struct app_frames frames;
	struct app_lines lines[2];
	struct app_entry entry;
	struct text clean, out;
	bool framed, colours;
	enum app_source source;
};

static bool is_object(struct str s)
{
	const char *end = NULL;
	cJSON *root = cJSON_ParseWithLengthOpts(s.p, s.n, &end, false);
	bool object = cJSON_IsObject(root);
	cJSON_Delete(root);
	return object;
}

static void check_members(struct str members)
{
	struct text t;
	text_init(&t, TEXT_MAX);
	text_char(&t, '{');
	text_add(&t, members);
	text_char(&t, '}');
	FUZZ_CHECK(!t.failed && is_object(text_str(&t)));
	text_release(&t);
}

static void check_id(struct str id, bool span)
{
	FUZZ_CHECK(id.n == 0 || id.n == 16 || (id.n == 32 && !span));
	for (size_t i = 0; i < id.n; i++)
		FUZZ_CHECK((id.p[i] >= '0' && id.p[i] <= '9') ||
			   ((id.p[i] | 0x20) >= 'a' && (id.p[i] | 0x20) <= 'f'));
}

static void on_line(void *arg, struct str line, unsigned flags, uint64_t wall)
{
	struct run *r = arg;
	char *copy = fuzz_copy(line.p, line.n);
	size_t begun = r->out.n;

	(void)wall;
	FUZZ_CHECK(line.n <= APP_LINE_MIN);
	text_clear(&r->clean);
	app_text_clean(&r->clean, str_make(copy, line.n), r->colours);
	FUZZ_CHECK(!r->clean.failed && r->clean.n <= 3 * line.n);
	FUZZ_CHECK(r->colours || app_text_is_clean(text_str(&r->clean)));
	app_entry_read(&r->entry, text_str(&r->clean), !flags);
	FUZZ_CHECK(r->colours || app_text_is_clean(r->entry.message));
	FUZZ_CHECK(r->entry.level < LEVEL_COUNT);
	FUZZ_CHECK(r->entry.merged || r->entry.members.n == 0);
	if (r->entry.merged) {
		FUZZ_CHECK(is_object(text_str(&r->clean)));
		check_members(r->entry.members);
	}
	check_id(r->entry.trace_id, false);
	check_id(r->entry.span_id, true);
	text_fmt(&r->out, "%d%u%d ", (int)r->source, flags, (int)r->entry.level);
	text_add(&r->out, r->entry.message);
	text_char(&r->out, '\n');
	FUZZ_CHECK(r->out.failed || r->out.n > begun);
	free(copy);
}

static void feed(struct run *r, struct str bytes)
{
	struct app_piece p = { .source = APP_STDOUT, .bytes = bytes };

	if (!r->framed) {
		app_lines_feed(&r->lines[0], bytes, 0, 0, on_line, r);
		return;
	}
	while (app_frames_next(&r->frames, &bytes, &p)) {
		r->source = p.source;
		if (p.source != APP_ENGINE)
			app_lines_feed(&r->lines[p.source], p.bytes, 0, p.stamp, on_line, r);
	}
}

static void go(struct run *r, const uint8_t *data, size_t n, uint8_t options, size_t step)
{
	*r = (struct run){ .framed = !(options & 1), .colours = options & 4 };
	app_frames_init(&r->frames, options & 2);
	for (int i = 0; i < 2; i++)
		app_lines_init(&r->lines[i], APP_LINE_MIN);
	app_entry_init(&r->entry);
	text_init(&r->clean, TEXT_MAX);
	text_init(&r->out, TEXT_MAX);
	for (size_t at = 0; at < n; at += step) {
		size_t take = n - at < step ? n - at : step;
		char *copy = fuzz_copy(data + at, take);
		feed(r, str_make(copy, take));
		free(copy);
	}
	for (int i = 0; i < 2; i++) {
		r->source = (enum app_source)i;
		app_lines_flush(&r->lines[i], on_line, r);
		FUZZ_CHECK(r->lines[i].lost == 0);
		app_lines_release(&r->lines[i]);
	}
}

static void release(struct run *r)
{
	app_entry_release(&r->entry);
	text_release(&r->clean);
	text_release(&r->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct run whole, cut;

	if (n < 2)
		return 0;
	go(&whole, data + 2, n - 2, data[0], n);
	go(&cut, data + 2, n - 2, data[0], 1 + data[1] % 64);
	FUZZ_CHECK(whole.out.failed || str_eq(text_str(&whole.out), text_str(&cut.out)));
	release(&whole);
	release(&cut);
	return 0;
}
