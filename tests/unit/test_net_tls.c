/* net/tls: client TLS over real sockets against a server thread; every way in which a handshake fails has its sentence. */
#include "base/mem.h"
#include "net/tls.h"
#include "tls_server.h"

#define PATIENCE (8 * USEC_SEC)
#define BULK (3u << 20)

struct end {
	struct stream stream;
	struct tls_client *client;
	struct loop *loop;
	struct err why, start;
	char alpn[16];
	char text[64];         /* the first bytes received */
	size_t got, put, want; /* bytes; want: to be sent */
	uint32_t sum;
	ssize_t last;
	unsigned readies;
	bool over, stop_at_once;
};

static void pump(struct end *e)
{
	static unsigned char bulk[50000];
	while (e->put < e->want) {
		size_t n = e->want - e->put < sizeof(bulk) ? e->want - e->put : sizeof(bulk);
		struct iovec v[3] = { { bulk, n / 3 }, { bulk + n / 3, n / 3 },
			{ bulk + 2 * (n / 3), n - 2 * (n / 3) } };
		ssize_t done = stream_writev(&e->stream, v, 3);
		ck_assert_int_ge(done, 0);
		e->put += (size_t)done;
		if ((size_t)done < n)
			break;
	}
	stream_want_write(&e->stream, e->put < e->want);
}

