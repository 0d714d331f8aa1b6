/* `outrider top` without a terminal: pages into a model, keys, and the model into lines. */
#include "base/mem.h"
#include "control/top.h"
#include "control/top_draw.h"
#include "control/top_trend.h"
#include "http/bounded_json.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

static const struct style plain = { .utf8 = true, .terminal = true }, ascii = { .utf8 = false, .terminal = true };

#define HELLO "\"hello\":{\"node\":\"n1\",\"version\":\"0.1.0\",\"scopes\":[\"node\",\"swarm\"],\"time_ms\":1796074415628}"
#define POINT(rate, errors) "{\"rate\":" rate ",\"errors\":" errors ",\"p50_ms\":1.5,\"p95_ms\":20,\"p99_ms\":300,\"active\":7}"
#define SIDECAR(name, node, rate, state) \
	"{\"name\":\"shop_" name ".1.x\",\"service\":\"" name "\",\"slot\":\"1\",\"node\":\"" node "\",\"state\":\"" state \
	"\",\"handler\":\"up\",\"in\":" POINT(rate, "1") ",\"out\":" POINT("2", "0") "}"
#define EDGE(from, to, rate, circuit, healthy) \
	"{\"from\":\"" from "\",\"to\":\"" to "\",\"rate\":" rate ",\"errors\":0,\"p50_ms\":1,\"p99_ms\":9,\"retries\":0.5,\"circuit\":\"" circuit \
	"\",\"healthy\":" healthy ",\"endpoints\":3}"
#define STATE(sidecars, edges) \
	"{" HELLO ",\"in\":" POINT("100", "5") ",\"out\":" POINT("50", "0") ",\"sidecars\":[" sidecars "],\"edges\":[" edges "],\"circuits\":[],\"support\":[]," \
	"\"process\":{\"cpu_percent\":1.5,\"memory_bytes\":12582912},\"left_out\":{\"edges\":0,\"sidecars\":4}}"

static const char two[] = STATE(SIDECAR("alpha", "n1", "10", "serving") "," SIDECAR("beta", "n1", "90", "draining"),
	EDGE("alpha", "beta", "10", "closed", "3") "," EDGE("alpha", "gamma", "1", "open", "1"));

static cJSON *parse(const char *z)
{
	const struct json_limits limits = { 1 << 20, 100000, 32 };
	struct err err = { "" };
	cJSON *root = bounded_json_parse(str_of(z), &limits, &err);

	ck_assert_msg(root != NULL, "%s", err.text);
	return root;
}

static struct top_model *model_of(const char *z, bool group)
{
	struct top_model *m = top_model_new();
	struct err err = { "" };
	cJSON *root = parse(z);

	ck_assert_ptr_nonnull(m);
	m->scope = TOP_NODE;
	ck_assert_msg(top_read_state(m, root, "", &err), "%s", err.text);
	top_model_finish(m, group);
	cJSON_Delete(root);
	return m;
}

static const struct top_row *row_of(const struct top_model *m, enum top_view view, const char *name, const char *other)
{
	for (size_t i = 0; i < m->tables[view].n; i++)
		if (strcmp(m->tables[view].rows[i].name, name) == 0 && (!other || strcmp(m->tables[view].rows[i].other, other) == 0))
			return &m->tables[view].rows[i];
	ck_abort_msg("no row %s", name);
	return NULL;
}

/* --- reading -------------------------------------------------------------------------------------------------------------- */

