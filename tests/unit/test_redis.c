/* plugins/redis_config against a real redis-server where there is one, on a free port: killed, restarted, stopped, flushed,
 * with AUTH, with TLS. */
#include "../../plugins/redis_config.h"
#include "base/mem.h"
#include "tls_server.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#define PATIENCE (15 * USEC_SEC)

/* --- against the real thing -------------------------------------------------------------------------------------------- */

struct scene {
	struct loop *loop;
	struct resolver *resolver;
	struct redis_config *config;
	uint16_t port;
	pid_t pid;
	const char *password;
	struct tls_server *certs; /* TLS when set */
	char folder[64];
	unsigned values, troubles;
	char seen[1024]; /* "key=value@hash " … */
	struct err trouble;
};

static void on_values(void *arg, const struct redis_field *f, size_t n)
{
	struct scene *s = arg;
	size_t at = 0;

	s->values++;
	s->seen[0] = '\0';
	for (size_t i = 0; i < n && at < sizeof(s->seen); i++)
		at += (size_t)snprintf(s->seen + at, sizeof(s->seen) - at, "%.*s=%.*s@%.*s ",
			STR_ARG(f[i].key), (int)(f[i].value.n < 40 ? f[i].value.n : 40), f[i].value.p,
			STR_ARG(f[i].hash));
}

static void on_trouble(void *arg, const char *why)
{
	struct scene *s = arg;

	s->troubles++;
	err_set(&s->trouble, "%s", why);
}

static const struct redis_config_events events = { on_values, on_trouble };

#define UNTIL(s, cond)                                                                                       \
	do {                                                                                                 \
		usec until_ = clock_now() + PATIENCE;                                                        \
		while (!(cond)) {                                                                            \
			ck_assert_msg(clock_now() < until_, "%s; seen '%s', trouble '%s'", #cond, (s)->seen, \
				(s)->trouble.text);                                                          \
			loop_turn((s)->loop, false);                                                         \
		}                                                                                            \
	} while (0)

static uint16_t free_port(void)
{
	struct addr a;
	struct err e;
	ck_assert(addr_parse(STR("127.0.0.1:0"), &a, &e));
	int fd = socket_listen(NULL, &a, &e);
	ck_assert(fd >= 0 && socket_local(fd, &a));
	close(fd);
	return addr_port(&a);
}

