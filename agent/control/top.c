#include "control/top.h"

#include "base/unit.h"
#include "control/ask.h"
#include "control/commands.h"
#include "control/top_draw.h"
#include "control/top_look.h"
#include "control/top_term.h"
#include "control/top_trend.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define STATUS_OK 0
#define STATUS_FAILED 1
#define STATUS_USAGE 2
#define SCREEN_MAX (4u << 20)
#define INTERVAL_MIN (200 * USEC_MS)
#define INTERVAL_MAX (3600 * USEC_SEC)
#define TYPED 256

struct top {
	struct options *options;
	struct top_ui ui;
	bool once, json;
	const char *sort; /* --sort; NULL: as each view is by itself */
	struct top_trend *trend;
	struct top_model *model; /* what is shown */
	struct top_watch *watch;
	uint64_t wished; /* number of the last wish */
	bool asking;
	usec next;      /* when to look again */
	usec looked_at; /* when the model came */
	int signals;
	int ended_by;
};

/* --- its own flags ------------------------------------------------------------------------------------------------------------ */

static bool is_word(const char *const *words, unsigned n, const char *value, unsigned *ret)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(words[i], value) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

static bool set_interval(struct top *t, const char *value, struct err *err)
{
	uint64_t v;

	if (!duration_parse(str_of(value), &v) || v < INTERVAL_MIN || v > INTERVAL_MAX)
		return err_set(err, "--interval=%.40s: a time from 200ms to 1h is accepted, 2s for example", value);
	t->ui.interval = v;
	return true;
}

static bool set_scope(struct top *t, const char *value, struct err *err)
{
	unsigned i;

	if (!is_word(top_scope_words, TOP_SCOPES, value, &i))
		return err_set(err, "--scope=%.40s: sidecar, node or swarm is accepted", value);
	t->ui.scope = (enum top_scope)i;
	return true;
}

static bool set_view(struct top *t, const char *value, struct err *err)
{
	unsigned i;

	if (!is_word(top_view_words, TOP_VIEWS, value, &i))
		return err_set(err, "--view=%.40s: services, upstreams, circuits or failures is accepted", value);
	t->ui.view = (enum top_view)i;
	return true;
}

static bool set_sort(struct top *t, const char *value, struct err *err)
{
	(void)err;
	t->sort = value;
	return true;
}

static const struct {
	const char *name;
	bool (*set)(struct top *t, const char *value, struct err *err);
} flags[] = { { "--interval", set_interval }, { "--scope", set_scope }, { "--view", set_view }, { "--sort", set_sort } };

/* The flag's value: behind '=', or the next argument, when *i goes on. NULL: not this flag, or nothing follows it. */
static const char *value_of(int argc, char **argv, int *i, const char *flag)
{
	size_t n = strlen(flag);

	if (strncmp(argv[*i], flag, n) != 0)
		return NULL;
	if (argv[*i][n] == '=')
		return argv[*i] + n + 1;
	if (argv[*i][n] || *i + 1 >= argc)
		return NULL;
	return argv[++*i];
}

/* Takes what are no options of the agent out of argv; the new count, or -1. */
static int take_flags(struct top *t, int argc, char **argv, bool *scoped, struct err *err)
{
	int kept = 0;

	for (int i = 0; i < argc; i++) {
		bool taken = true;
		const char *value = NULL;
		if (strcmp(argv[i], "--once") == 0)
			t->once = true;
		else if (strcmp(argv[i], "--json") == 0)
			t->json = true;
		else
			taken = false;
		for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]) && !taken && !value; f++) {
			value = value_of(argc, argv, &i, flags[f].name);
			if (value && !flags[f].set(t, value, err))
				return -1;
			*scoped = *scoped || (value && flags[f].set == set_scope);
		}
		if (!taken && !value)
			argv[kept++] = argv[i];
	}
	return kept;
}

static void say_sorts(enum top_view view, const char *value, struct err *err)
{
	size_t n;
	const struct top_column *c = top_columns(view, &n);
	struct text words;

	text_init(&words, 300);
	for (size_t i = 0; i < n; i++)
		if (c[i].word)
			text_fmt(&words, "%s%s", words.n ? ", " : "", c[i].word);
	err_set(err, "--sort=%.40s: view %s can be sorted by %s", value, top_view_words[view], text_z(&words));
	text_release(&words);
}

