/* The admin port over a real loopback connection, with an agent that has no workers. */
#include "base/mem.h"
#include "control/admin.h"
#include "control/logs.h"
#include "control/nearest.h"
#include "control/plain.h"
#include "control/slots.h"
#include "control/ui/ui.h"
#include "net/sockets.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

struct fixture {
	struct log log;
	struct agent agent;
	struct options *options;
	struct admin admin;
	struct addr addr;
	int null;
	char answer[65536];
};

static void set_up(struct fixture *f)
{
	struct err err = { "" };
	memset(f, 0, sizeof(*f));
	struct options *o = f->options = options_new();
	ck_assert(options_check(o, COMMAND_ANY, &err));
	FILE *null = fopen("/dev/null", "w");
	f->null = dup(fileno(null));
	fclose(null);
	log_init(&f->log, f->null, LEVEL_INFO);
	f->agent = (struct agent){ .loop = loop_new(&err),
		.log = &f->log,
		.command = "sidecar",
		.version = "test",
		.started = clock_wall() };
	ck_assert_ptr_nonnull(f->agent.loop);
	const struct logs_config logs = { .loop = f->agent.loop, .options = o };
	f->agent.logs = logs_new(&logs, &err);
	f->agent.sees_swarm = true;
	ck_assert_msg(f->agent.logs != NULL, "%s", err.text);
	struct reload_config config = { .loop = f->agent.loop, .log = &f->log, .start = o };
	f->agent.reload = reload_new(&config, &err);
	ck_assert_msg(f->agent.reload != NULL, "%s", err.text);
	struct guard_policy guard = { .token = STR("") };
	ck_assert(admin_start(&f->admin, &f->agent, &guard, &err));
	struct addr any;
	ck_assert(addr_parse(STR("127.0.0.1:0"), &any, &err));
	int fd = socket_listen(NULL, &any, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert(socket_local(fd, &f->addr));
	ck_assert(admin_listen(&f->admin, fd, &err));
}

static void tear_down(struct fixture *f)
{
	admin_stop(&f->admin);
	reload_free(f->agent.reload);
	logs_free(f->agent.logs);
	loop_free(f->agent.loop);
	options_free(f->options);
	close(f->null);
}

/* Sends one request and turns the loop until the connection closed. Returns the status. */
static int dialogue(struct fixture *f, const char *line, const char *fields)
{
	char request[2048];
	int n = snprintf(
		request, sizeof(request), "%s HTTP/1.1\r\nConnection: close\r\n%s\r\n", line, fields);
	int fd = socket_make(NULL, AF_INET, SOCK_STREAM);
	ck_assert_int_ge(fd, 0);
	(void)connect(fd, &f->addr.sa, f->addr.len);
	size_t got = 0;
	ssize_t sent = -1, r = -1;
	usec deadline = clock_now() + 10 * USEC_SEC;
	while (r != 0) {
		ck_assert_msg(clock_now() < deadline, "no answer to %s", line);
		if (sent != n)
			sent = send(fd, request, (size_t)n, MSG_NOSIGNAL);
		loop_turn(f->agent.loop, false);
		r = recv(fd, f->answer + got, sizeof(f->answer) - 1 - got, 0);
		if (r > 0)
			got += (size_t)r;
	}
	f->answer[got] = '\0';
	close(fd);
	int status = 0;
	ck_assert_int_eq(sscanf(f->answer, "HTTP/1.1 %d", &status), 1);
	return status;
}

#define LOCAL "Host: localhost\r\n"

START_TEST(pages_answer)
{
	struct fixture f;
	size_t n;
	const struct admin_route *rows = admin_routes(&n);
	set_up(&f);
	f.agent.phase = AGENT_READY;
	ck_assert_int_eq(dialogue(&f, "GET /why/x", LOCAL), 404);
	ck_assert_ptr_nonnull(strstr(f.answer, "no-recorder"));
	struct err err;
	ck_assert_int_eq(dialogue(&f, "GET /ui/state", LOCAL), 503);
	f.agent.ui = ui_new(f.agent.loop, &err);
	ui_watch(f.agent.ui, &f.agent);
	f.agent.flight = flight_new(FLIGHT_SIZE_MIN, clock_now(), &err);
	ck_assert_ptr_nonnull(f.agent.flight);
	ck_assert_int_eq(dialogue(&f, "GET /why/x", LOCAL), 404);
	ck_assert_ptr_nonnull(strstr(f.answer, "reaches_back"));
	for (size_t i = 0; i < n; i++) {
		char line[128];
		if (rows[i].changes_state || strncmp(rows[i].path, "/app/", 5) == 0 /* guarded */ ||
			strcmp(rows[i].path, "/hystrix.stream") == 0 || strcmp(rows[i].path, "/swarm/hystrix.stream") == 0 || strcmp(rows[i].path, "/tap") == 0 || strcmp(rows[i].path, "/log/tail") == 0 || strcmp(rows[i].path, "/ui/live") == 0 /* never end */ || strcmp(rows[i].path, "/metrics") == 0 /* no JSON */ ||
			strchr(rows[i].path, '*')) /* of what is not there here */
			continue;
		snprintf(line, sizeof(line), "GET %s", rows[i].path);
		ck_assert_msg(dialogue(&f, line, LOCAL) == 200, "%s: %s", line, f.answer);
		ck_assert_msg(strstr(f.answer, "application/json") != NULL, "%s", line);
		snprintf(line, sizeof(line), "GET %s?format=text", rows[i].path);
		ck_assert_msg(dialogue(&f, line, LOCAL) == 200, "%s: %s", line, f.answer);
		ck_assert_msg(strstr(f.answer, "text/plain") != NULL, "%s", line);
		snprintf(line, sizeof(line), "HEAD %s", rows[i].path);
		ck_assert_msg(dialogue(&f, line, LOCAL) == 200, "%s: %s", line, f.answer);
	}
	ck_assert_int_eq(dialogue(&f, "GET /health?verbose", LOCAL), 200);
	ck_assert_ptr_nonnull(strstr(f.answer, "workers"));
	ck_assert_int_eq(dialogue(&f, "GET /ready", LOCAL "Accept: text/plain\r\n"), 200);
	ck_assert_ptr_nonnull(strstr(f.answer, "ready    yes"));
	tear_down(&f);
	ui_free(f.agent.ui);
	flight_free(f.agent.flight);
}
END_TEST

START_TEST(readiness_follows_the_phase)
{
	struct fixture f;
	set_up(&f);
	ck_assert_int_eq(dialogue(&f, "GET /ready", LOCAL), 503);
	ck_assert_ptr_nonnull(strstr(f.answer, "starting"));
	f.agent.phase = AGENT_READY;
	ck_assert_int_eq(dialogue(&f, "GET /ready", LOCAL), 200);
	f.agent.phase = AGENT_DRAINING;
	f.agent.phase_detail = "lame-duck";
	ck_assert_int_eq(dialogue(&f, "GET /ready", LOCAL), 503);
	ck_assert_ptr_nonnull(strstr(f.answer, "lame-duck"));
	ck_assert_int_eq(dialogue(&f, "GET /health", LOCAL), 200);
	tear_down(&f);
}
END_TEST

START_TEST(foreign_hosts_are_refused)
{
	struct fixture f;
	set_up(&f);
	ck_assert_int_eq(dialogue(&f, "GET /health", "Host: evil.example\r\n"), 403);
	ck_assert_ptr_nonnull(strstr(f.answer, "\"error\":\"host-foreign\""));
	ck_assert_int_eq(dialogue(&f, "GET /health", LOCAL "Origin: http://evil.example\r\n"), 403);
	ck_assert_int_eq(dialogue(&f, "GET /nowhere", "Host: evil.example\r\n"), 403);
	ck_assert_int_eq(dialogue(&f, "GET /health", LOCAL LOCAL), 400);
	tear_down(&f);
}
END_TEST

START_TEST(log_level_is_changed_with_the_mark_only)
{
	struct fixture f;
	set_up(&f);
	ck_assert_int_eq(dialogue(&f, "PUT /log?level=debug", LOCAL), 403);
	ck_assert_int_eq(logs_level(f.agent.logs, STR("config")), LEVEL_INFO);
	ck_assert_int_eq(dialogue(&f, "PUT /log?level=debug", LOCAL "X-Outrider: 1\r\n"), 200);
	ck_assert_int_eq(logs_level(f.agent.logs, STR("config")), LEVEL_DEBUG);
	ck_assert_int_eq(dialogue(&f, "PUT /log?level=loud", LOCAL "X-Outrider: 1\r\n"), 400);
	ck_assert_int_eq(dialogue(&f, "PUT /log", LOCAL "X-Outrider: 1\r\n"), 400);
	ck_assert_int_eq(dialogue(&f, "PUT /log?level=error&subsystem=confi", LOCAL "X-Outrider: 1\r\n"), 400);
	ck_assert_ptr_nonnull(strstr(f.answer, "did you mean config?"));
	ck_assert_int_eq(dialogue(&f, "PUT /log?level=error&subsystem=config", LOCAL "X-Outrider: 1\r\n"), 200);
	ck_assert_int_eq(logs_level(f.agent.logs, STR("config")), LEVEL_ERROR);
	ck_assert_int_eq(dialogue(&f, "PUT /log?level=default&subsystem=config", LOCAL "X-Outrider: 1\r\n"), 200);
	ck_assert_int_eq(logs_level(f.agent.logs, STR("config")), LEVEL_DEBUG);
	tear_down(&f);
}
END_TEST

START_TEST(unknown_pages_and_methods)
{
	struct fixture f;
	set_up(&f);
	ck_assert_int_eq(dialogue(&f, "GET /upstream", LOCAL), 404);
	ck_assert_ptr_nonnull(strstr(f.answer, "\"near\":[\"/upstreams\"]"));
	ck_assert_int_eq(dialogue(&f, "DELETE /log", LOCAL), 405);
	ck_assert_ptr_nonnull(strstr(f.answer, "Allow: GET, HEAD, PUT"));
	tear_down(&f);
}
END_TEST

START_TEST(table_is_sound)
{
	size_t n;
	const struct admin_route *rows = admin_routes(&n), *found;
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(rows[i].path[0], '/');
		ck_assert_uint_gt(strlen(rows[i].help), 5);
		/* what is not marked must not be able to change anything */
		ck_assert_int_eq(rows[i].changes_state, strcmp(rows[i].method, "GET") != 0);
		ck_assert_int_eq(admin_match(rows[i].method, str_of(rows[i].path), &found), ADMIN_FOUND);
		ck_assert_ptr_eq(found, &rows[i]); /* no row hides another */
	}
	ck_assert_int_eq(admin_match("HEAD", STR("/stats"), &found), ADMIN_FOUND);
	ck_assert_int_eq(admin_match("POST", STR("/stats"), &found), ADMIN_NO_METHOD);
	ck_assert_int_eq(admin_match("GET", STR("/stats/"), &found), ADMIN_NO_PATH);
}
END_TEST