START_TEST(a_state)
{
	struct top_model *m = model_of(two, false);
	const struct top_row *alpha = row_of(m, TOP_SERVICES, "alpha", NULL);

	ck_assert_str_eq(m->node, "n1");
	ck_assert(m->can[TOP_NODE] && m->can[TOP_SWARM] && !m->can[TOP_SIDECAR]);
	ck_assert_double_eq(m->in.rate, 100);
	ck_assert_uint_eq(m->not_serving, 1);
	ck_assert_uint_eq(m->circuits_open, 1);
	ck_assert_double_eq(m->healthy, 4);
	ck_assert_double_eq(m->endpoints, 6);
	ck_assert_uint_eq(m->tables[TOP_SERVICES].left_out, 4);
	ck_assert_double_eq(alpha->of[TOP_PERCENT], 10);
	ck_assert_double_eq(alpha->of[TOP_RETRIES], 1);
	ck_assert_double_eq(alpha->of[TOP_OPEN], 1);
	ck_assert_double_eq(alpha->of[TOP_ENDPOINTS], 6);
	ck_assert(isnan(row_of(m, TOP_SERVICES, "beta", NULL)->of[TOP_ENDPOINTS])); /* it calls nobody */
	top_model_free(m);
}
END_TEST

START_TEST(what_is_no_state)
{
	static const char *const rows[] = { "[]", "{}", "\"x\"", "{\"in\":1}", "null" };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct top_model *m = top_model_new();
		struct err err = { "" };
		cJSON *root = parse(rows[i]);
		ck_assert(!top_read_state(m, root, "", &err) && err.text[0]);
		cJSON_Delete(root);
		top_model_free(m);
	}
	/* Members of the wrong kind are not known, and nothing more. */
	struct top_model *m = model_of("{\"in\":{\"rate\":\"x\",\"errors\":[],\"p50_ms\":-1},\"sidecars\":[1,null,{\"service\":5}],\"edges\":{},\"circuits\":\"\"}", false);
	ck_assert_double_eq(m->in.rate, 0);
	ck_assert(isnan(m->in.p50));
	top_model_free(m);
}
END_TEST

static const char swarm[] = "{\"agents\":[{\"agent\":\"10.0.5.2:4191\",\"status\":200,\"answer\":" STATE(SIDECAR("alpha", "n1", "10", "serving"),
	EDGE("alpha", "beta", "10", "closed", "3")) "},{\"agent\":\"10.0.5.3:4191\",\"status\":200,\"answer\":"
	STATE(SIDECAR("alpha", "n2", "30", "draining"), EDGE("alpha", "beta", "30", "open", "2"))
	"},{\"agent\":\"10.0.5.4:4191\",\"why\":\"connect timeout\"},{\"agent\":\"10.0.5.5:4191\",\"status\":404,\"answer\":{}}]}";

START_TEST(a_swarm)
{
	struct top_model *m = top_model_new();
	struct err err = { "" };
	cJSON *root = parse(swarm);

	m->scope = TOP_SWARM;
	ck_assert(top_read_swarm(m, root, top_read_state, true, &err));
	top_model_finish(m, true);
	ck_assert_uint_eq(m->agents, 2);
	ck_assert_uint_eq(m->agents_silent, 2);
	ck_assert_str_eq(m->troubles[0].name, "10.0.5.4:4191");
	ck_assert_str_eq(m->troubles[0].why, "connect timeout");
	ck_assert_str_eq(m->troubles[1].why, "it answered with status 404");
	ck_assert_uint_eq(m->tables[TOP_SERVICES].n, 1);
	const struct top_row *r = row_of(m, TOP_SERVICES, "alpha", NULL), *e = row_of(m, TOP_UPSTREAMS, "alpha", "beta");
	ck_assert_double_eq(r->of[TOP_RATE], 40);
	ck_assert_double_eq(r->of[TOP_INSTANCES], 2);
	ck_assert_double_eq(r->of[TOP_PERCENT], 5);
	ck_assert_str_eq(r->state, "draining"); /* the worse one */
	ck_assert_str_eq(r->node, "*");
	ck_assert_str_eq(e->state, "open");
	ck_assert_double_eq(e->of[TOP_HEALTHY], 2);
	ck_assert_double_eq(e->of[TOP_ENDPOINTS], 3);
	ck_assert_double_eq(m->in.rate, 200);
	cJSON_Delete(root);
	top_model_free(m);
}
END_TEST