/* In the view that is shown first it must be there; the others take it where they have it, so that keys find it there. */
static bool use_sort(struct top *t, struct err *err)
{
	for (unsigned v = 0; v < TOP_VIEWS && t->sort; v++) {
		size_t n, i = top_column_find((enum top_view)v, str_of(t->sort));
		if (i == SIZE_MAX && v == t->ui.view) {
			say_sorts(t->ui.view, t->sort, err);
			return false;
		}
		if (i == SIZE_MAX)
			continue;
		const struct top_column *c = &top_columns((enum top_view)v, &n)[i];
		t->ui.sort[v] = i;
		t->ui.descending[v] = top_column_descends(c);
	}
	return true;
}

/* --- one look -------------------------------------------------------------------------------------------------------------------- */

static void take_model(struct top *t, struct top_model *m)
{
	top_trend_take(t->trend, m, top_ui_groups(&t->ui));
	top_ui_learn(&t->ui, m);
	top_model_free(t->model);
	t->model = m;
	t->looked_at = clock_now();
	t->ui.trouble[0] = '\0';
}

/* In every view, so that another one is in order before the next look. */
static void sort_all(struct top *t)
{
	for (unsigned v = 0; v < TOP_VIEWS; v++) {
		size_t n;
		const struct top_column *c = &top_columns((enum top_view)v, &n)[t->ui.sort[v]];
		top_sort(&t->model->tables[v], c->number, t->ui.descending[v]);
	}
}

/* What the agent offers when nobody asked for a scope: its node, else its one sidecar. */
static void settle_scope(struct top *t, bool scoped)
{
	if (scoped || t->ui.service[0])
		return;
	if (!t->model->can[TOP_NODE])
		t->ui.scope = t->model->scope = TOP_SIDECAR;
}

static bool look_once(struct top *t, struct err *err)
{
	struct top_wish w = top_wish_of(&t->ui, 0);

	w.past = !t->once;
	struct top_model *m = top_look(t->options, &w, err);
	if (m)
		take_model(t, m);
	return m != NULL;
}

static bool print_once(struct top *t, const struct style *s)
{
	struct text page;

	text_init(&page, SCREEN_MAX);
	sort_all(t);
	if (t->json) {
		top_json(&page, t->model, &t->ui);
		text_char(&page, '\n');
	} else {
		top_draw(&page, t->model, &t->ui, s);
	}
	bool good = !page.failed && fwrite(text_z(&page), 1, page.n, stdout) == page.n && fflush(stdout) == 0;
	text_release(&page);
	return good;
}

/* Where no screen can be kept: one page after the other, as they come. */
static int run_plain(struct top *t, const struct style *s)
{
	struct err err = { "" };

	for (;;) {
		if (!print_once(t, s))
			return STATUS_FAILED;
		if (t->once)
			return STATUS_OK;
		usec until = clock_now() + t->ui.interval;
		for (usec now = clock_now(); now < until; now = clock_now()) {
			struct pollfd p = { .fd = t->signals, .events = POLLIN };
			if (poll(&p, 1, (int)((until - now) / USEC_MS) + 1) <= 0)
				continue;
			int signo = term_signal(t->signals);
			if (signo == SIGTSTP)
				raise(SIGSTOP);
			else if (signo && signo != SIGWINCH)
				return 128 + signo;
		}
		if (!look_once(t, &err))
			fprintf(stderr, "outrider top: %s\n", err.text);
		else
			puts(t->json ? "" : "\n");
	}
}

/* --- the screen --------------------------------------------------------------------------------------------------------------------- */

static void ask_now(struct top *t)
{
	struct top_wish w = top_wish_of(&t->ui, ++t->wished);

	w.past = !t->model || t->model->scope != t->ui.scope;
	top_watch_wish(t->watch, &w);
	t->asking = true;
	t->next = clock_now() + t->ui.interval;
}

static void take_answer(struct top *t)
{
	struct top_model *m = NULL;
	struct err err = { "" };
	uint64_t number = 0;

	if (!top_watch_answer(t->watch, &m, &number, &err))
		return;
	if (number != t->wished) { /* of a scope that was left meanwhile */
		top_model_free(m);
		return;
	}
	t->asking = false;
	if (m)
		take_model(t, m);
	else
		(void)str_copy(str_of(err.text), t->ui.trouble, sizeof(t->ui.trouble));
}

static bool draw(struct top *t, struct style *s)
{
	struct text page;

	term_size(&t->ui.width, &t->ui.height);
	s->width = t->ui.width;
	t->ui.trouble_for = clock_now() - t->looked_at;
	/* The figures of another scope are not shown under this one's name. */
	bool fits = t->model && t->model->scope == t->ui.scope;
	if (fits)
		sort_all(t);
	text_init(&page, SCREEN_MAX);
	top_draw(&page, fits ? t->model : NULL, &t->ui, s);
	bool good = term_draw(text_str(&page));
	text_release(&page);
	return good;
}

