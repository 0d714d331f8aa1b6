#include "control/top_ui.h"

#include <stdio.h>

/* --- columns -------------------------------------------------------------------------------------------------------------- */

static const struct top_column services[] = {
	{ "name", "SERVICE", CELL_NAME, TOP_NUMBERS, 0, 12, 0, "service of the sidecar" },
	{ NULL, "NODE", CELL_NODE, 0, 0, 6, 12, "where it runs; * several" },
	{ NULL, "STATE", CELL_STATE, 0, 0, 8, 6, "of the sidecar; down: its handler takes nothing" },
	{ "instances", "N", CELL_NUMBER, TOP_INSTANCES, FORMAT_COUNT, 3, 13, "sidecars in this row" },
	{ "rate", "RATE", CELL_NUMBER, TOP_RATE, FORMAT_RATE, 6, 0, "requests in, per second" },
	{ "errors", "ERR%", CELL_NUMBER, TOP_PERCENT, FORMAT_PERCENT, 5, 0, "of them failed" },
	{ "p50", "P50", CELL_NUMBER, TOP_P50, FORMAT_MS, 5, 1, "ms; half were quicker" },
	{ "p95", "P95", CELL_NUMBER, TOP_P95, FORMAT_MS, 5, 2, "ms; of 20 one was slower" },
	{ "p99", "P99", CELL_NUMBER, TOP_P99, FORMAT_MS, 5, 1, "ms; of 100 one was slower" },
	{ "active", "NOW", CELL_NUMBER, TOP_ACTIVE, FORMAT_COUNT, 4, 3, "requests in flight" },
	{ "out", "OUT", CELL_NUMBER, TOP_OUT_RATE, FORMAT_RATE, 6, 9, "its own calls, per second" },
	{ "retries", "RETRY", CELL_NUMBER, TOP_RETRIES, FORMAT_RATE, 6, 10,
		"attempts beyond the first, per second" },
	{ "open", "OPEN", CELL_NUMBER, TOP_OPEN, FORMAT_COUNT, 5, 4,
		"circuits of its calls that are not closed" },
	{ "healthy", "ENDP", CELL_PAIR, TOP_HEALTHY, 0, 6, 5, "endpoints that take its calls / all" },
	{ "cpu", "CPU%", CELL_NUMBER, TOP_CPU, FORMAT_PERCENT, 5, 14, "of a core that the sidecar costs" },
	{ NULL, "TREND", CELL_TREND, 0, 0, 6, 7, "rate, newest at the right" },
};

static const struct top_column upstreams[] = {
	{ "name", "FROM", CELL_NAME, TOP_NUMBERS, 0, 12, 0, "the calling service" },
	{ NULL, "TO", CELL_OTHER, 0, 0, 12, 0, "the upstream" },
	{ NULL, "NODE", CELL_NODE, 0, 0, 6, 12, "of the caller" },
	{ "rate", "RATE", CELL_NUMBER, TOP_RATE, FORMAT_RATE, 6, 0, "calls per second" },
	{ "errors", "ERR%", CELL_NUMBER, TOP_PERCENT, FORMAT_PERCENT, 5, 0, "of them failed" },
	{ "p50", "P50", CELL_NUMBER, TOP_P50, FORMAT_MS, 5, 5, "ms; half were quicker" },
	{ "p95", "P95", CELL_NUMBER, TOP_P95, FORMAT_MS, 5, 13, "ms; of 20 one was slower" },
	{ "p99", "P99", CELL_NUMBER, TOP_P99, FORMAT_MS, 5, 1, "ms; of 100 one was slower" },
	{ "active", "NOW", CELL_NUMBER, TOP_ACTIVE, FORMAT_COUNT, 4, 14, "calls in flight" },
	{ "retries", "RETRY", CELL_NUMBER, TOP_RETRIES, FORMAT_RATE, 6, 3,
		"attempts beyond the first, per second" },
	{ "healthy", "ENDP", CELL_PAIR, TOP_HEALTHY, 0, 6, 2, "endpoints that take calls / all" },
	{ NULL, "CIRCUIT", CELL_STATE, 0, 0, 9, 4, "closed: calls pass; open: they fail at once" },
	{ NULL, "INSTANCE", CELL_KEY, 0, 0, 10, 15, "that calls; - several" },
	{ NULL, "TREND", CELL_TREND, 0, 0, 6, 7, "rate, newest at the right" },
};