START_TEST(readable_text)
{
	static const struct {
		const char *json, *want;
	} rows[] = {
		{ "{\"a\":1,\"long\":\"x\"}", "a     1\nlong  x\n" },
		{ "[{\"n\":\"a\",\"v\":10},{\"n\":\"bcd\",\"v\":null}]", "n     v\na    10\nbcd   -\n" },
		{ "{\"list\":[],\"t\":[{\"k\":true}]}", "list: none\nt:\n  k\n  yes\n" },
		{ "[]", "none\n" },
		{ "\"a\\u001bb\"", "a?b\n" },
		{ "1.5", "1.500\n" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct text t;
		text_init(&t, 1000);
		ck_assert(plain_from_json(&t, str_of(rows[i].json)));
		ck_assert_str_eq(text_z(&t), rows[i].want);
		text_release(&t);
	}
	struct text t;
	text_init(&t, 1000);
	ck_assert(!plain_from_json(&t, STR("{")));
	ck_assert(!plain_from_json(&t, STR("")));
	text_release(&t);
}
END_TEST

START_TEST(nearest_names)
{
	ck_assert_uint_eq(nearest_distance(STR("sidecar"), STR("sidecra")), 1);
	ck_assert_uint_eq(nearest_distance(STR("Health"), STR("health")), 0);
	ck_assert_uint_eq(nearest_distance(STR(""), STR("abc")), 3);
	ck_assert(nearest_is_near(STR("helth"), STR("health")));
	ck_assert(nearest_is_near(STR("conf"), STR("config")));
	ck_assert(!nearest_is_near(STR("zzz"), STR("exec")));
	char longer[200];
	memset(longer, 'a', sizeof(longer));
	ck_assert(!nearest_is_near(str_make(longer, sizeof(longer)), STR("config")));
}
END_TEST

START_TEST(slots_are_stable)
{
	struct err err;
	struct slots *s = slots_new(&err);
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(slots_sidecar(s, STR("one")), 0);
	ck_assert_uint_eq(slots_sidecar(s, STR("two")), 1);
	ck_assert_uint_eq(slots_sidecar(s, STR("one")), 0);
	ck_assert_uint_eq(slots_upstream(s, 0, STR("db")).number, 0);
	ck_assert_uint_eq(slots_upstream(s, 1, STR("db")).number, 1);
	ck_assert_uint_eq(slots_upstream(s, 0, STR("db")).number, 0);
	ck_assert_uint_eq(slots_endpoint(s, 0, STR("10.0.0.5:80")).number, 0);
	ck_assert_uint_eq(slots_endpoint(s, 1, STR("10.0.0.5:80")).number, 1);
	ck_assert_uint_eq(slots_endpoint(s, SLOT_NONE, STR("10.0.0.5:80")).number, SLOT_NONE);
	for (unsigned i = 2; i < SLOTS_SIDECARS_MAX + 5; i++) {
		char name[16];
		snprintf(name, sizeof(name), "s%u", i);
		ck_assert_uint_eq(slots_sidecar(s, str_of(name)), i < SLOTS_SIDECARS_MAX ? i : SLOT_NONE);
	}
	slots_free(s);
}
END_TEST

START_TEST(log_lines)
{
	struct log l;
	char line[512];
	int fds[2];
	ck_assert_int_eq(pipe(fds), 0);
	log_init(&l, fds[1], LEVEL_INFO);
	log_write(&l, LEVEL_DEBUG, "a", "hidden", NULL);
	log_write(&l, LEVEL_WARN, "a", "said \"so\"",
		LOG_FIELDS(log_u64("n", 7), log_text("t", NULL), log_bool("b", true), log_i64("i", -1)));
	ssize_t n = read(fds[0], line, sizeof(line) - 1);
	ck_assert_int_gt(n, 0);
	line[n] = '\0';
	ck_assert_ptr_nonnull(
		strstr(line, "\"level\":\"warn\",\"subsystem\":\"a\",\"message\":\"said \\\"so\\\"\","
			     "\"n\":7,\"t\":null,\"b\":true,\"i\":-1}\n"));
	ck_assert_uint_eq(l.lines, 1);
	close(fds[0]);
	close(fds[1]);
	log_write(&l, LEVEL_WARN, "a", "nobody reads", NULL);
	ck_assert_uint_eq(l.lost, 1);
}
END_TEST

Suite *suite_admin(void)
{
	Suite *s = suite_create("admin");
	TCase *t = tcase_create("port");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, pages_answer);
	tcase_add_test(t, readiness_follows_the_phase);
	tcase_add_test(t, foreign_hosts_are_refused);
	tcase_add_test(t, log_level_is_changed_with_the_mark_only);
	tcase_add_test(t, unknown_pages_and_methods);
	tcase_add_test(t, table_is_sound);
	suite_add_tcase(s, t);
	t = tcase_create("text");
	tcase_add_test(t, readable_text);
	tcase_add_test(t, nearest_names);
	tcase_add_test(t, slots_are_stable);
	tcase_add_test(t, log_lines);
	suite_add_tcase(s, t);
	return s;
}