/* false: the terminal is gone. */
static bool take_keys(struct top *t)
{
	char typed[TYPED];
	int n = term_read(typed, sizeof(typed));
	struct str left = str_make(typed, n > 0 ? (size_t)n : 0);

	while (left.n && !t->ui.quit) {
		enum top_act act = top_ui_key(&t->ui, top_key_read(&left), t->model);
		if (act == ACT_ASK)
			ask_now(t);
	}
	return n >= 0;
}

/* false: it is to end. */
static bool take_signal(struct top *t)
{
	int signo = term_signal(t->signals);
	struct err err;

	if (signo == 0 || signo == SIGWINCH)
		return true;
	if (signo == SIGTSTP)
		return term_stop(&err);
	t->ended_by = signo;
	return false;
}

static void run_screen(struct top *t, struct style *s)
{
	while (!t->ui.quit && draw(t, s)) {
		usec now = clock_now();
		if (!t->ui.paused && !t->asking && now >= t->next) {
			ask_now(t);
			continue;
		}
		usec wait = t->next > now ? t->next - now : 0;
		/* Paused or waiting for an answer: once a second, for what says how old the figures are. */
		if (t->ui.paused || t->asking)
			wait = USEC_SEC;
		struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = t->signals, .events = POLLIN },
			{ .fd = top_watch_fd(t->watch), .events = POLLIN } };
		(void)poll(p, 3, (int)(wait / USEC_MS) + 1);
		if (p[2].revents)
			take_answer(t);
		if ((p[1].revents && !take_signal(t)) || (p[0].revents && !take_keys(t)))
			return;
	}
}

static int run_live(struct top *t, struct style *s, struct err *err)
{
	t->watch = top_watch_start(t->options, err);
	if (!t->watch || !term_open(err)) {
		fprintf(stderr, "outrider top: %s\n", err->text);
		return STATUS_FAILED;
	}
	t->ui.live = true;
	t->next = clock_now() + t->ui.interval;
	run_screen(t, s);
	term_close();
	return t->ended_by ? 128 + t->ended_by : STATUS_OK;
}

static int run(struct top *t, bool scoped)
{
	struct style_env env = style_env();
	struct style s = style_of(STDOUT_FILENO);
	struct err err = { "" };

	t->signals = t->once ? -1 : term_signals(&err);
	t->trend = top_trend_new();
	if (!t->trend || (!t->once && t->signals < 0)) {
		fprintf(stderr, "outrider top: %s\n", err.text[0] ? err.text : "out of memory");
		return STATUS_FAILED;
	}
	/* The first look is made before the screen is taken: who mistyped an address reads so where he typed it. */
	if (!look_once(t, &err)) {
		fprintf(stderr, "outrider top: %s\n", err.text);
		return STATUS_FAILED;
	}
	settle_scope(t, scoped);
	t->ui.width = s.width;
	if (t->once || t->json || !s.terminal || !style_moves(&env) || !isatty(STDIN_FILENO))
		return run_plain(t, &s);
	return run_live(t, &s, &err);
}

/* --- the command ---------------------------------------------------------------------------------------------------------------------- */

static int refuse(const char *why, const char *what)
{
	fprintf(stderr, "outrider top: %s%s; see: outrider top --help\n", why, what);
	return STATUS_USAGE;
}

int command_top(int argc, char **argv)
{
	struct top t = { .signals = -1 };
	struct err err = { "" };
	bool scoped = false;
	int rest, ret;

	top_ui_init(&t.ui);
	argc = take_flags(&t, argc, argv, &scoped, &err);
	if (argc < 0 || !use_sort(&t, &err))
		return refuse(err.text, "");
	t.options = commands_read_options(argc, argv, &rest);
	if (!t.options)
		return STATUS_FAILED;
	const char *service = commands_service_flag(argc, argv);
	if (rest < argc)
		ret = refuse("unexpected argument ", argv[rest]);
	else if (service && !str_copy(str_of(service), t.ui.service, sizeof(t.ui.service)))
		ret = refuse("--service is too long", "");
	else if (!commands_check_options(t.options, COMMAND_ANY))
		ret = STATUS_USAGE;
	else if (service && scoped && t.ui.scope != TOP_SIDECAR)
		ret = refuse("--service is one sidecar, --scope says otherwise", "");
	else {
		if (service)
			t.ui.scope = TOP_SIDECAR;
		ret = run(&t, scoped);
	}
	top_model_free(t.model);
	top_trend_free(t.trend);
	if (!t.watch) /* its thread may be reading them */
		options_free(t.options);
	return ret;
}