static const struct top_column circuits[] = {
	{ "name", "FROM", CELL_NAME, TOP_NUMBERS, 0, 12, 0, "the calling service" },
	{ NULL, "TO", CELL_OTHER, 0, 0, 12, 0, "the upstream (route), SOAP action" },
	{ NULL, "NODE", CELL_NODE, 0, 0, 6, 12, "of the caller" },
	{ NULL, "STATE", CELL_STATE, 0, 0, 9, 0, "closed, open, half-open, or forced by hand" },
	{ "since", "SINCE", CELL_NUMBER, TOP_AGE, FORMAT_AGE, 6, 1, "how long it is so" },
	{ "requests", "REQ", CELL_NUMBER, TOP_REQUESTS, FORMAT_COUNT, 5, 2, "in the window" },
	{ "errors", "ERR%", CELL_NUMBER, TOP_PERCENT, FORMAT_PERCENT, 5, 0, "of them failed" },
	{ "rejected", "REJ", CELL_NUMBER, TOP_REJECTED, FORMAT_COUNT, 5, 4, "refused because of it" },
	{ NULL, "WHY", CELL_NOTE, 0, 0, 12, 3, "why it is so" },
	{ NULL, "INSTANCE", CELL_KEY, 0, 0, 10, 13, "that calls" },
};

