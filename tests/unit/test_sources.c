/* control/sources: the chain of outrider.config with plug-ins that say what the test says; masks; the thread of file:. */
#include "control/option_mask.h"
#include "control/sources.h"
#include "net/task.h"
#include "options_help.h"
#include "source_script.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct loop *loop;
static unsigned n_values, n_changes;
static size_t last_source;

static void on_change(void *arg, size_t source, bool values)
{
	(void)arg;
	last_source = source;
	n_changes++;
	n_values += values;
}

static void setup(void)
{
	script_reset();
	n_values = n_changes = 0;
	loop = loop_new(NULL);
	ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
	loop_turn(loop, false);
	loop_free(loop);
}

static struct sources *open_chain(const char *chain, struct err *err)
{
	struct sources_config c = { .loop = loop,
		.chain = str_of(chain),
		.service = STR("quotes"),
		.profiles = STR("test"),
		.plugins = script_plugins,
		.on_change = on_change };
	return sources_open(&c, err);
}

static struct sources *open_good(const char *chain)
{
	struct err err = { "" };
	struct sources *s = open_chain(chain, &err);
	ck_assert_msg(s != NULL, "%s", err.text);
	return s;
}

static const char *value_of(const struct sources *s, size_t i, const char *key)
{
	static char text[64];
	struct source_values *v = sources_take(s, i);
	text[0] = '\0';
	for (size_t k = 0; v && k < v->n; k++)
		if (str_eq(v->at[k].key, str_of(key)))
			(void)str_copy(v->at[k].value, text, sizeof(text));
	values_release(v);
	return text;
}

START_TEST(each_keeps_its_last_values)
{
	struct sources *s = open_good("far:a, near:b");
	ck_assert_uint_eq(sources_count(s), 2);
	ck_assert_str_eq(scripts[0]->service, "quotes");
	ck_assert_str_eq(scripts[1]->profiles, "test");
	ck_assert_ptr_null(sources_take(s, 0));
	ck_assert(!sources_view(s, 0).said);
	script_say(1, "x=1");
	ck_assert_uint_eq(last_source, 1);
	script_say(0, "x=2\ny=3");
	ck_assert_str_eq(value_of(s, 0, "x"), "2");
	ck_assert_str_eq(value_of(s, 1, "x"), "1");
	struct source_values *kept = sources_take(s, 0);
	script_say(0, "x=4");
	ck_str(kept->at[0].value, "2"); /* as long as it is held */
	values_release(kept);
	ck_assert_uint_eq(sources_view(s, 0).n, 1);
	ck_assert_uint_eq(sources_view(s, 0).times, 2);
	script_say(0, "");
	ck_assert(sources_view(s, 0).said && sources_view(s, 0).n == 0);
	sources_refresh(s);
	ck_assert_uint_eq(scripts[0]->refreshed + scripts[1]->refreshed, 2);
	sources_close(s);
	ck_assert_uint_eq(n_open, 0);
}
END_TEST

START_TEST(a_trigger_makes_the_others_read)
{
	struct sources *s = open_good("tick:t,far:a,near:b");
	scripts[0]->events.on_values(scripts[0]->arg, NULL, 0);
	ck_assert_uint_eq(scripts[1]->refreshed, 1);
	ck_assert_uint_eq(scripts[2]->refreshed, 1);
	ck_assert_uint_eq(scripts[0]->refreshed, 0);
	ck_assert_uint_eq(n_values, 0);
	sources_close(s);
}
END_TEST

START_TEST(trouble_comes_and_goes)
{
	struct sources *s = open_good("far:early,far:b");
	ck_assert_uint_eq(n_changes, 0); /* nobody can be told inside open() */
	ck_assert_str_eq(sources_view(s, 0).trouble, "in trouble from the first");
	char long_text[3000];
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	script_trouble(1, long_text);
	ck_assert_uint_lt(strlen(sources_view(s, 1).trouble), 1100);
	script_trouble(1, "");
	ck_assert_str_eq(sources_view(s, 1).trouble, "");
	ck_assert_uint_eq(n_changes, 2);
	sources_close(s);
}
END_TEST

START_TEST(short_memory_keeps_the_former_values)
{
	struct sources *s = open_good("far:a");
	script_say(0, "x=1");
	mem_fail_at(1);
	script_say(0, "x=2");
	mem_fail_at(0);
	ck_assert_str_eq(value_of(s, 0, "x"), "1");
	ck_assert_ptr_nonnull(strstr(sources_view(s, 0).trouble, "former values stay"));
	script_say(0, "x=3");
	ck_assert_str_eq(value_of(s, 0, "x"), "3");
	ck_assert_str_eq(sources_view(s, 0).trouble, "");
	sources_close(s);
}
END_TEST

