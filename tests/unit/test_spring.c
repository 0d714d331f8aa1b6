/* The source spring: addresses, paths, what refusals mean, pauses; and that short memory ends nothing. */
#include "../../plugins/spring_ask.h"
#include "../../plugins/spring_read.h"
#include "base/mem.h"
#include "fetch_scene.h"

extern const struct source_ops source_spring;

/* --- addresses ----------------------------------------------------------------------------------------------------- */

static const struct {
	const char *in, *url, *user, *password; /* url NULL: refused, user is a part of the reason */
} addresses[] = {
	{ "http://configserver:8888", "http://configserver:8888", NULL, NULL },
	{ " https://h/ ", "https://h", NULL, NULL },
	{ "HTTP://h:1/a/b//", "http://h:1/a/b", NULL, NULL },
	{ "http://u:p@h:8888/cfg", "http://h:8888/cfg", "u", "p" },
	{ "http://u@h", "http://h", "u", NULL },
	{ "http://a%40b:p%3a%25x@h", "http://h", "a@b", "p:%x" },
	{ "http://u:p@ss@h", "http://h", "u", "p@ss" },
	{ "http://u:@h", "http://h", "u", "" },
	{ "http://[::1]:8888", "http://[::1]:8888", NULL, NULL },
	{ "configserver:8888", NULL, "neither http:// nor https://", NULL },
	{ "ftp://h", NULL, "neither http:// nor https://", NULL },
	{ "", NULL, "neither", NULL },
	{ "http://", NULL, "names no host", NULL },
	{ "http://:80", NULL, "names no host", NULL },
	{ "http://u:p@/x", NULL, "names no host", NULL },
	{ "http://[::1", NULL, "names no host", NULL },
	{ "http://h:0", NULL, "no port", NULL },
	{ "http://h:65536", NULL, "no port", NULL },
	{ "http://h:", NULL, "no port", NULL },
	{ "http://[::1]x", NULL, "no port", NULL },
	{ "http://h?x", NULL, "?", NULL },
	{ "http://h#x", NULL, "#", NULL },
	{ "http://h/\xc3\xb6", NULL, "no ASCII", NULL },
	{ "http://h /", NULL, "blank", NULL },
	{ "http://u:geh%zzeim@h", NULL, "two hex digits", NULL },
	{ "http://u:geheim%4@h", NULL, "two hex digits", NULL },
	{ "http://u:geheim%0a@h", NULL, "two hex digits", NULL },
};

START_TEST(address)
{
	struct http_url u;
	struct err err = { "" };
	bool ok = http_url_parse(str_of(addresses[_i].in), &u, &err);

	if (!addresses[_i].url) {
		ck_assert(!ok);
		ck_assert_msg(strstr(err.text, addresses[_i].user) != NULL, "%s", err.text);
		ck_assert(!strstr(err.text, "geh"));
		return;
	}
	ck_assert_msg(ok, "%s", err.text);
	ck_assert_str_eq(u.url, addresses[_i].url);
	ck_assert_int_eq(u.has_user, addresses[_i].user != NULL);
	ck_assert_int_eq(u.has_password, addresses[_i].password != NULL);
	ck_assert_str_eq(u.user, addresses[_i].user ? addresses[_i].user : "");
	ck_assert_str_eq(u.password, addresses[_i].password ? addresses[_i].password : "");
}
END_TEST

static const struct {
	const char *application, *profiles, *label, *path;
} paths[] = {
	{ "orders", "", "", "/orders/default" },
	{ "orders", "test", "main", "/orders/test/main" },
	{ "orders", " a , ,b", "", "/orders/a,b" },
	{ "orders", " , ", "", "/orders/default" },
	{ "a/b", "x/y", "feature/x/1", "/a(_)b/x(_)y/feature(_)x(_)1" },
	{ "a b?c", "%", "../\xc3\xb6", "/a%20b%3Fc/%25/..(_)%C3%B6" },
};

START_TEST(path)
{
	struct text t;

	text_init(&t, 200);
	spring_path(&t, paths[_i].application, paths[_i].profiles, str_of(paths[_i].label));
	ck_assert_str_eq(text_z(&t), paths[_i].path);
	text_release(&t);
}
END_TEST

/* --- answers ------------------------------------------------------------------------------------------------------- */