START_TEST(changes_and_failures)
{
	struct top_model *m = top_model_new();
	struct err err = { "" };
	cJSON *changes = parse("{\"changes\":[{\"time_ms\":1000,\"kind\":\"circuit\",\"text\":\"old\"},{\"time_ms\":3000,\"kind\":\"ejected\",\"text\":\"new\"},"
			       "{\"kind\":\"x\"},{\"time_ms\":2000,\"text\":\"between\"}]}");
	cJSON *failures = parse("{\"failures\":[{\"time\":\"1970-01-01T00:00:01.500Z\",\"service\":\"a\",\"upstream\":\"b\",\"status\":503,"
				"\"reason\":\"connect-refused\",\"duration_ms\":2.5,\"attempts\":2,\"method\":\"GET\",\"path\":\"/x\",\"request_id\":\"id1\"}]}");

	m->time_ms = 4000;
	top_read_changes(m, changes, "n1");
	top_read_changes(m, changes, "n2"); /* another agent saw the same */
	ck_assert_uint_eq(m->n_changes, 3);
	ck_assert_str_eq(m->changes[0].text, "new");
	ck_assert_str_eq(m->changes[1].text, "between");
	for (unsigned i = 0; i < 2 * TOP_CHANGES_MAX; i++) { /* more than there is room for */
		char z[100];
		snprintf(z, sizeof(z), "[{\"time_ms\":%u,\"kind\":\"x\",\"text\":\"number %u\"}]", 10000 + i, i);
		cJSON *more = parse(z);
		top_read_changes(m, more, "n1");
		cJSON_Delete(more);
	}
	ck_assert_uint_eq(m->n_changes, TOP_CHANGES_MAX);
	ck_assert_str_eq(m->changes[0].text, "number 31");
	ck_assert(top_read_failures(m, failures, "", &err));
	const struct top_row *r = row_of(m, TOP_FAILURES, "a", "b");
	ck_assert_double_eq(r->of[TOP_AGE], 2500);
	ck_assert_str_eq(r->note, "GET /x");
	ck_assert_str_eq(r->key, "id1");
	ck_assert(!top_read_failures(m, changes, "", &err));
	cJSON_Delete(changes);
	cJSON_Delete(failures);
	top_model_free(m);
}
END_TEST

START_TEST(what_was_before)
{
	struct top_trend *trend = top_trend_new();
	struct top_model *m = model_of(two, false);
	cJSON *page = parse("{\"in\":{\"rate\":[null,null,5,null,7]},\"out\":{\"rate\":\"x\"}}");

	top_read_past(m, page);
	ck_assert_uint_eq(m->n_trend_in, 3);
	ck_assert_uint_eq(m->n_trend_out, 0);
	top_trend_take(trend, m, false);
	ck_assert_uint_eq(m->n_trend_in, 4);
	ck_assert_double_eq(m->trend_in[0], 5);
	ck_assert_double_eq(m->trend_in[2], 7);
	ck_assert_double_eq(m->trend_in[3], 100);
	cJSON_Delete(page);
	top_model_free(m);
	top_trend_free(trend);
}
END_TEST

START_TEST(memory_is_short)
{
	cJSON *root = parse(two);

	for (unsigned long k = 1; k < 4; k++) {
		struct err err = { "" };
		mem_fail_at(k);
		struct top_model *m = top_model_new();
		if (m) {
			(void)!top_read_state(m, root, "", &err);
			top_model_finish(m, true);
		}
		mem_fail_at(0);
		top_model_free(m);
	}
	cJSON_Delete(root);
}
END_TEST

/* --- order, trend --------------------------------------------------------------------------------------------------------------- */

START_TEST(order)
{
	struct top_model *m = model_of(two, false);
	struct top_table *t = &m->tables[TOP_SERVICES];

	top_sort(t, TOP_RATE, true);
	ck_assert_str_eq(t->rows[0].name, "beta");
	top_sort(t, TOP_RATE, false);
	ck_assert_str_eq(t->rows[0].name, "alpha");
	top_sort(t, TOP_NUMBERS, true);
	ck_assert_str_eq(t->rows[0].name, "beta");
	/* What is not known is last, whichever way. */
	top_sort(t, TOP_RETRIES, false);
	ck_assert_str_eq(t->rows[1].name, "beta");
	top_sort(t, TOP_RETRIES, true);
	ck_assert_str_eq(t->rows[1].name, "beta");
	top_model_free(m);
}
END_TEST

