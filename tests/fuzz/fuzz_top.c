/* A page of an agent in `outrider top`: whatever it says, it is refused with a reason, or lines come of it that are no wider than the
 * screen, no more than it has, and without a byte that a terminal obeys. The first two bytes are the size of the screen. */
#include "control/top.h"
#include "control/top_draw.h"
#include "fuzz.h"
#include "http/bounded_json.h"

static void check(const struct text *t, const struct top_ui *ui, const struct style *s)
{
	struct str all = text_str(t), line;
	unsigned n = 0;

	FUZZ_CHECK(!t->failed);
	for (; all.n; n++) {
		size_t at = str_find(all, '\n');
		FUZZ_CHECK(at != SIZE_MAX);
		line = str_make(all.p, at);
		FUZZ_CHECK(!ui->width || style_columns(s, line) <= ui->width);
		for (size_t i = 0; i < line.n; i++)
			FUZZ_CHECK((unsigned char)line.p[i] >= 0x20 && line.p[i] != 0x7f);
		all = str_make(all.p + at + 1, all.n - at - 1);
	}
	FUZZ_CHECK(!ui->height || n <= ui->height);
}

static void draw(const struct top_model *m, unsigned width, unsigned height)
{
	const struct style s = { .utf8 = height & 1, .terminal = true };
	struct top_ui ui;
	struct text t;

	top_ui_init(&ui);
	ui.live = width > 0;
	ui.width = width;
	ui.height = width ? height : 0;
	text_init(&t, 16 << 20);
	for (unsigned v = 0; v < TOP_VIEWS; v++) {
		ui.view = (enum top_view)v;
		text_clear(&t);
		top_draw(&t, m, &ui, &s);
		check(&t, &ui, &s);
	}
	text_clear(&t);
	top_json(&t, m, &ui);
	FUZZ_CHECK(!t.failed && t.p[0] == '{' && t.p[t.n - 1] == '}');
	text_release(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct json_limits limits = { .bytes = 1 << 20, .nodes = 20000, .depth = 32 };
	struct top_model *m = top_model_new();
	struct err err = { "" };

	FUZZ_CHECK(m);
	if (n > 2) {
		char *copy = fuzz_copy(data + 2, n - 2);
		cJSON *root = bounded_json_parse(str_make(copy, n - 2), &limits, &err);
		free(copy);
		if (root) {
			bool swarm = top_read_swarm(m, root, top_read_state, true, &err);
			FUZZ_CHECK(swarm || err.text[0]);
			if (!swarm)
				(void)!top_read_state(m, root, "10.0.0.1:4191", &err);
			top_read_changes(m, root, "");
			(void)!top_read_failures(m, root, "", &err);
		}
		cJSON_Delete(root);
		top_model_finish(m, data[0] & 1);
		draw(m, data[0], data[1] ? data[1] : 1);
	}
	top_model_free(m);
	return 0;
}