static const struct top_column failures[] = {
	{ "age", "AGO", CELL_NUMBER, TOP_AGE, FORMAT_AGE, 4, 0, "when it was" },
	{ "name", "SERVICE", CELL_NAME, TOP_NUMBERS, 0, 12, 0, "whose sidecar saw it" },
	{ NULL, "UPSTREAM", CELL_OTHER, 0, 0, 12, 0, "called" },
	{ "status", "CODE", CELL_NUMBER, TOP_STATUS, FORMAT_STATUS, 5, 0, "status of the reply; - none" },
	{ NULL, "REASON", CELL_STATE, 0, 0, 15, 1, "outrider help reasons" },
	{ "took", "TOOK", CELL_NUMBER, TOP_TOOK, FORMAT_MS, 5, 2, "ms" },
	{ "attempts", "TRY", CELL_NUMBER, TOP_ATTEMPTS, FORMAT_COUNT, 4, 3, "attempts" },
	{ NULL, "REQUEST", CELL_NOTE, 0, 0, 10, 4, "method and path" },
	{ NULL, "ID", CELL_KEY, 0, 0, 16, 6, "for outrider why" },
	{ NULL, "WHERE", CELL_NODE, 0, 0, 15, 7, "endpoint, or node" },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
_Static_assert(COUNT(services) <= TOP_COLUMNS_MAX, "TOP_COLUMNS_MAX");

static const struct {
	const struct top_column *columns;
	size_t n, sort;
	bool descending;
} views[TOP_VIEWS] = {
	[TOP_SERVICES] = { services, COUNT(services), 4, true },
	[TOP_UPSTREAMS] = { upstreams, COUNT(upstreams), 3, true },
	[TOP_CIRCUITS] = { circuits, COUNT(circuits), 6, true },
	[TOP_FAILURES] = { failures, COUNT(failures), 0, false },
};

const struct top_column *top_columns(enum top_view view, size_t *n)
{
	*n = views[view].n;
	return views[view].columns;
}

size_t top_column_find(enum top_view view, struct str word)
{
	for (size_t i = 0; i < views[view].n; i++)
		if (views[view].columns[i].word && str_eq(word, str_of(views[view].columns[i].word)))
			return i;
	return SIZE_MAX;
}

void top_ui_init(struct top_ui *ui)
{
	*ui = (struct top_ui){ .scope = TOP_NODE, .group = -1, .interval = 2 * USEC_SEC };
	for (unsigned v = 0; v < TOP_VIEWS; v++) {
		ui->sort[v] = views[v].sort;
		ui->descending[v] = views[v].descending;
	}
}

void top_ui_learn(struct top_ui *ui, const struct top_model *m)
{
	/* Who could name a sidecar stands before a node's agent. */
	if (m->scope == TOP_SIDECAR && ui->service[0]) {
		ui->can[TOP_NODE] = true;
		return;
	}
	/* What one offer of a swarm's says holds for the agent that was asked. */
	for (unsigned i = 0; i < TOP_SCOPES; i++)
		ui->can[i] = ui->can[i] || m->can[i];
}

bool top_ui_groups(const struct top_ui *ui)
{
	return ui->group < 0 ? ui->scope == TOP_SWARM : ui->group > 0;
}

/* --- keys ----------------------------------------------------------------------------------------------------------------------- */

static enum top_act say(struct top_ui *ui, const char *text)
{
	(void)str_copy(str_of(text), ui->said, sizeof(ui->said));
	return ACT_DRAW;
}

static enum top_act show_view(struct top_ui *ui, unsigned view)
{
	ui->view = (enum top_view)(view % TOP_VIEWS);
	ui->help = false;
	return ACT_ASK;
}

/* The next column to the left or right that is seen, and can be sorted by. */
static enum top_act move_sort(struct top_ui *ui, int by)
{
	size_t n = views[ui->view].n, i = ui->sort[ui->view], steps = 0;
	uint32_t shown = ui->shown[ui->view] ? ui->shown[ui->view] : UINT32_MAX;

	do
		i = (i + n + (size_t)(by < 0 ? n - 1 : 1)) % n;
	while (++steps < n && (!views[ui->view].columns[i].word || !(shown >> i & 1)));
	ui->sort[ui->view] = i;
	ui->descending[ui->view] = top_column_descends(&views[ui->view].columns[i]);
	return ACT_DRAW;
}

static void set_scope(struct top_ui *ui, enum top_scope scope)
{
	ui->scope = scope;
	memset(ui->cursor, 0, sizeof(ui->cursor));
	memset(ui->offset, 0, sizeof(ui->offset));
}

/* To the sidecar of the row under the cursor: of a service, the caller's of an edge. */
static enum top_act enter(struct top_ui *ui, const struct top_model *m)
{
	const struct top_table *t = m ? &m->tables[ui->view] : NULL;

	if (ui->scope == TOP_SIDECAR)
		return say(ui, "this is one sidecar already");
	if (ui->scope == TOP_SWARM)
		return say(ui, "a sidecar is shown by the agent of its node: outrider top --admin=NODE:4191");
	if (!t || ui->cursor[ui->view] >= t->n)
		return say(ui, "there is no row to look into");
	const struct top_row *r = &t->rows[ui->cursor[ui->view]];
	bool by_key = ui->view != TOP_FAILURES && r->key[0] && !top_ui_groups(ui);
	const char *name = by_key ? r->key : r->name;
	if (!str_copy(str_of(name), ui->service, sizeof(ui->service)))
		return say(ui, "its name is too long");
	set_scope(ui, TOP_SIDECAR);
	return ACT_ASK;
}

static enum top_act next_scope(struct top_ui *ui, const struct top_model *m)
{
	for (unsigned i = 1; i < TOP_SCOPES; i++) {
		enum top_scope next = (enum top_scope)((ui->scope + i) % TOP_SCOPES);
		if (!ui->can[next])
			continue;
		if (next == TOP_SIDECAR && ui->can[TOP_NODE]) {
			if (ui->scope == TOP_SWARM)
				continue; /* its rows are of other agents */
			return enter(ui, m);
		}
		if (next == TOP_NODE)
			ui->service[0] = '\0';
		set_scope(ui, next);
		return ACT_ASK;
	}
	return say(ui, "this agent offers no other scope");
}

/* Up again, from one sidecar to its node. */
static enum top_act leave(struct top_ui *ui)
{
	if (ui->help) {
		ui->help = false;
		return ACT_DRAW;
	}
	if (ui->scope != TOP_SIDECAR || !ui->can[TOP_NODE])
		return ACT_NOTHING;
	ui->service[0] = '\0';
	set_scope(ui, TOP_NODE);
	return ACT_ASK;
}

static enum top_act move_cursor(struct top_ui *ui, int key, size_t n)
{
	size_t *at = &ui->cursor[ui->view], page = ui->height > 12 ? ui->height - 11 : 1;

	if (n == 0)
		return ACT_NOTHING;
	switch (key) {
	case KEY_UP:
		*at -= *at > 0;
		break;
	case KEY_DOWN:
		*at += 1;
		break;
	case KEY_PAGE_UP:
		*at -= *at < page ? *at : page;
		break;
	case KEY_PAGE_DOWN:
		*at += page;
		break;
	case KEY_HOME:
		*at = 0;
		break;
	default:
		*at = n - 1;
		break;
	}
	if (*at >= n)
		*at = n - 1;
	return ACT_DRAW;
}

/* --- one function for each key: arg is that of its row -------------------------------------------------------------------- */

static enum top_act on_quit(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)m, (void)arg;
	ui->quit = true;
	return ACT_DRAW;
}

static enum top_act on_help(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)m, (void)arg;
	ui->help = !ui->help;
	return ACT_DRAW;
}

static enum top_act on_view(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)m;
	return show_view(ui, arg < 0 ? ui->view + 1u : (unsigned)arg);
}

static enum top_act on_scope(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)arg;
	return next_scope(ui, m);
}

static enum top_act on_sort(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)m;
	return move_sort(ui, arg);
}

static enum top_act on_reverse(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)m, (void)arg;
	ui->descending[ui->view] = !ui->descending[ui->view];
	return ACT_DRAW;
}

static enum top_act on_group(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)m, (void)arg;
	ui->group = !top_ui_groups(ui);
	return ACT_ASK;
}