static const struct {
	int status;
	const char *type, *user, *labels;
	bool in_url, token;
	const char *why; /* NULL: may be read */
} meanings[] = {
	{ 200, "application/json", NULL, NULL, false, false, NULL },
	{ 200, "application/json;charset=UTF-8", NULL, NULL, false, false, NULL },
	{ 200, NULL, NULL, NULL, false, false, NULL },
	{ 200, "Text/HTML; charset=utf-8", NULL, NULL, false, false,
		"http://h:1 answers with a page of HTML" },
	{ 0, NULL, NULL, NULL, false, false, "h:1: as fetch says" },
	{ 301, NULL, NULL, NULL, false, false, "http://h:1 answers 301: redirects are not followed" },
	{ 401, NULL, NULL, NULL, false, false, "set outrider.spring.username and outrider.spring.password" },
	{ 401, NULL, "u", NULL, false, false, "check outrider.spring.username and outrider.spring.password" },
	{ 401, NULL, "u", NULL, true, false, "user and password that stand in its URL" },
	{ 403, NULL, NULL, NULL, false, true, "check outrider.spring.token" },
	{ 404, NULL, NULL, NULL, false, false, "check outrider.service" },
	{ 404, NULL, NULL, "main", false, false, "check outrider.spring.label" },
	{ 406, NULL, NULL, NULL, false, false, "is this the address of a config server?" },
	{ 418, NULL, NULL, NULL, false, false, "is this the address of a config server?" },
	{ 429, NULL, NULL, NULL, false, false, "outrider.config-poll" },
	{ 500, NULL, NULL, NULL, false, false, "its log says more" },
	{ 503, NULL, NULL, NULL, false, false, "it is not ready" },
};

START_TEST(meaning)
{
	struct http_url at = { .url = "http://h:1", .has_user = meanings[_i].in_url };
	struct spring_asker a = { .user = meanings[_i].user,
		.labels = meanings[_i].labels,
		.token = meanings[_i].token ? "hvs" : NULL };
	struct err err = { "" };
	char head[128];

	snprintf(head, sizeof(head), "HTTP/1.1 %d \r\n%s%s\r\n", meanings[_i].status,
		meanings[_i].type ? "Content-Type: " : "X: y", meanings[_i].type ? meanings[_i].type : "");
	struct fetch_reply r = {
		.status = meanings[_i].status, .head = str_of(head), .why = "h:1: as fetch says"
	};
	bool ok = spring_accept(&a, &at, &r, &err);
	ck_assert_int_eq(ok, meanings[_i].why == NULL);
	if (!ok)
		ck_assert_msg(strstr(err.text, meanings[_i].why) != NULL, "%s", err.text);
}
END_TEST

/* --- patience ------------------------------------------------------------------------------------------------------ */

START_TEST(pauses)
{
	static const unsigned start[] = { 1000, 1100, 1210, 1331, 1464, 1610, 2415, 3623, 5434, 8151, 10000,
		10000 };
	static const unsigned later[] = { 1000, 1500, 2250, 3375, 5062, 7593, 10000, 10000 };
	usec pause = 0;

	for (unsigned i = 0; i < sizeof(start) / sizeof(start[0]); i++) {
		pause = spring_pause(pause, i + 1, false, 10 * USEC_SEC);
		ck_assert_uint_le(pause / USEC_MS, start[i] + 2);
		ck_assert_uint_ge(pause / USEC_MS + 2, start[i]);
	}
	for (unsigned i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		pause = spring_pause(pause, i + 1, true, 10 * USEC_SEC);
		ck_assert_uint_le(pause / USEC_MS, later[i] + 2);
		ck_assert_uint_ge(pause / USEC_MS + 2, later[i]);
	}
	ck_assert_uint_eq(spring_pause(0, 1, false, 200 * USEC_MS), 200 * USEC_MS);
	ck_assert_uint_eq(spring_pause(86400 * USEC_SEC, 100, true, 86400 * USEC_SEC), 86400 * USEC_SEC);
}
END_TEST

/* --- the source ---------------------------------------------------------------------------------------------------- */

struct heard {
	unsigned values, troubles;
	size_t n;
	char first[64], origin[64], trouble[512];
};

static void on_values(void *arg, const struct source_property *at, size_t n)
{
	struct heard *h = arg;

	h->values++;
	h->n = n;
	str_copy(n ? at[0].value : STR(""), h->first, sizeof(h->first));
	str_copy(n ? at[0].origin : STR(""), h->origin, sizeof(h->origin));
}

static void on_trouble(void *arg, const char *why)
{
	struct heard *h = arg;

	h->troubles++;
	str_copy(str_of(why), h->trouble, sizeof(h->trouble));
}

static struct source *source_open(struct scene *s, struct heard *h, struct err *err)
{
	static const struct source_events events = { on_values, on_trouble };
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", s->port);
	struct source_config c = { .loop = s->loop,
		.resolver = s->resolver,
		.address = str_of(url),
		.service = STR("orders"),
		.profiles = STR("test"),
		.poll = 3600 * USEC_SEC };
	*h = (struct heard){ .n = 0 };
	return source_spring.open(&c, &events, h, err);
}