START_TEST(trends)
{
	struct top_trend *trend = top_trend_new();

	for (unsigned i = 0; i < TOP_TREND + 5; i++) {
		struct top_model *m = model_of(two, false);
		top_trend_take(trend, m, false);
		const struct top_row *r = row_of(m, TOP_SERVICES, "beta", NULL);
		ck_assert_uint_eq(r->n_trend, i < TOP_TREND ? i + 1 : TOP_TREND);
		ck_assert_double_eq(r->trend[r->n_trend - 1], 90);
		top_model_free(m);
	}
	/* Another scope is another line. */
	struct top_model *m = model_of(two, true);
	m->scope = TOP_SWARM;
	top_trend_take(trend, m, true);
	ck_assert_uint_eq(m->n_trend_in, 1);
	top_model_free(m);
	top_trend_free(trend);
}
END_TEST

/* --- lines --------------------------------------------------------------------------------------------------------------------------- */

static void draw(struct text *t, const struct top_model *m, struct top_ui *ui, const struct style *s)
{
	text_clear(t);
	top_draw(t, m, ui, s);
	if (t->failed)
		ck_abort_msg("too long");
}

/* No line wider, none more than fits, no byte that a terminal obeys. */
static void check_lines(const struct text *t, const struct top_ui *ui, const struct style *s)
{
	struct str all = text_str(t);
	unsigned n = 0;

	while (all.n) { /* an assertion writes to a file each time: it is made where something is wrong */
		size_t at = str_find(all, '\n');
		if (at == SIZE_MAX)
			ck_abort_msg("a line without end");
		struct str line = str_make(all.p, at);
		if (style_columns(s, line) > ui->width)
			ck_abort_msg("%u columns of %u: %.*s", style_columns(s, line), ui->width, STR_ARG(line));
		for (size_t i = 0; i < line.n; i++)
			if ((unsigned char)line.p[i] < 0x20)
				ck_abort_msg("byte %d: %.*s", line.p[i], STR_ARG(line));
		all = str_make(all.p + at + 1, all.n - at - 1);
		n++;
	}
	if (n > ui->height)
		ck_abort_msg("%u lines of %u", n, ui->height);
}

START_TEST(lines_of_every_size)
{
	static const char hostile[] = STATE(SIDECAR("\\u001b[2J\\u009b31m\\u202eevil\\nname", "n\\t1", "10", "serving") ","
		SIDECAR("\u540d\u524d\u30b5\u30fc\u30d3\u30b9\u540d\u524d\u30b5\u30fc\u30d3\u30b9\u540d\u524d\u30b5\u30fc\u30d3\u30b9", "n1", "1e14", "\\u0007"),
		EDGE("\\u001b]0;x\\u0007", "<script>alert(1)</script>", "5e-9", "open\\r", "1e14"));
	static const unsigned widths[] = { 1, 2, 19, 20, 21, 40, 79, 80, 81, 132, 240 }, heights[] = { 1, 2, 8, 9, 10, 16, 24, 50 };
	struct top_model *m = model_of(hostile, false);
	struct top_ui ui;
	struct text t;

	top_ui_init(&ui);
	ui.live = true;
	text_init(&t, 1 << 20);
	top_trouble(m, "\033[31m", "\033[0m");
	for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++)
		for (size_t h = 0; h < sizeof(heights) / sizeof(heights[0]); h++)
			for (unsigned v = 0; v < TOP_VIEWS * 4; v++) {
				ui.width = widths[w];
				ui.height = heights[h];
				ui.view = v % TOP_VIEWS;
				ui.help = v & 4;
				const struct style *s = v & 8 ? &ascii : &plain;
				draw(&t, m, &ui, s);
				check_lines(&t, &ui, s);
				draw(&t, NULL, &ui, s);
				check_lines(&t, &ui, s);
			}
	text_release(&t);
	top_model_free(m);
}
END_TEST