static void on_readable(void *arg)
{
	struct end *e = arg;
	char buf[9000];
	ssize_t n;

	while ((n = stream_read(&e->stream, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n && e->got + (size_t)i < sizeof(e->text) - 1; i++)
			e->text[e->got + (size_t)i] = buf[i];
		e->got += (size_t)n;
	}
	e->last = n;
	if (n < 0) {
		tls_why(&e->stream, &e->why);
		e->over = true;
		stream_close(&e->stream, STREAM_CLOSE); /* inside the callback, as owners do */
	}
}

static void on_writable(void *arg)
{
	struct end *e = arg;

	if (e->stream.connecting) {
		if (stream_connect_result(&e->stream) == 1 &&
			!tls_start(&e->stream, e->client, str_of(e->text), 6380, &e->start))
			e->over = true;
		memset(e->text, 0, sizeof(e->text));
		return;
	}
	if (!tls_ready(&e->stream))
		return;
	e->readies++;
	str_copy(tls_alpn(&e->stream), e->alpn, sizeof(e->alpn));
	if (e->stop_at_once) {
		e->over = true;
		stream_close(&e->stream, STREAM_CLOSE);
		return;
	}
	pump(e);
}

static void dial(struct end *e, struct tls_server *s, const char *host, const char *ca)
{
	struct addr a;
	struct err err;
	char where[64];

	snprintf(where, sizeof(where), "127.0.0.1:%u", s->port);
	ck_assert(addr_parse(str_of(where), &a, &err));
	e->loop = loop_new(&err);
	if (!e->client)
		e->client = tls_client_new(
			&(struct tls_client_config){ .ca = ca, .ca_option = "outrider.redis.ca" }, &err);
	ck_assert_ptr_nonnull(e->client);
	snprintf(e->text, sizeof(e->text), "%s", host); /* until the connection stands */
	stream_init(&e->stream, e->loop, on_readable, on_writable, e);
	ck_assert_int_eq(stream_connect(&e->stream, NULL, &a), 0);
}

static void until(struct end *e, size_t bytes)
{
	usec limit = clock_now() + PATIENCE;
	while (!e->over && (bytes == 0 || e->got < bytes)) {
		ck_assert_msg(clock_now() < limit, "got %zu put %zu", e->got, e->put);
		loop_turn(e->loop, false);
	}
}

static void hang_up(struct end *e, struct tls_server *s)
{
	stream_close(&e->stream, STREAM_CLOSE);
	stream_close(&e->stream, STREAM_CLOSE);
	tls_client_free(e->client);
	loop_free(e->loop);
	tls_server_stop(s);
}

#define SAYS(text, part) ck_assert_msg(strstr(text, part) != NULL, "'%s' does not say '%s'", text, part)

START_TEST(hello_and_goodbye)
{
	struct tls_server s = { .alpn = "h2" };
	struct end e = { .got = 0 };
	struct err err;

	tls_server_start(&s, PLAY_BYE, "DNS:redis", false, 5);
	e.client = tls_client_new(
		&(struct tls_client_config){ .ca = s.ca_file, .alpn = "http/1.1, h2" }, &err);
	dial(&e, &s, "redis.", s.ca_file);
	until(&e, 0);
	ck_assert_msg(e.last == STREAM_EOF, "%zd %s", e.last, e.why.text);
	ck_assert_str_eq(e.text, "hello");
	ck_assert_uint_eq(e.readies, 1);
	ck_assert_str_eq(e.alpn, "h2");
	hang_up(&e, &s);
	ck_assert_str_eq(s.sni, "redis");
}
END_TEST

START_TEST(cut_is_told_apart)
{
	struct tls_server s = { .alpn = NULL };
	struct end e = { .got = 0 };

	tls_server_start(&s, PLAY_CUT, "IP:127.0.0.1", false, 5);
	dial(&e, &s, "127.0.0.1", s.ca_file);
	until(&e, 0);
	ck_assert_msg(e.last == STREAM_CUT, "%zd %s", e.last, e.why.text);
	ck_assert_str_eq(e.text, "hello");
	SAYS(e.why.text, "without close_notify");
	hang_up(&e, &s);
	ck_assert_str_eq(s.sni, ""); /* never an address */
}
END_TEST

/* The reply is not read until all was sent: both directions fill up, and nothing is lost or sent twice. */
START_TEST(bulk_with_back_pressure)
{
	struct tls_server s = { .alpn = NULL };
	struct end e = { .want = BULK };

	tls_server_start(&s, PLAY_ECHO, "DNS:redis", false, 5);
	dial(&e, &s, "redis", s.ca_file);
	until(&e, BULK / 2);
	stream_want_read(&e.stream, false);
	size_t held = e.got;
	for (int i = 0; i < 50; i++)
		loop_turn(e.loop, false);
	ck_assert_uint_eq(e.got, held);
	stream_want_read(&e.stream, true);
	until(&e, BULK);
	ck_assert_uint_eq(e.put, BULK);
	stream_shutdown(&e.stream);
	until(&e, 0);
	ck_assert_int_eq(e.last, STREAM_EOF);
	hang_up(&e, &s);
}
END_TEST

START_TEST(owner_closes_in_the_callback)
{
	struct tls_server s = { .alpn = NULL };
	struct end e = { .stop_at_once = true };

	tls_server_start(&s, PLAY_ECHO, "DNS:redis", false, 5);
	dial(&e, &s, "redis", s.ca_file);
	until(&e, 0);
	ck_assert(!stream_is_open(&e.stream));
	hang_up(&e, &s);
}
END_TEST

static const struct {
	const char *host, *san;
	enum tls_play play;
	bool own;
	int days;
	const char *says;
} refused[] = {
	{ "redis", "DNS:other.example,IP:10.0.0.1", PLAY_BYE, false, 5,
		"certificate of redis:6380 is for other.example, 10.0.0.1, not for redis" },
	{ "127.0.0.1", "DNS:redis", PLAY_BYE, false, 5,
		"certificate of 127.0.0.1:6380 is for redis, not for 127.0.0.1" },
	{ "redis", "DNS:redis", PLAY_BYE, false, -2, "certificate of redis:6380 expired on 20" },
	{ "redis", "DNS:redis", PLAY_BYE, true, 5,
		"certificate of redis:6380 is self-signed: name its CA by outrider.redis.ca" },
	{ "redis", "DNS:redis", PLAY_PLAIN, false, 5, "redis:6380 does not speak TLS at this port" },
	{ "redis", "DNS:redis", PLAY_MUTE, false, 5,
		"redis:6380 closed the connection in the TLS handshake" },
};

START_TEST(refused_with_a_sentence)
{
	struct tls_server s = { .alpn = NULL };
	struct end e = { .want = 100 };

	tls_server_start(&s, refused[_i].play, refused[_i].san, refused[_i].own, refused[_i].days);
	dial(&e, &s, refused[_i].host, s.ca_file);
	until(&e, 0);
	ck_assert_int_eq(e.last, STREAM_ERROR);
	ck_assert_uint_eq(e.readies, 0);
	ck_assert_uint_eq(e.put, 0); /* not a byte before the peer has proved who it is */
	SAYS(e.why.text, refused[_i].says);
	hang_up(&e, &s);
}
END_TEST

START_TEST(system_trust_does_not_know_our_ca)
{
	struct tls_server s = { .alpn = NULL };
	struct end e = { .got = 0 };

	tls_server_start(&s, PLAY_BYE, "DNS:redis", false, 5);
	dial(&e, &s, "redis", NULL);
	until(&e, 0);
	if (e.start.text[0] != '\0') { /* a system without CA certificates */
		SAYS(e.start.text, "name a CA file by outrider.redis.ca");
		stream_close(&e.stream, STREAM_CLOSE);
	} else {
		SAYS(e.why.text,
			"is signed by Test-CA, which is not trusted here: name that CA by outrider.redis.ca");
	}
	hang_up(&e, &s);
}
END_TEST

START_TEST(ca_file_that_is_none)
{
	struct tls_server s = { .alpn = NULL };
	struct end e = { .got = 0 };

	tls_server_start(&s, PLAY_MUTE, "DNS:redis", false, 5);
	dial(&e, &s, "redis", "/nowhere/ca.pem");
	until(&e, 0);
	ck_assert_str_eq(e.start.text, "cannot read the CA file /nowhere/ca.pem: No such file or directory");
	ck_assert(tls_ready(&e.stream)); /* plain, as it was */
	hang_up(&e, &s);
}
END_TEST

static void pad(const char *file, const char *mode)
{
	FILE *f = fopen(file, mode);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "# a line of words between certificates\n");
	fclose(f);
}