static void turn_until(struct scene *s, const unsigned *count, unsigned n)
{
	for (usec end = clock_now() + 10 * USEC_SEC; *count < n && clock_now() < end;)
		loop_turn(s->loop, false);
	ck_assert_uint_eq(*count, n);
}

static void answer_with(struct scene *s, char *room, size_t cap, const char *body)
{
	snprintf(room, cap, "HTTP/1.1 200 \r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	s->script.says = room;
}

#define BODY(x) "{\"propertySources\":[{\"name\":\"one\",\"source\":{\"x\":" x "}}]}"

/* Only what differs is said; refreshes while a question is under way are one more question. */
START_TEST(values_and_refresh)
{
	struct scene s;
	struct heard h;
	struct err err = { "" };
	char room[512];

	scene_open(&s, (struct script){ .says = "" });
	answer_with(&s, room, sizeof(room), BODY("1"));
	struct source *source = source_open(&s, &h, &err);
	ck_assert_msg(source != NULL, "%s", err.text);
	turn_until(&s, &h.values, 1);
	ck_assert_str_eq(h.first, "1");
	ck_assert_str_eq(h.origin, "spring:one");
	ck_assert(strstr(s.seen, "GET /orders/test HTTP/1.1\r\n") == s.seen);
	source_spring.refresh(source);
	turn_until(&s, &s.requests, 2);
	for (int i = 0; i < 10; i++)
		source_spring.refresh(source);
	turn_until(&s, &s.requests, 3);
	answer_with(&s, room, sizeof(room), BODY("2"));
	source_spring.refresh(source);
	turn_until(&s, &h.values, 2);
	ck_assert_str_eq(h.first, "2");
	ck_assert_uint_le(s.requests, 5);
	ck_assert_uint_eq(h.troubles, 0);
	source_spring.close(source);
	scene_close(&s);
}
END_TEST

/* Values that vanish all at once are kept for a minute, then their end is believed. */
START_TEST(emptiness)
{
	struct scene s;
	struct heard h;
	struct err err = { "" };
	char room[512];

	scene_open(&s, (struct script){ .says = "" });
	answer_with(&s, room, sizeof(room), BODY("1"));
	struct source *source = source_open(&s, &h, &err);
	turn_until(&s, &h.values, 1);
	answer_with(&s, room, sizeof(room), "{\"propertySources\":[]}");
	source_spring.refresh(source);
	turn_until(&s, &h.troubles, 1);
	ck_assert_uint_eq(h.values, 1);
	loop_skip(s.loop, 61 * USEC_SEC);
	source_spring.refresh(source);
	turn_until(&s, &h.values, 2);
	ck_assert_uint_eq(h.n, 0);
	ck_assert_str_eq(h.trouble, "");
	source_spring.close(source);
	scene_close(&s);
}
END_TEST

/* Whichever allocation fails: no crash, no leak, and in the end values or a reason. A body that is read at once, and one
 * that is read on a thread. */
START_TEST(short_memory)
{
	static char body[SPRING_INLINE_MAX + 4096], room[sizeof(body) + 128];
	size_t blank = _i ? SPRING_INLINE_MAX : 0;

	memset(body, ' ', blank);
	snprintf(body + blank, sizeof(body) - blank, "%s", BODY("1"));
	for (unsigned long k = 1; k < 400; k++) {
		struct scene s;
		struct heard h;
		struct err err = { "" };

		scene_open(&s, (struct script){ .says = "" });
		answer_with(&s, room, sizeof(room), body);
		mem_fail_at(k);
		struct source *source = source_open(&s, &h, &err);
		for (usec end = clock_now() + 5 * USEC_SEC;
			source && !h.values && !h.troubles && clock_now() < end;)
			loop_turn(s.loop, false);
		bool over = mem_count() < k;
		mem_fail_at(0);
		ck_assert_msg(source ? h.values || h.trouble[0] : err.text[0] != '\0', "%lu", k);
		source_spring.close(source);
		loop_turn(s.loop, false);
		scene_close(&s);
		if (over)
			return;
	}
	ck_abort_msg("there was no end of allocations");
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_spring(void);
Suite *suite_spring(void)
{
	Suite *suite = suite_create("spring");
	TCase *t = tcase_create("spring");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, address, 0, COUNT(addresses));
	tcase_add_loop_test(t, path, 0, COUNT(paths));
	tcase_add_loop_test(t, meaning, 0, COUNT(meanings));
	tcase_add_test(t, pauses);
	tcase_add_test(t, values_and_refresh);
	tcase_add_test(t, emptiness);
	tcase_add_loop_test(t, short_memory, 0, 2);
	suite_add_tcase(suite, t);
	return suite;
}