START_TEST(a_screen)
{
	struct top_model *m = model_of(two, false);
	struct top_ui ui;
	struct text t;

	top_ui_init(&ui);
	ui.live = true;
	ui.width = 80;
	ui.height = 24;
	text_init(&t, 1 << 16);
	top_sort(&m->tables[TOP_SERVICES], TOP_RATE, true);
	draw(&t, m, &ui, &plain);
	static const char *const wanted[] = { "outrider top  on n1  scope node  every 2s  0.1.0", "in     100/s   5.00% failed  p50  1.50  p95  20.0  p99   300 ms    7 now",
		"6 sidecars, 1 not serving  2 upstreams  4/6 endpoints  1 circuit open", "[1 services]", "4 more are not shown", "RATE\u2193",
		">beta", " alpha", "draining", "q quit" };
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		ck_assert_msg(strstr(text_z(&t), wanted[i]) != NULL, "%s in:\n%s", wanted[i], text_z(&t));
	ck_assert(strstr(text_z(&t), "beta") < strstr(text_z(&t), "alpha"));
	ui.view = TOP_UPSTREAMS;
	draw(&t, m, &ui, &plain);
	ck_assert(strstr(text_z(&t), "1/3") && strstr(text_z(&t), "open") && strstr(text_z(&t), "gamma"));
	/* What failed is said, with how old the figures are. */
	snprintf(ui.trouble, sizeof(ui.trouble), "no agent answers: refused");
	ui.trouble_for = 6 * USEC_SEC;
	draw(&t, m, &ui, &plain);
	ck_assert(strstr(text_z(&t), "! no agent answers: refused; figures are 6 s old"));
	text_release(&t);
	top_model_free(m);
}
END_TEST

START_TEST(whole_without_a_terminal)
{
	static const struct style none = { .utf8 = false };
	struct top_model *m = model_of(two, false);
	struct top_ui ui;
	struct text t;

	top_ui_init(&ui);
	text_init(&t, 1 << 16);
	draw(&t, m, &ui, &none);
	ck_assert(strstr(text_z(&t), "SERVICE ") && strstr(text_z(&t), "CPU%") && !strstr(text_z(&t), "TREND") && !strstr(text_z(&t), "q quit"));
	text_clear(&t);
	top_json(&t, m, &ui);
	cJSON *root = cJSON_Parse(text_z(&t));
	ck_assert_ptr_nonnull(root);
	ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(root, "services")), 2);
	ck_assert(!cJSON_GetObjectItem(root, "failures"));
	cJSON_Delete(root);
	text_release(&t);
	top_model_free(m);
}
END_TEST

/* --- keys ---------------------------------------------------------------------------------------------------------------------------- */