/* A large file is read on a thread: the stream waits, and nothing is lost or sent early. */
START_TEST(large_ca_file)
{
	struct tls_server s = { .alpn = NULL };
	struct end e = { .got = 0 };

	tls_server_start(&s, PLAY_BYE, "DNS:redis", false, 5);
	pad(s.ca_file, "a");
	dial(&e, &s, "redis", s.ca_file);
	until(&e, 0);
	ck_assert_msg(e.last == STREAM_EOF, "%zd %s", e.last, e.why.text);
	ck_assert_str_eq(e.text, "hello");
	hang_up(&e, &s);
}
END_TEST

START_TEST(large_file_of_nothing)
{
	struct tls_server s = { .alpn = NULL };
	struct end e = { .want = 100 };

	tls_server_start(&s, PLAY_MUTE, "DNS:redis", false, 5);
	pad(s.ca_file, "w");
	dial(&e, &s, "redis", s.ca_file);
	until(&e, 0);
	ck_assert_int_eq(e.last, STREAM_ERROR);
	ck_assert_uint_eq(e.put, 0);
	SAYS(e.why.text, "holds no certificate in PEM form");
	hang_up(&e, &s);
}
END_TEST

/* The owner gives up while the file is being read: the stream, the client and the mail go in any order. */
START_TEST(gives_up_while_reading)
{
	struct tls_server s = { .alpn = NULL };
	struct end e = { .got = 0 };
	usec limit = clock_now() + PATIENCE;

	tls_server_start(&s, PLAY_MUTE, "DNS:redis", false, 5);
	pad(s.ca_file, "a");
	dial(&e, &s, "redis", s.ca_file);
	while (!e.stream.tls && clock_now() < limit)
		loop_turn(e.loop, false);
	ck_assert_ptr_nonnull(e.stream.tls);
	stream_close(&e.stream, STREAM_CLOSE);
	tls_client_free(e.client);
	e.client = NULL;
	for (int i = 0; i < 20; i++)
		loop_turn(e.loop, false);
	hang_up(&e, &s);
}
END_TEST

START_TEST(config_is_checked)
{
	struct err err;

	ck_assert_ptr_null(tls_client_new(&(struct tls_client_config){ .alpn = ",," }, &err));
	SAYS(err.text, "ALPN");
	for (unsigned long k = 1; k <= 3; k++) {
		mem_fail_at(k);
		struct tls_client *c = tls_client_new(
			&(struct tls_client_config){ .ca = "a", .ca_option = "b" }, &err);
		mem_fail_at(0);
		ck_assert_ptr_null(c);
	}
	tls_client_free(NULL);
}
END_TEST

Suite *suite_net_tls(void)
{
	Suite *s = suite_create("net_tls");
	TCase *c = tcase_create("client");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, hello_and_goodbye);
	tcase_add_test(c, cut_is_told_apart);
	tcase_add_test(c, bulk_with_back_pressure);
	tcase_add_test(c, owner_closes_in_the_callback);
	tcase_add_loop_test(c, refused_with_a_sentence, 0, (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_test(c, system_trust_does_not_know_our_ca);
	tcase_add_test(c, ca_file_that_is_none);
	tcase_add_test(c, large_ca_file);
	tcase_add_test(c, large_file_of_nothing);
	tcase_add_test(c, gives_up_while_reading);
	tcase_add_test(c, config_is_checked);
	suite_add_tcase(s, c);
	return s;
}
