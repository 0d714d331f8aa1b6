/* Configuration as its sources say it: a directory for all its services and profiles, or the chain of outrider.config. */
#include "control/check.h"

#include "base/mem.h"
#include "control/option_mask.h"
#include "control/judge.h"
#include "control/option_value.h"
#include "control/upstreams.h"
#include "net/timer.h"

#include <stdio.h>

/* --- places -------------------------------------------------------------------------------------------------------- */

/* "application.yml:3: why" or "file:application.yml:3": name, line and what follows. false: it has not that form. */
static bool split_place(struct str s, struct str *name, uint32_t *line, struct str *rest)
{
	for (size_t from = 0; from < s.n;) {
		size_t colon = str_find(str_make(s.p + from, s.n - from), ':'), n = 0;
		if (colon == SIZE_MAX)
			return false;
		size_t at = from + colon + 1;
		uint64_t v;
		while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
			n++;
		if (n && (at + n == s.n || s.p[at + n] == ':') && str_u64(str_make(s.p + at, n), &v) &&
			v <= UINT32_MAX) {
			*name = str_make(s.p, at - 1);
			*line = (uint32_t)v;
			*rest = at + n < s.n ? str_trim(str_make(s.p + at + n + 1, s.n - at - n - 1))
					     : STR("");
			return true;
		}
		from = at;
	}
	return false;
}

struct place {
	char file[1024];
	uint32_t line;
	struct str rest; /* what stood behind it */
};

/* Where people find it: below `dir` if that is known. */
static struct place place_of(struct str said, const char *dir)
{
	struct place p = { .rest = said };
	struct str name = STR("");

	if (str_starts(said, STR("file:")))
		said = str_make(said.p + 5, said.n - 5);
	if (!split_place(said, &name, &p.line, &p.rest))
		name = STR("");
	bool below = dir && name.n && name.p[0] != '/' && !str_starts(name, str_of(dir));
	if (!name.n)
		snprintf(p.file, sizeof(p.file), "%s", dir ? dir : "outrider.config");
	else
		snprintf(p.file, sizeof(p.file), "%s%s%.*s", below ? dir : "", below ? "/" : "",
			STR_ARG(name));
	return p;
}

static void say(struct check *c, const char *id, enum severity severity, const char *file, uint32_t line,
	struct str service, struct str text)
{
	findings_add(&c->found, &(struct finding){ .file = str_of(file),
					.line = line,
					.severity = (uint8_t)severity,
					.id = id,
					.service = service,
					.text = text,
					.remedy = STR("") });
}

static void say_trouble(struct check *c, const char *dir, struct str service, struct str trouble)
{
	struct place p = place_of(trouble, dir);
	say(c, "source", SEVERITY_ERROR, p.file, p.line, service, p.rest);
}

/* --- one service with one profile ------------------------------------------------------------------------------------ */

struct target {
	const char *dir; /* NULL: the chain has several places */
	struct str chain, service, profiles;
	usec wait;
	struct loop *loop;
};

static bool said_already(const struct check *c, const struct reload_note *n)
{
	for (size_t i = 0; i < options_problem_count(c->base); i++) {
		const struct option_problem *p = options_problem(c->base, i);
		if (str_eq(p->key, n->key) && str_eq(p->why, n->why) && str_eq(p->origin, n->origin))
			return true;
	}
	return false;
}

static void say_notes(struct check *c, const struct target *t, const struct reload_notes *bad)
{
	for (size_t i = 0; i < bad->n; i++) {
		const struct reload_note *n = &bad->at[i];
		bool placed = str_starts(n->origin, STR("file:"));
		struct text text;
		if (said_already(c, n))
			continue;
		struct place p = place_of(n->origin, t->dir);
		text_init(&text, FINDING_TEXT_MAX);
		text_fmt(&text, "%.*s=%.*s", STR_ARG(n->key), STR_ARG(n->value));
		if (!placed)
			text_fmt(&text, " (%.*s)", STR_ARG(n->origin));
		text_fmt(&text, ": %.*s", STR_ARG(n->why));
		say(c, "option", SEVERITY_ERROR, p.file, p.line, t->service, text_str(&text));
		text_release(&text);
	}
	if (bad->total > bad->n)
		say(c, "more", SEVERITY_ERROR, t->dir ? t->dir : "outrider.config", 0, t->service,
			STR("there are more problems than are shown; correct these first"));
}

static bool judge(struct check *c, const struct target *t, struct source_values *const *values, size_t n,
	struct err *err)
{
	struct reload_notes *bad = mem_zalloc(sizeof(*bad));
	struct options *o = options_new();
	struct err ignored;
	int rest;
	bool ok = bad && o && options_add_env(o, c->environ_, err) &&
		  options_add_flags(o, c->n_flags, c->flags, &rest, err);