START_TEST(what_keys_do)
{
	struct top_model *m = model_of(two, false);
	struct top_ui ui;

	top_ui_init(&ui);
	top_ui_learn(&ui, m);
	ui.height = 24;
	ck_assert_int_eq(top_ui_key(&ui, '2', m), ACT_ASK);
	ck_assert_int_eq(ui.view, TOP_UPSTREAMS);
	(void)top_ui_key(&ui, '1', m);
	size_t n, before = ui.sort[TOP_SERVICES];
	ck_assert_int_eq(top_ui_key(&ui, '>', m), ACT_DRAW);
	ck_assert_uint_eq(ui.sort[TOP_SERVICES], before + 1);
	(void)top_ui_key(&ui, KEY_LEFT, m);
	(void)top_ui_key(&ui, KEY_LEFT, m);
	(void)top_ui_key(&ui, KEY_LEFT, m);
	ck_assert_str_eq(top_columns(TOP_SERVICES, &n)[ui.sort[TOP_SERVICES]].word, "name");
	ck_assert(!ui.descending[TOP_SERVICES]);
	(void)top_ui_key(&ui, 'r', m);
	ck_assert(ui.descending[TOP_SERVICES]);
	(void)top_ui_key(&ui, KEY_DOWN, m);
	(void)top_ui_key(&ui, KEY_DOWN, m);
	ck_assert_uint_eq(ui.cursor[TOP_SERVICES], 1);
	/* Into the sidecar of the row, and back. */
	ck_assert_int_eq(top_ui_key(&ui, KEY_ENTER, m), ACT_ASK);
	ck_assert_int_eq(ui.scope, TOP_SIDECAR);
	ck_assert_str_eq(ui.service, "shop_beta.1.x");
	ck_assert_int_eq(top_ui_key(&ui, KEY_BACK, m), ACT_ASK);
	ck_assert(ui.scope == TOP_NODE && !ui.service[0]);
	ck_assert_int_eq(top_ui_key(&ui, 's', m), ACT_ASK);
	ck_assert_int_eq(ui.scope, TOP_SWARM);
	ck_assert(top_ui_groups(&ui));
	ck_assert_int_eq(top_ui_key(&ui, KEY_ENTER, m), ACT_DRAW); /* that one is another agent's */
	ck_assert(ui.said[0]);
	ck_assert_int_eq(top_ui_key(&ui, 's', m), ACT_ASK);
	ck_assert(ui.scope == TOP_NODE && !ui.said[0]);
	ui.can[TOP_SWARM] = ui.can[TOP_NODE] = false;
	ck_assert_int_eq(top_ui_key(&ui, 's', m), ACT_DRAW);
	ck_assert_str_eq(ui.said, "this agent offers no other scope");
	ck_assert_int_eq(top_ui_key(&ui, 'p', m), ACT_DRAW);
	ck_assert(ui.paused);
	ck_assert_int_eq(top_ui_key(&ui, 'p', m), ACT_ASK);
	(void)top_ui_key(&ui, 'q', m);
	ck_assert(ui.quit);
	top_model_free(m);
}
END_TEST

START_TEST(cursor_stays_in_sight)
{
	struct top_model *m = top_model_new();
	struct top_ui ui;
	struct text t;

	for (unsigned i = 0; i < 100; i++) {
		struct top_row *r = top_table_add(&m->tables[TOP_SERVICES]);
		snprintf(r->name, sizeof(r->name), "row-%02u", i);
	}
	top_ui_init(&ui);
	ui.live = true;
	ui.width = 80;
	ui.height = 24;
	text_init(&t, 1 << 16);
	(void)top_ui_key(&ui, KEY_END, m);
	draw(&t, m, &ui, &plain);
	ck_assert(strstr(text_z(&t), ">row-99"));
	(void)top_ui_key(&ui, KEY_HOME, m);
	draw(&t, m, &ui, &plain);
	ck_assert(strstr(text_z(&t), ">row-00") && !strstr(text_z(&t), "row-99"));
	ui.cursor[TOP_SERVICES] = 5000; /* fewer rows than before */
	draw(&t, m, &ui, &plain);
	ck_assert(strstr(text_z(&t), ">row-99"));
	text_release(&t);
	top_model_free(m);
}
END_TEST

Suite *suite_top(void);
Suite *suite_top(void)
{
	Suite *s = suite_create("top");
	TCase *c = tcase_create("top");
	tcase_add_test(c, a_state);
	tcase_add_test(c, what_is_no_state);
	tcase_add_test(c, a_swarm);
	tcase_add_test(c, changes_and_failures);
	tcase_add_test(c, what_was_before);
	tcase_add_test(c, memory_is_short);
	tcase_add_test(c, order);
	tcase_add_test(c, trends);
	tcase_add_test(c, lines_of_every_size);
	tcase_add_test(c, a_screen);
	tcase_add_test(c, whole_without_a_terminal);
	tcase_add_test(c, what_keys_do);
	tcase_add_test(c, cursor_stays_in_sight);
	suite_add_tcase(s, c);
	return s;
}