/* Starts the server of the scene (again); the data it had are gone. */
static void start(struct scene *s)
{
	char port[16], cert[128], key[128];
	const char *argv[40] = { "redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s->folder, "--notify-keyspace-events", "Khg$", "--port", s->certs ? "0" : port };
	size_t n = 13;
	snprintf(port, sizeof(port), "%u", s->port);
	if (s->password) {
		argv[n++] = "--requirepass";
		argv[n++] = s->password;
	}
	if (s->certs) {
		snprintf(cert, sizeof(cert), "%s/cert.pem", s->folder);
		snprintf(key, sizeof(key), "%s/key.pem", s->folder);
		FILE *f = fopen(cert, "w");
		PEM_write_X509(f, s->certs->cert);
		fclose(f);
		f = fopen(key, "w");
		PEM_write_PrivateKey(f, s->certs->key, NULL, NULL, 0, NULL, NULL);
		fclose(f);
		const char *tls[] = { "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
			"--tls-auth-clients", "no", "--tls-ca-cert-file", s->certs->ca_file };
		for (size_t i = 0; i < 10; i++)
			argv[n++] = tls[i];
	}
	posix_spawn_file_actions_t quiet;
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	char *const none[] = { NULL };
	ck_assert_int_eq(
		posix_spawnp(&s->pid, "redis-server", &quiet, NULL, (char *const *)(uintptr_t)argv, none), 0);
	posix_spawn_file_actions_destroy(&quiet);
}

static void end(struct scene *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

/* Inline commands over a plain blocking connection, once the server answers. */
static void say(struct scene *s, const char *commands)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	usec limit = clock_now() + PATIENCE;
	char all[4096], reply[4096];
	int fd;

	while (fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
		connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0) {
		close(fd);
		ck_assert(clock_now() < limit);
		loop_turn(s->loop, false);
	}
	snprintf(all, sizeof(all), "%s%s%s%s\r\nQUIT\r\n", s->password ? "AUTH " : "",
		s->password ? s->password : "", s->password ? "\r\n" : "", commands);
	ck_assert_int_eq(write(fd, all, strlen(all)), (ssize_t)strlen(all));
	ssize_t n;
	while ((n = read(fd, reply, sizeof(reply) - 1)) > 0) {
		reply[n] = '\0';
		ck_assert_msg(strstr(reply, "-ERR") == NULL, "%s", reply);
	}
	close(fd);
}

static bool have_server(void)
{
	return access("/usr/bin/redis-server", X_OK) == 0 || access("/usr/local/bin/redis-server", X_OK) == 0;
}

static void raise_curtain(struct scene *s, const char *credentials)
{
	struct err err;
	char text[256];

	snprintf(s->folder, sizeof(s->folder), "/tmp/outrider-redis-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(s->folder));
	s->loop = loop_new(&err);
	s->resolver = resolver_new(s->loop, NULL, &err);
	s->port = s->port ? s->port : free_port();
	snprintf(text, sizeof(text), "//%s127.0.0.1:%u/0", credentials, s->port);
	struct redis_config_options o = { .loop = s->loop,
		.resolver = s->resolver,
		.address = str_of(text),
		.secure = s->certs != NULL,
		.ca = s->certs ? s->certs->ca_file : NULL,
		.service = STR("quotes"),
		.profiles = STR("a, b"),
		.empty_hold = 400 * USEC_MS };
	s->config = redis_config_new(&o, &events, s, &err);
	ck_assert_msg(s->config != NULL, "%s", err.text);
}

static void drop_curtain(struct scene *s)
{
	redis_config_free(s->config);
	resolver_free(s->resolver);
	loop_free(s->loop);
	end(s);
	char path[128];
	const char *files[] = { "cert.pem", "key.pem" };
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", s->folder, files[i]);
		unlink(path);
	}
	rmdir(s->folder);
}

#define SEES(s, part) (strstr((s)->seen, part) != NULL)

/* Absent at the start, then there; precedence; a message, a keyspace event, killed and restarted, flushed. */
START_TEST(life_with_a_server)
{
	struct scene s = { .password = "pa55" };
	if (!have_server())
		return;
	raise_curtain(&s, "default:pa55@");
	UNTIL(&s, s.troubles > 0);
	ck_assert_str_eq(s.trouble.text, "Connection refused");
	start(&s);
	say(&s, "HSET outrider:config:quotes k quotes\r\nHSET outrider:config:application k app\r\n"
		"HSET outrider:config:quotes:b k quotes-b\r\nHSET outrider:config:application:b k app-b\r\n"
		"HSET outrider:config:quotes:a k quotes-a\r\nHSET outrider:config:other k no");
	UNTIL(&s, SEES(&s, "k=app@"));
	ck_assert_str_eq(s.seen, "k=quotes-b@outrider:config:quotes:b k=app-b@outrider:config:application:b "
				 "k=quotes-a@outrider:config:quotes:a k=quotes@outrider:config:quotes "
				 "k=app@outrider:config:application ");
	ck_assert_str_eq(s.trouble.text, "");
	usec from = clock_now();
	say(&s, "HSET outrider:config:quotes k changed");
	UNTIL(&s, SEES(&s, "k=changed@"));
	ck_assert_msg(clock_now() - from < 2 * USEC_SEC, "%lu us", (unsigned long)(clock_now() - from));
	say(&s, "CONFIG SET notify-keyspace-events \"\"\r\nHSET outrider:config:quotes k silent\r\n"
		"PUBLISH outrider:config quotes");
	UNTIL(&s, SEES(&s, "k=silent@"));

	end(&s); /* killed, and back without data: what was there stays for a while, then new values */
	unsigned before = s.values;
	UNTIL(&s, s.trouble.text[0] != '\0');
	start(&s);
	UNTIL(&s, strstr(s.trouble.text, "kept for a while") != NULL);
	ck_assert_uint_eq(s.values, before);
	say(&s, "HSET outrider:config:quotes k back");
	UNTIL(&s, SEES(&s, "k=back@") && s.trouble.text[0] == '\0');

	say(&s, "FLUSHALL\r\nPUBLISH outrider:config *");
	UNTIL(&s, strstr(s.trouble.text, "kept for a while") != NULL);
	ck_assert(SEES(&s, "k=back@"));
	UNTIL(&s, s.seen[0] == '\0' && s.trouble.text[0] == '\0'); /* believed in the end */
	drop_curtain(&s);
}
END_TEST

START_TEST(stopped_and_wrong)
{
	struct scene s = { .values = 0 };
	if (!have_server())
		return;
	raise_curtain(&s, "");
	start(&s);
	say(&s, "HSET outrider:config:quotes k v");
	UNTIL(&s, SEES(&s, "k=v@"));
	say(&s, "SET outrider:config:application text\r\nPUBLISH outrider:config application");
	UNTIL(&s, strstr(s.trouble.text, "hash outrider:config:application: it says: WRONGTYPE") != NULL);
	ck_assert(SEES(&s, "k=v@"));
	say(&s, "DEL outrider:config:application");
	UNTIL(&s, s.trouble.text[0] == '\0');
	kill(s.pid, SIGSTOP);
	redis_config_refresh(s.config);
	UNTIL(&s, strcmp(s.trouble.text, "it does not answer in time") == 0);
	kill(s.pid, SIGCONT);
	say(&s, "HSET outrider:config:quotes k w");
	UNTIL(&s, SEES(&s, "k=w@") && s.trouble.text[0] == '\0');
	drop_curtain(&s);
}
END_TEST

/* Whatever allocation fails: a sentence, nothing left behind; and while it runs, the next reading mends it. */
START_TEST(short_of_memory)
{
	struct scene s = { .values = 0 };
	struct err err;
	unsigned failed = 0;

	s.loop = loop_new(&err);
	s.resolver = resolver_new(s.loop, NULL, &err);
	struct redis_config_options o = {
		.loop = s.loop, .resolver = s.resolver, .address = STR("127.0.0.1:1"), .secure = true
	};
	for (unsigned long k = 1; k < 12; k++) {
		mem_fail_at(k);
		struct redis_config *c = redis_config_new(&o, &events, &s, &err);
		mem_fail_at(0);
		failed += c == NULL && err.text[0] != '\0';
		redis_config_free(c);
	}
	ck_assert_uint_ge(failed, 4);
	resolver_free(s.resolver);
	loop_free(s.loop);
	if (!have_server())
		return;
	s = (struct scene){ .values = 0 };
	raise_curtain(&s, "");
	start(&s);
	say(&s, "HSET outrider:config:quotes k v0");
	UNTIL(&s, SEES(&s, "k=v0@"));
	for (unsigned long k = 1; k < 12; k++) {
		char set[128], wanted[32];
		snprintf(set, sizeof(set), "HSET outrider:config:quotes k v%lu", k);
		snprintf(wanted, sizeof(wanted), "k=v%lu@", k);
		mem_fail_at(k);
		say(&s, set);
		for (int i = 0; i < 300; i++)
			loop_turn(s.loop, false);
		mem_fail_at(0);
		redis_config_refresh(s.config);
		UNTIL(&s, SEES(&s, wanted) && s.trouble.text[0] == '\0');
	}
	drop_curtain(&s);
}
END_TEST

#define FILL(n) "EVAL \"for i=1," n " do redis.call('HSET','outrider:config:quotes','k'..i,'v'..i) end\" 0"

START_TEST(ten_thousand_fields)
{
	struct scene s = { .values = 0 };
	usec longest = 0, limit = clock_now() + PATIENCE;
	if (!have_server())
		return;
	raise_curtain(&s, "");
	start(&s);
	UNTIL(&s, s.values == 1); /* empty at the start is an answer too */
	say(&s, "CONFIG SET notify-keyspace-events \"\"");
	say(&s, FILL("10000") "\r\nPUBLISH outrider:config *");
	while (s.values < 2 && clock_now() < limit) {
		usec from = clock_now();
		loop_turn(s.loop, false);
		longest = clock_now() - from > longest ? clock_now() - from : longest;
	}
	ck_assert_uint_eq(s.values, 2);
	printf("redis: 10,000 fields, longest turn %lu us\n", (unsigned long)longest);
	ck_assert_uint_lt(longest, 500 * USEC_MS); /* of an instrumented build on a busy machine */
	say(&s, FILL("10001") "\r\nPUBLISH outrider:config *");
	UNTIL(&s, strstr(s.trouble.text, "an array longer than is accepted") != NULL);
	ck_assert_uint_eq(s.values, 2);
	drop_curtain(&s);
}
END_TEST

START_TEST(wrong_password)
{
	struct scene s = { .password = "right" };
	if (!have_server())
		return;
	raise_curtain(&s, "default:wrong@");
	start(&s);
	UNTIL(&s, strstr(s.trouble.text, "it says: WRONGPASS") != NULL);
	ck_assert_ptr_null(strstr(s.trouble.text, "wrong@"));
	drop_curtain(&s);
}
END_TEST

START_TEST(over_tls)
{
	struct tls_server certs = { .alpn = NULL };
	struct scene s = { .certs = &certs, .password = "pa55" };
	if (!have_server())
		return;
	tls_server_start(
		&certs, PLAY_MUTE, _i ? "DNS:other" : "IP:127.0.0.1", false, 5); /* for its certificates */
	raise_curtain(&s, "pa55@");
	start(&s);
	if (_i)
		UNTIL(&s, strstr(s.trouble.text, "is for other, not for 127.0.0.1") != NULL);
	else
		UNTIL(&s, s.values == 1 && s.trouble.text[0] == '\0');
	drop_curtain(&s);
	shutdown(certs.fd, SHUT_RDWR); /* nobody came to it */
	tls_server_stop(&certs);
}
END_TEST

Suite *suite_redis(void)
{
	Suite *s = suite_create("redis");
	TCase *c = tcase_create("redis");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, life_with_a_server);
	tcase_add_test(c, stopped_and_wrong);
	tcase_add_test(c, short_of_memory);
	tcase_add_test(c, ten_thousand_fields);
	tcase_add_test(c, wrong_password);
	tcase_add_loop_test(c, over_tls, 0, 2);
	suite_add_tcase(s, c);
	return s;
}