static enum top_act on_pause(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)m, (void)arg;
	ui->paused = !ui->paused;
	return ui->paused ? ACT_DRAW : ACT_ASK;
}

static enum top_act on_enter(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)arg;
	return enter(ui, m);
}

static enum top_act on_back(struct top_ui *ui, const struct top_model *m, int arg)
{
	(void)m, (void)arg;
	return leave(ui);
}

static enum top_act on_move(struct top_ui *ui, const struct top_model *m, int arg)
{
	return move_cursor(ui, arg, m ? m->tables[ui->view].n : 0);
}

static const struct {
	int key;
	enum top_act (*fn)(struct top_ui *ui, const struct top_model *m, int arg);
	int arg;
} keys[] = {
	{ 'q', on_quit, 0 },
	{ 'Q', on_quit, 0 },
	{ 0x04, on_quit, 0 }, /* Ctrl-D; Ctrl-C is a signal */
	{ '?', on_help, 0 },
	{ 'h', on_help, 0 },
	{ '1', on_view, TOP_SERVICES },
	{ '2', on_view, TOP_UPSTREAMS },
	{ '3', on_view, TOP_CIRCUITS },
	{ '4', on_view, TOP_FAILURES },
	{ 'v', on_view, -1 },
	{ KEY_TAB, on_view, -1 },
	{ 's', on_scope, 0 },
	{ '<', on_sort, -1 },
	{ ',', on_sort, -1 },
	{ KEY_LEFT, on_sort, -1 },
	{ '>', on_sort, 1 },
	{ '.', on_sort, 1 },
	{ KEY_RIGHT, on_sort, 1 },
	{ 'r', on_reverse, 0 },
	{ 'g', on_group, 0 },
	{ 'p', on_pause, 0 },
	{ ' ', on_pause, 0 },
	{ KEY_ENTER, on_enter, 0 },
	{ KEY_BACK, on_back, 0 },
	{ 'k', on_move, KEY_UP },
	{ 'j', on_move, KEY_DOWN },
	{ KEY_UP, on_move, KEY_UP },
	{ KEY_DOWN, on_move, KEY_DOWN },
	{ KEY_PAGE_UP, on_move, KEY_PAGE_UP },
	{ KEY_PAGE_DOWN, on_move, KEY_PAGE_DOWN },
	{ KEY_HOME, on_move, KEY_HOME },
	{ KEY_END, on_move, KEY_END },
};

enum top_act top_ui_key(struct top_ui *ui, int key, const struct top_model *m)
{
	ui->said[0] = '\0';
	for (size_t i = 0; i < COUNT(keys); i++)
		if (keys[i].key == key)
			return keys[i].fn(ui, m, keys[i].arg);
	return ACT_DRAW;
}

/* --- a terminal's bytes -------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *bytes;
	int key;
} sequences[] = {
	{ "\033[A", KEY_UP },
	{ "\033OA", KEY_UP },
	{ "\033[B", KEY_DOWN },
	{ "\033OB", KEY_DOWN },
	{ "\033[C", KEY_RIGHT },
	{ "\033OC", KEY_RIGHT },
	{ "\033[D", KEY_LEFT },
	{ "\033OD", KEY_LEFT },
	{ "\033[5~", KEY_PAGE_UP },
	{ "\033[6~", KEY_PAGE_DOWN },
	{ "\033[H", KEY_HOME },
	{ "\033OH", KEY_HOME },
	{ "\033[1~", KEY_HOME },
	{ "\033[F", KEY_END },
	{ "\033OF", KEY_END },
	{ "\033[4~", KEY_END },
};

/* An unknown one: up to its final byte, so that its rest is not taken for keys. */
static size_t sequence_length(struct str z)
{
	size_t i = 2;

	if (z.n < 2)
		return 1;
	if (z.p[1] != '[' && z.p[1] != 'O')
		return 1;
	while (i < z.n && (unsigned char)z.p[i] < 0x40)
		i++;
	return i < z.n ? i + 1 : z.n;
}

int top_key_read(struct str *input)
{
	int c = (unsigned char)input->p[0];
	size_t n = 1;
	int key = KEY_NONE;

	if (c == 0x1b) {
		n = sequence_length(*input);
		key = n == 1 ? KEY_BACK : KEY_NONE;
		for (size_t i = 0; i < COUNT(sequences); i++)
			if (str_eq(str_make(input->p, n), str_of(sequences[i].bytes)))
				key = sequences[i].key;
	} else {
		key = c == '\r' || c == '\n'   ? KEY_ENTER
		      : c == '\t'              ? KEY_TAB
		      : c == 0x7f || c == '\b' ? KEY_BACK
		      : c < 0x80               ? c
					       : KEY_NONE;
	}
	*input = str_make(input->p + n, input->n - n);
	return key;
}