	/* Whoever has configuration under a name is called so, unless something says otherwise. */
	if (ok && !str_eq(t->service, STR("application")) && service_name_check(t->service, &ignored))
		ok = options_set(
			o, LAYER_SOURCE(31), STR("outrider.service"), t->service, STR("file name"), err);
	ok = ok && judge_properties(o, values, n, c->environ_, c->command, bad, err);
	if (ok)
		say_notes(c, t, bad);
	else if (!bad || !o)
		err_set(err, "out of memory");
	if (bad)
		notes_release(bad);
	mem_free(bad);
	options_free(o);
	return ok;
}

static void on_change(void *arg, size_t source, bool values)
{
	(void)arg;
	(void)source;
	(void)values;
}

static void on_over(void *arg)
{
	*(bool *)arg = true;
}

static bool all_answered(const struct sources *s)
{
	for (size_t i = 0; i < sources_count(s); i++) {
		struct source_view v = sources_view(s, i);
		if (!v.said && !v.trouble[0])
			return false;
	}
	return true;
}

static void wait_for(struct sources *s, const struct target *t)
{
	bool over = false;
	struct timer end;

	timer_init(&end, on_over, &over);
	timer_set(t->loop, &end, loop_touch(t->loop) + t->wait);
	while (!over && !all_answered(s))
		loop_turn(t->loop, true);
	timer_clear(&end);
}

/* What each source answered; local ones speak only when something is wrong. */
static void say_answers(struct check *c, const struct target *t, const struct sources *s)
{
	for (size_t i = 0; i < sources_count(s); i++) {
		struct source_view v = sources_view(s, i);
		struct text text;
		text_init(&text, FINDING_TEXT_MAX);
		if (v.ops->local && v.trouble[0]) {
			say_trouble(c, t->dir, t->service, str_of(v.trouble));
		} else if (v.ops->trigger && !v.trouble[0]) {
			text_addz(&text, "no trouble within outrider.config-wait; it says nothing until an "
					 "event comes");
			say(c, "source", SEVERITY_NOTE, v.name, 0, t->service, text_str(&text));
		} else if (v.trouble[0] || !v.said) {
			text_addz(&text,
				v.trouble[0] ? v.trouble : "it did not answer within outrider.config-wait");
			say(c, "source", SEVERITY_ERROR, v.name, 0, t->service, text_str(&text));
		} else if (!v.ops->local) {
			text_fmt(&text, "it answers, with %zu properties", v.n);
			say(c, "source", SEVERITY_NOTE, v.name, 0, t->service, text_str(&text));
		}
		text_release(&text);
	}
}

static bool judge_target(struct check *c, const struct target *t, struct err *err)
{
	struct source_values *values[SOURCES_MAX] = { NULL };
	struct sources_config config = {
		.loop = t->loop,
		.chain = t->chain,
		.service = t->service,
		.profiles = t->profiles,
		.poll = options_duration(c->base, OPT_CONFIG_POLL),
		.settings = { options_setting, c->base },
		.on_change = on_change,
	};
	struct sources *s = sources_open(&config, err);

	if (!s) {
		say(c, "source", SEVERITY_ERROR, t->dir ? t->dir : "outrider.config", 0, t->service,
			str_of(err->text));
		return true;
	}
	wait_for(s, t);
	say_answers(c, t, s);
	for (size_t i = 0; i < sources_count(s); i++)
		values[i] = sources_take(s, i);
	bool ok = judge(c, t, values, sources_count(s), err);
	for (size_t i = 0; i < sources_count(s); i++)
		values_release(values[i]);
	sources_close(s);
	return ok;
}

/* --- a directory --------------------------------------------------------------------------------------------------- */

struct pairs_found { /* "service profile", each once, and each service without a profile */
	struct check *c;
	const char *dir;
	struct arena arena;
	struct table seen, services, profiles;
	struct {
		struct str service, profile;
	} at[CHECK_PAIRS_MAX];
	size_t n, all;
	bool failed;
};

static void count_name(struct pairs_found *f, struct table *t, struct str name)
{
	if (!name.n || table_get(t, name))
		return;
	if (!table_put(t, name, (void *)(uintptr_t)name.p))
		f->failed = true;
}

static void add_pair(struct pairs_found *f, struct str service, struct str profile)
{
	char *key = arena_fmt(&f->arena, "%.*s\n%.*s", STR_ARG(service), STR_ARG(profile));

	if (!key) {
		f->failed = true;
		return;
	}
	if (table_get(&f->seen, str_of(key)))
		return;
	f->all++;
	if (f->n == CHECK_PAIRS_MAX)
		return;
	if (!table_put(&f->seen, str_of(key), key)) {
		f->failed = true;
		return;
	}
	f->at[f->n].service = str_make(key, service.n);
	f->at[f->n].profile = str_make(key + service.n + 1, profile.n);
	count_name(f, &f->services, f->at[f->n].service);
	count_name(f, &f->profiles, f->at[f->n].profile);
	f->n++;
}

static void on_problem(void *arg, const char *problem)
{
	struct pairs_found *f = arg;
	say(f->c, "source", SEVERITY_ERROR, f->dir, 0, STR(""), str_of(problem));
}

static void on_service(void *arg, struct str service, struct str profile)
{
	add_pair(arg, service, STR(""));
	add_pair(arg, service, profile);
}

