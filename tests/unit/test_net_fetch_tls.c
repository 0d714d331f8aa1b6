/* net/fetch over TLS: whom it trusts, how it says that it does not, and that reading the CAs holds up nothing. */
#include "fetch_scene.h"
#include "tls_server.h"

#include <time.h>

static struct fetch *ask(
	struct scene *s, const struct tls_server *server, const char *host, const char *ca, struct err *err)
{
	char url[128];

	snprintf(url, sizeof(url), "https://%s:%u/x", host, server->port);
	return scene_start(s, host,
		(struct fetch_request){ .url = url, .ca_file = ca, .ca_option = "outrider.spring.ca" }, err);
}

static void must_ask(struct scene *s, const struct tls_server *server, const char *host, const char *ca)
{
	struct err err = { "" };

	ck_assert_msg(ask(s, server, host, ca, &err) != NULL, "%s", err.text);
}

START_TEST(own_ca)
{
	struct scene s;
	struct tls_server server = { 0 };
	const char *host = _i ? "localhost" : "127.0.0.1";

	tls_server_start(&server, PLAY_HTTP, "DNS:localhost,IP:127.0.0.1", false, 10);
	scene_open(&s, (struct script){ .says = "" });
	for (unsigned i = 1; i <= 3; i++) { /* the server takes one connection: it is reused */
		must_ask(&s, &server, host, server.ca_file);
		scene_await(&s, i);
		ck_assert_msg(s.status == 200, "%s", s.why);
		ck_assert_str_eq(s.text, "hello");
	}
	scene_close(&s);
	tls_server_stop(&server);
	ck_assert_str_eq(server.sni, _i ? "localhost" : "");
}
END_TEST

static const struct {
	enum tls_play play;
	const char *san;
	bool own, trusted;
	int days;
	const char *why;
} refused[] = {
	{ PLAY_HTTP, "DNS:other.example", false, true, 10, "is for other.example, not for 127.0.0.1" },
	{ PLAY_HTTP, "IP:127.0.0.1", false, true, -1, "expired on " },
	{ PLAY_HTTP, "IP:127.0.0.1", true, true, 10, "self-signed: name its CA by outrider.spring.ca" },
	{ PLAY_PLAIN, "IP:127.0.0.1", false, true, 10, "does not speak TLS at this port" },
	{ PLAY_MUTE, "IP:127.0.0.1", false, true, 10, "closed the connection in the TLS handshake" },
	{ PLAY_BYE, "IP:127.0.0.1", false, true, 10, "no HTTP" },
	{ PLAY_HTTP, "IP:127.0.0.1", false, false, 10,
		"signed by Test-CA, which is not trusted here: name that CA by outrider.spring.ca" },
};

START_TEST(refusals)
{
	struct scene s;
	struct tls_server server = { 0 };
	char peer[64];

	tls_server_start(&server, refused[_i].play, refused[_i].san, refused[_i].own, refused[_i].days);
	scene_open(&s, (struct script){ .says = "" });
	must_ask(&s, &server, "127.0.0.1", refused[_i].trusted ? server.ca_file : NULL);
	scene_await(&s, 1);
	ck_assert_int_eq(s.status, 0);
	ck_assert_msg(strstr(s.why, refused[_i].why) != NULL, "%s", s.why);
	snprintf(peer, sizeof(peer), "127.0.0.1:%u", server.port);
	ck_assert_msg(strstr(s.why, peer) != NULL, "%s", s.why);
	scene_close(&s);
	tls_server_stop(&server);
}
END_TEST

/* Connections and sessions of one fetcher are shared: a request that trusts others must not ride on them. */
START_TEST(another_ca)
{
	struct scene s;
	struct tls_server server = { 0 };
	struct err err = { "" };

	tls_server_start(&server, PLAY_HTTP, "IP:127.0.0.1", false, 10);
	scene_open(&s, (struct script){ .says = "" });
	must_ask(&s, &server, "127.0.0.1", server.ca_file);
	scene_await(&s, 1);
	ck_assert(!ask(&s, &server, "127.0.0.1", NULL, &err));
	ck_assert_msg(strstr(err.text, "another CA file") != NULL, "%s", err.text);
	scene_close(&s);
	tls_server_stop(&server);
}
END_TEST

/* A file of some hundred certificates, as systems have it; the last one is that of the test's CA. */
static void write_bundle(const struct tls_server *server, char *path, size_t copies)
{
	FILE *f = fdopen(mkstemp(path), "w");

	for (size_t i = 0; i < copies; i++) {
		EVP_PKEY *key = EVP_EC_gen("P-256");
		char name[32];
		snprintf(name, sizeof(name), "CA-%zu", i);
		X509 *c = tls_certificate(key, name, NULL, key, NULL, -864000, 864000);
		PEM_write_X509(f, c);
		X509_free(c);
		EVP_PKEY_free(key);
	}
	PEM_write_X509(f, server->ca);
	fclose(f);
}

/* What this thread worked, whatever else the machine does. */
static usec worked(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (usec)t.tv_sec * USEC_SEC + (usec)t.tv_nsec / 1000;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LONGEST_MAX USEC_SEC
#else
#define LONGEST_MAX (10 * USEC_MS) /* of a callback on the loop (DESIGN section 5) */
#endif

START_TEST(a_large_bundle)
{
	struct scene s;
	struct tls_server server = { 0 };
	char path[] = "/tmp/outrider-bundle-XXXXXX";
	usec longest = 0, end = clock_now() + 10 * USEC_SEC;
	struct err err = { "" };

	tls_server_start(&server, PLAY_HTTP, "IP:127.0.0.1", false, 10);
	write_bundle(&server, path, 300);
	scene_open(&s, (struct script){ .says = "" });
	longest = worked();
	must_ask(&s, &server, "127.0.0.1", path);
	longest = worked() - longest;
	struct fetch *second = ask(
		&s, &server, "127.0.0.1", path, &err); /* waits for the same reading, and gives up */
	ck_assert_msg(second != NULL, "%s", err.text);
	fetch_cancel(second);
	if (_i == 0) {
		while (s.calls == 0 && clock_now() < end) {
			usec from = worked();
			loop_turn(s.loop, false);
			longest = worked() - from > longest ? worked() - from : longest;
		}
		ck_assert_msg(s.status == 200, "%s", s.why);
		ck_assert_uint_le(longest, LONGEST_MAX);
	} /* else the fetcher goes while the file is read */
	scene_close(&s);
	if (_i) {
		shutdown(server.fd, SHUT_RDWR);
		ck_assert_uint_eq(s.calls, 0);
	}
	tls_server_stop(&server);
	unlink(path);
}
END_TEST

Suite *suite_net_fetch_tls(void);
Suite *suite_net_fetch_tls(void)
{
	Suite *suite = suite_create("net_fetch_tls");
	TCase *t = tcase_create("tls");

	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, own_ca, 0, 2);
	tcase_add_loop_test(t, refusals, 0, (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_test(t, another_ca);
	tcase_add_loop_test(t, a_large_bundle, 0, 2);
	suite_add_tcase(suite, t);
	return suite;
}