START_TEST(cached_values_yield_to_said_ones)
{
	struct sources *s = open_good("far:a,far:b");
	struct source_property p = { STR("x"), STR("old"), STR("cache"), 1 };
	script_say(1, "x=new");
	sources_put_cached(s, 0, values_copy(&p, 1));
	sources_put_cached(s, 1, values_copy(&p, 1));
	sources_put_cached(s, 7, values_copy(&p, 1)); /* no such source: only released */
	ck_assert_str_eq(value_of(s, 0, "x"), "old");
	ck_assert_str_eq(value_of(s, 1, "x"), "new");
	ck_assert(!sources_view(s, 0).said);
	script_say(0, "x=said");
	ck_assert_str_eq(value_of(s, 0, "x"), "said");
	sources_close(s);
}
END_TEST

static const struct {
	const char *chain, *says;
} wrong[] = {
	{ "fra:x", "did you mean far?" },
	{ "far:bad", "that address makes no sense" },
	{ "near:a,far:user:secret@bad,nothing:x", "there is no source \"nothing\"" },
	{ "far:user:sec,ret@host:1", "there is no source \"***\"" },
	{ "far:1,far:2,far:3,far:4,far:5,far:6,far:7,far:8,far:9,far:10,far:11,far:12,far:13,far:14,far:15,"
	  "far:16,far:17",
		"more than 16" },
};

START_TEST(a_wrong_chain_is_refused_whole)
{
	struct err err = { "" };
	ck_assert_ptr_null(open_chain(wrong[_i].chain, &err));
	ck_assert_msg(strstr(err.text, wrong[_i].says) != NULL, "%s", err.text);
	ck_assert_ptr_null(strstr(err.text, "ret@"));
	ck_assert_uint_eq(n_open, 0);
}
END_TEST

START_TEST(opening_survives_every_failed_allocation)
{
	struct err err;
	bool done = false;
	for (unsigned long k = 1; !done; k++) {
		mem_fail_at(k);
		struct sources *s = open_chain("near:a,near:b", &err);
		done = mem_count() < k;
		mem_fail_at(0);
		ck_assert((s != NULL) == done);
		sources_close(s);
		ck_assert_uint_eq(n_open, 0);
	}
}
END_TEST

static const struct {
	const char *address, *shown;
} masks[] = {
	{ "redis:redis:6379", "redis:redis:6379" },
	{ "redis:user:pass@redis:6379", "redis:***@redis:6379" },
	{ "redis::pass@redis:6379|bob:two@b:1", "redis:***@redis:6379|***@b:1" },
	{ "spring:http://u:p@h:8888/x|https://u:p@i", "spring:http://***@h:8888/x|https://***@i" },
	{ "spring:http://u:p//w@h", "spring:http://***@h" },
	{ "spring:http://u:p@w@h", "spring:http://***@h" },
	{ "file:/srv/a@b", "file:/srv/a@b" },
};

START_TEST(addresses_are_masked)
{
	struct text t;
	text_init(&t, 1024);
	mask_address(&t, str_of(masks[_i].address));
	ck_assert_str_eq(text_z(&t), masks[_i].shown);
	text_release(&t);
}
END_TEST

START_TEST(what_holds_credentials)
{
	ck_assert(mask_holds_credentials(STR("jdbc:postgresql://u:p@db/x")));
	ck_assert(mask_holds_credentials(STR("http://a/x,https://token@b/")));
	ck_assert(!mask_holds_credentials(STR("http://a/x@y")));
	ck_assert(!mask_holds_credentials(STR("someone@example.org")));
	ck_assert(!mask_holds_credentials(STR("")));
	ck_assert(mask_key_sounds_secret(STR("spring.datasource.PASSWORD")));
	ck_assert(mask_key_sounds_secret(STR("stripe.api-key")));
	ck_assert(!mask_key_sounds_secret(STR("app.keyboard")));
	ck_assert(!mask_key_sounds_secret(STR("monkey")));
}
END_TEST

/* Every way in which options are shown or refused. */
START_TEST(no_way_shows_credentials)
{
	struct err err;
	struct text t;
	struct options *o = from_env(
		ENV("OUTRIDER_CONFIG=spring:http://u:hunter2@h|http://v:hunter2@i,redis:x:hunter2@r:1",
			"OUTRIDER_CONFG=redis:x:hunter2@r:1", "OUTRIDER_ADMIN_TOKEN=hunter2",
			"OUTRIDER_ADMIN_TOKN=hunter2"));
	set(o, LAYER_SOURCE(0), "outrider.admin.token", "hunter2");
	set(o, LAYER_SOURCE(0), "outrider.config", "redis:u:hunter2@h");
	ck_assert(!options_check(o, COMMAND_ANY, &err));
	ck_assert_ptr_null(strstr(err.text, "hunter2"));
	ck_assert_uint_ge(options_problem_total(o), 4); /* both misspelt, both that a source may not say */
	for (enum options_format f = OPTIONS_TEXT; f <= OPTIONS_PROPERTIES; f++) {
		text_init(&t, 1u << 20);
		options_print(o, &t, f);
		ck_assert(!t.failed);
		const char *shown = strstr(text_z(&t), "hunter2");
		ck_assert_msg(!shown, "…%.200s", shown ? shown - 100 : "");
		text_release(&t);
	}
	options_free(o);
}
END_TEST