static void find_pairs(struct pairs_found *f, const struct source_ops *ops, struct str address)
{
	arena_init(&f->arena, 16u << 20, NULL, 0);
	table_init(&f->seen, CHECK_PAIRS_MAX, (uintptr_t)f);
	table_init(&f->services, CHECK_PAIRS_MAX, (uintptr_t)f);
	table_init(&f->profiles, CHECK_PAIRS_MAX, (uintptr_t)f);
	if (ops->check(address, on_problem, on_service, f) && f->n == 0)
		say(f->c, "empty", SEVERITY_ERROR, f->dir, 0, STR(""),
			STR("the directory has no configuration: application.yml, <service>.yml, "
			    "<service>-<profile>.yml, or the "
			    "same as .properties or .json"));
	if (f->all > f->n)
		say(f->c, "more", SEVERITY_ERROR, f->dir, 0, STR(""),
			STR("more services and profiles than are judged; give parts of the directory"));
	/* `application` is what all have in common: a service only where there is no other. */
	bool common = table_get(&f->services, STR("application")) != NULL && f->services.n > 1;
	f->c->services += f->services.n - common;
	f->c->profiles += f->profiles.n;
}

static void pairs_release(struct pairs_found *f)
{
	table_release(&f->seen);
	table_release(&f->services);
	table_release(&f->profiles);
	arena_release(&f->arena);
	mem_free(f);
}

static bool judge_pairs(struct check *c, const struct pairs_found *f, struct str chain, struct err *err)
{
	struct loop *loop = loop_new(err);
	bool ok = loop && (!f->failed || err_set(err, "out of memory"));

	for (size_t i = 0; ok && i < f->n; i++) {
		struct target t = {
			.dir = f->dir,
			.chain = chain,
			.loop = loop,
			.wait = CHECK_WAIT,
			.service = f->at[i].service,
			.profiles = f->at[i].profile,
		};
		ok = judge_target(c, &t, err);
	}
	loop_free(loop);
	return ok;
}

bool check_directory(struct check *c, const char *dir, struct err *err)
{
	char chain[4200], shown[4100];
	size_t n = strlen(dir);
	struct str address;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (n > 4096 || strpbrk(dir, ",|"))
		return err_set(
			err, "the name of the directory is too long, or has a comma or a bar; rename it");
	str_copy(str_make(dir, n), shown, sizeof(shown));
	snprintf(chain, sizeof(chain), "file:%s", shown);
	const struct source_ops *ops = source_find(str_of(chain), &address, err);
	if (!ops || !ops->check)
		return err_set(err, "this program has no source for directories");
	struct pairs_found *f = mem_zalloc(sizeof(*f));
	if (!f)
		return err_set(err, "out of memory");
	f->c = c;
	f->dir = shown;
	find_pairs(f, ops, address);
	bool ok = judge_pairs(c, f, str_of(chain), err);
	pairs_release(f);
	return ok;
}

/* --- the chain ------------------------------------------------------------------------------------------------------- */

/* The items that are asked; of those that are not, a note. *dir: the directory, where there is but one. */
static void choose_sources(struct check *c, struct text *chain, char dir[1024], usec *wait)
{
	struct str rest = options_text(c->base, OPT_CONFIG), item, address = STR("");
	size_t n = 0;

	dir[0] = '\0';
	*wait = CHECK_WAIT;
	while (option_item_next(&rest, &item)) {
		struct err ignored;
		const struct source_ops *ops = source_find(item, &address, &ignored);
		if (ops && !ops->local && !c->online) {
			struct text name;
			text_init(&name, 512);
			mask_address(&name, item);
			say(c, "not-asked", SEVERITY_NOTE, text_z(&name), 0, STR(""),
				STR("not asked; --online asks it"));
			text_release(&name);
			continue;
		}
		if (ops && !ops->local)
			*wait = options_duration(c->base, OPT_CONFIG_WAIT);
		if (*wait == 0) /* off: the agent would not wait, but whoever asks wants an answer */
			*wait = CHECK_WAIT;
		text_fmt(chain, "%s%.*s", n++ ? "," : "", STR_ARG(item));
		str_copy(n == 1 && ops && ops->local ? str_trim(address) : STR(""), dir, 1024);
	}
}

bool check_chain(struct check *c, struct err *err)
{
	struct text chain;
	char dir[1024];
	usec wait;
	bool ok = true;

	text_init(&chain, OPTIONS_VALUE_MAX);
	choose_sources(c, &chain, dir, &wait);
	if (chain.n && !chain.failed) {
		struct str service = options_text(c->base, OPT_SERVICE);
		struct target t = {
			.dir = dir[0] ? dir : NULL,
			.chain = text_str(&chain),
			.wait = wait,
			.service = service.n                    ? service
				   : c->command == COMMAND_EDGE ? STR("edge")
								: STR("application"),
			.profiles = options_text(c->base, OPT_PROFILE),
			.loop = loop_new(err),
		};
		ok = t.loop && judge_target(c, &t, err);
		loop_free(t.loop);
	}
	text_release(&chain);
	return ok;
}