/* --- tasks ---------------------------------------------------------------------------------------------------------- */

struct work {
	struct task task;
	int pipe[2]; /* run() returns when it can read */
	atomic_int *end;
};

enum { WORK_DONE = 1, WORK_DROPPED };

static void work_run(struct task *t)
{
	char c;
	(void)!read(LIST_OWNER(t, struct work, task)->pipe[0], &c, 1);
}

static void work_end(struct task *t, int how)
{
	struct work *w = LIST_OWNER(t, struct work, task);
	atomic_int *end = w->end;
	close(w->pipe[0]);
	free(w);
	atomic_store(end, how);
}

static void work_done(struct task *t)
{
	work_end(t, WORK_DONE);
}

static void work_drop(struct task *t)
{
	work_end(t, WORK_DROPPED);
}

static struct work *work_start(atomic_int *end, int *ret_fd)
{
	struct work *w = calloc(1, sizeof(*w));
	ck_assert(w && pipe(w->pipe) == 0);
	w->task = (struct task){ .run = work_run, .done = work_done, .drop = work_drop };
	w->end = end;
	atomic_store(end, 0);
	*ret_fd = w->pipe[1];
	ck_assert(task_start(loop, &w->task));
	return w;
}

static void until(atomic_int *end, int how)
{
	usec last = clock_now() + 10 * USEC_SEC;
	while (atomic_load(end) != how) {
		ck_assert_uint_lt(clock_now(), last);
		loop_turn(loop, false);
		usleep(1000);
	}
}

START_TEST(a_task_comes_back_or_is_left)
{
	atomic_int end;
	int fd;
	(void)work_start(&end, &fd);
	close(fd);
	until(&end, WORK_DONE);

	struct work *w = work_start(&end, &fd); /* hangs: left at once, and frees itself when it comes back */
	usec from = clock_now();
	task_leave(&w->task, 20 * USEC_MS);
	ck_assert_uint_lt(clock_now() - from, 5 * USEC_SEC);
	ck_assert_int_eq(atomic_load(&end), 0);
	close(fd);
	until(&end, WORK_DROPPED);

	w = work_start(&end, &fd); /* has returned, its mail lies in the box */
	close(fd);
	task_leave(&w->task, 10 * USEC_SEC);
	ck_assert_int_eq(atomic_load(&end), 0);
	loop_turn(loop, false);
	ck_assert_int_eq(atomic_load(&end), WORK_DROPPED);
}
END_TEST

/* The real file: plug-in, closed at any moment of its reading: closing does not wait for the thread. */
START_TEST(closing_a_source_that_reads)
{
	char dir[] = "/tmp/outrider-sources-XXXXXX", path[128], chain[128];
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/application.yml", dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	for (unsigned i = 0; i < 20000; i++)
		fprintf(f, "k%u: v\n", i);
	fclose(f);
	snprintf(chain, sizeof(chain), "file:%s", dir);
	struct err err = { "" };
	struct sources_config c = {
		.loop = loop, .chain = str_of(chain), .service = STR("q"), .on_change = on_change
	};
	for (unsigned k = 0; k < 20; k++) { /* at any moment of the reading */
		struct sources *s = sources_open(&c, &err);
		ck_assert_msg(s != NULL, "%s", err.text);
		for (unsigned turn = 0; turn < k; turn++) {
			usleep(500);
			loop_turn(loop, false);
		}
		usec from = clock_now();
		sources_close(s);
		ck_assert_uint_lt(clock_now() - from, USEC_SEC);
	}
	unlink(path);
	rmdir(dir);
}
END_TEST

Suite *suite_sources(void)
{
	Suite *s = suite_create("sources");
	TCase *t = tcase_create("sources");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, each_keeps_its_last_values);
	tcase_add_test(t, a_trigger_makes_the_others_read);
	tcase_add_test(t, trouble_comes_and_goes);
	tcase_add_test(t, short_memory_keeps_the_former_values);
	tcase_add_test(t, cached_values_yield_to_said_ones);
	tcase_add_loop_test(t, a_wrong_chain_is_refused_whole, 0, ROWS(wrong));
	tcase_add_test(t, opening_survives_every_failed_allocation);
	tcase_add_loop_test(t, addresses_are_masked, 0, ROWS(masks));
	tcase_add_test(t, what_holds_credentials);
	tcase_add_test(t, no_way_shows_credentials);
	tcase_add_test(t, a_task_comes_back_or_is_left);
	tcase_add_test(t, closing_a_source_that_reads);
	suite_add_tcase(s, t);
	return s;
}
