/* The hub of log records: levels, collapse, the last records, sinks and their accounts. */
#include "base/mem.h"
#include "control/log_keep.h"
#include "control/log_repeat.h"
#include "control/logs.h"
#include "net/timer.h"
#include "options_help.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

static struct loop *new_loop(void)
{
	struct err err = { "" };
	struct loop *l = loop_new(&err);

	ck_assert_msg(l != NULL, "%s", err.text);
	return l;
}

static struct log_record record(const char *message, const char *members)
{
	return (struct log_record){ .wall = 1754000000000000, .level = LEVEL_INFO, .kind = LOG_KIND_AGENT, .subsystem = STR("config"), .message = str_of(message),
		.members = str_of(members) };
}

/* --- collapse ------------------------------------------------------------------------------------------------------------------ */

START_TEST(repeated_ones_are_collapsed)
{
	struct log_repeat q;
	struct log_record r = record("gone", "\"why\":\"x\""), other = record("gone", "\"why\":\"y\""), out;
	usec now = 1000 * USEC_SEC;

	log_repeat_init(&q);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(log_repeat_take(&q, &r, now + i), i >= LOGS_BURST);
	ck_assert(!log_repeat_take(&q, &other, now)); /* another one */
	ck_assert(!log_repeat_due(&q, now + LOGS_WINDOW - 1, &out));
	ck_assert_uint_eq(log_repeat_next(&q), now + LOGS_WINDOW);
	ck_assert(log_repeat_due(&q, now + LOGS_WINDOW, &out));
	ck_str(out.message, "gone");
	ck_str(out.members, "\"why\":\"x\",\"repeated\":17");
	ck_str(out.subsystem, "config");
	ck_assert(!log_repeat_due(&q, now + LOGS_WINDOW, &out) && log_repeat_next(&q) == USEC_NEVER);
	ck_assert(log_repeat_take(&q, &r, now + LOGS_WINDOW + 1)); /* goes on: it is not new again */
	ck_assert(log_repeat_due(&q, USEC_NEVER, &out));
	ck_str(out.members, "\"why\":\"x\",\"repeated\":1");
	ck_assert(!log_repeat_take(&q, &r, now + 3 * LOGS_WINDOW)); /* quiet for a window: new */
	log_repeat_release(&q);
}
END_TEST

START_TEST(many_different_ones_pass)
{
	struct log_repeat q;
	char members[64];
	usec now = USEC_SEC;

	log_repeat_init(&q);
	struct log_record first = record("first", "");
	for (unsigned i = 0; i < 5; i++)
		(void)log_repeat_take(&q, &first, now);
	for (unsigned i = 0; i < 500; i++) {
		snprintf(members, sizeof(members), "\"n\":%u", i);
		struct log_record r = record("x", members);
		ck_assert(!log_repeat_take(&q, &r, now + i));
	}
	ck_assert(log_repeat_take(&q, &first, now + 600)); /* something is to be said of it: it kept its row */
	static char big[3000];
	memset(big, 'a', sizeof(big) - 1);
	struct log_record r = record(big, "");
	for (unsigned i = 0; i < 10; i++)
		ck_assert(!log_repeat_take(&q, &r, now)); /* too long to be remembered */
	log_repeat_release(&q);
}
END_TEST

/* --- the last records ------------------------------------------------------------------------------------------------------------ */

static unsigned numbers[2000], n_numbers;

static bool add_number(void *arg, const struct log_record *r)
{
	(void)arg;
	ck_assert_uint_lt(n_numbers, 2000);
	numbers[n_numbers++] = (unsigned)r->wall;
	return true;
}

static bool is_even(const void *with, const struct log_record *r)
{
	(void)with;
	return r->wall % 2 == 0;
}

START_TEST(the_last_ones_are_kept)
{
	struct err err;
	struct log_keep *k = log_keep_new(&err);
	static char text[9000];

	memset(text, 'x', sizeof(text));
	for (unsigned i = 1; i <= 5000; i++) {
		struct log_record r = record("", "\"a\":1");
		r.kind = i % 100 == 0 ? LOG_KIND_AGENT : LOG_KIND_APP;
		r.wall = i;
		r.message = str_make(text, i % 700);
		log_keep_put(k, &r);
	}
	n_numbers = 0;
	ck_assert(log_keep_each(k, 50, NULL, NULL, add_number, NULL));
	ck_assert_uint_eq(n_numbers, 50);
	for (unsigned i = 0; i < 50; i++)
		ck_assert_uint_eq(numbers[i], 5000 - i);
	n_numbers = 0;
	ck_assert(!log_keep_each(k, 1000, is_even, NULL, add_number, NULL));
	ck_assert(n_numbers > 100 && numbers[n_numbers - 1] == 100); /* all 50 of the agent's own are still there, whatever the others did */
	for (unsigned i = 1; i < n_numbers; i++)
		ck_assert(numbers[i] < numbers[i - 1] && numbers[i] % 2 == 0);
	struct log_record r = record("", "\"a\":1");
	r.message = str_make(text, sizeof(text));
	log_keep_put(k, &r); /* cut */
	log_keep_free(k);
}
END_TEST

/* --- the hub ------------------------------------------------------------------------------------------------------------------------ */

struct hub {
	struct loop *loop;
	struct options *options;
	struct logs *logs;
	struct log log;
};

static void hub_open(struct hub *h, const char *flags)
{
	struct err err = { "" };

	h->loop = new_loop();
	h->options = from_flags(flags);
	ck_assert_msg(options_check(h->options, COMMAND_ANY, &err), "%s", options_problem_count(h->options) ? options_problem(h->options, 0)->text : err.text);
	const struct logs_config c = { .loop = h->loop, .options = h->options, .identity = { .host = "node-1" } };
	h->logs = logs_new(&c, &err);
	ck_assert_msg(h->logs != NULL, "%s", err.text);
	log_init(&h->log, -1, LEVEL_INFO);
	h->log.hub = h->logs;
}

static void hub_close(struct hub *h)
{
	logs_flush(h->logs);
	logs_free(h->logs);
	loop_turn(h->loop, false);
	loop_free(h->loop);
	options_free(h->options);
}

static struct sink_counts counts(struct hub *h, unsigned i)
{
	struct logs_sink s;

	ck_assert(logs_sink(h->logs, i, &s));
	ck_assert_uint_eq(s.counts.produced, s.counts.sent + s.counts.queued + s.counts.dropped_full + s.counts.dropped_failed + s.counts.dropped_long);
	return s.counts;
}

START_TEST(levels)
{
	struct hub h;

	hub_open(&h, "--log=off --log.level=warn --log.levels=discovery=debug,config=error");
	ck_assert(logs_wants(h.logs, LEVEL_DEBUG, STR("discovery")) && !logs_wants(h.logs, LEVEL_WARN, STR("config")) && !logs_wants(h.logs, LEVEL_INFO, STR("node")));
	ck_assert(logs_set_level(h.logs, STR("node"), LEVEL_DEBUG) && logs_wants(h.logs, LEVEL_DEBUG, STR("node")));
	ck_assert(logs_set_level(h.logs, STR("node"), LEVEL_COUNT) && !logs_wants(h.logs, LEVEL_INFO, STR("node")));
	ck_assert(logs_set_level(h.logs, STR("discovery"), LEVEL_ERROR) && logs_set_level(h.logs, STR("discovery"), LEVEL_COUNT));
	ck_assert_int_eq(logs_level(h.logs, STR("discovery")), LEVEL_DEBUG);
	log_write(&h.log, LEVEL_INFO, "process", "hidden", NULL);
	log_write(&h.log, LEVEL_WARN, "process", "seen", NULL);
	ck_assert_uint_eq(logs_counts(h.logs).records[LOG_KIND_AGENT], 1);
	char name[16];
	for (unsigned i = 2; i < LOGS_LEVELS_MAX - 1; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		ck_assert(logs_set_level(h.logs, str_of(name), LEVEL_INFO));
	}
	ck_assert(!logs_set_level(h.logs, STR("one-more"), LEVEL_INFO)); /* bounded */
	hub_close(&h);
}
END_TEST

/* A udp receiver on loopback; its port in *port. */
static int receiver(unsigned *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), room = 4 << 20;

	ck_assert_int_ge(fd, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static size_t next_datagram(struct hub *h, int fd, char *buf, size_t max)
{
	usec end = clock_now() + 5 * USEC_SEC;
	ssize_t n = -1;

	while (n < 0 && clock_now() < end) {
		loop_turn(h->loop, false);
		n = recv(fd, buf, max, 0);
	}
	ck_assert_int_gt(n, 0);
	return (size_t)n;
}

/* Chunks in any order are one message; unpacked when it is. */
static size_t next_message(struct hub *h, int fd, char *to, size_t max, unsigned *chunks)
{
	static char parts[128][2048], whole[128 * 2048];
	size_t sizes[128] = { 0 }, n, all = 0;
	unsigned count = 0, got = 0;
	char buf[2048], id[8];

	do {
		n = next_datagram(h, fd, buf, sizeof(buf));
		if (memcmp(buf, "\x1e\x0f", 2) != 0) {
			memcpy(whole, buf, all = n);
			got = count = 1;
			break;
		}
		ck_assert(n > 12 && (!got || memcmp(id, buf + 2, 8) == 0));
		memcpy(id, buf + 2, 8);
		unsigned i = (unsigned char)buf[10];
		count = (unsigned char)buf[11];
		ck_assert(count >= 2 && count <= 128 && i < count && !sizes[i]);
		memcpy(parts[i], buf + 12, sizes[i] = n - 12);
	} while (++got < count);
	for (unsigned i = 0; i < count && count > 1; all += sizes[i++])
		memcpy(whole + all, parts[i], sizes[i]);
	*chunks = count;
	if ((unsigned char)whole[0] != 0x1f) {
		memcpy(to, whole, all);
		return all;
	}
	z_stream z = { .next_in = (Bytef *)whole, .avail_in = (uInt)all, .next_out = (Bytef *)to, .avail_out = (uInt)max };
	ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
	ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	return max - z.avail_out;
}

START_TEST(gelf_over_udp)
{
	static char text[400000], got[500000];
	char flags[128];
	unsigned port, chunks;
	struct hub h;
	int fd = receiver(&port);

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + (i * i + i / 7) % 26);
	for (int gzip = 0; gzip < 2; gzip++) {
		static const size_t sizes[] = { 10, 1200, 1300, 5000, 100000, 400000 };
		snprintf(flags, sizeof(flags), "--log=gelf:udp://127.0.0.1:%u --gelf.gzip=%s", port, gzip ? "on" : "off");
		hub_open(&h, flags);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct log_record r = { .level = LEVEL_INFO, .kind = LOG_KIND_APP, .message = str_make(text, sizes[i]) };
			logs_put(h.logs, &r);
			size_t n = next_message(&h, fd, got, sizeof(got), &chunks);
			got[n < sizeof(got) ? n : sizeof(got) - 1] = '\0';
			ck_assert_msg(n > 80 && got[0] == '{' && got[n - 1] == '}', "%zu: %zu bytes", sizes[i], n);
			ck_assert(sizes[i] < 400000 || gzip ? true : strstr(got, "_truncated") != NULL);
			ck_assert(gzip || (n <= 1420) == (chunks == 1));
			ck_assert(sizes[i] > 100000 || strstr(got, "_truncated") == NULL);
		}
		while (counts(&h, 0).queued)
			loop_turn(h.loop, false);
		ck_assert_uint_eq(counts(&h, 0).sent, sizeof(sizes) / sizeof(sizes[0]));
		hub_close(&h);
	}
	close(fd);
}
END_TEST

START_TEST(a_full_queue_is_counted)
{
	static char text[1000];
	struct hub h;
	struct log_record r = { .level = LEVEL_INFO, .kind = LOG_KIND_APP, .message = { text, sizeof(text) } };

	memset(text, 'x', sizeof(text));
	hub_open(&h, "--log=gelf:tcp://127.0.0.1:1,syslog:unix:/nowhere/log,file:/dev/null --log.queue=64KiB");
	for (unsigned i = 0; i < 500; i++)
		logs_put(h.logs, &r);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(counts(&h, i).produced, 500);
		ck_assert(counts(&h, i).dropped_full > 400 && counts(&h, i).queued > 40);
	}
	static char big[70000];
	memset(big, 'y', sizeof(big));
	r.message = str_make(big, sizeof(big));
	logs_put(h.logs, &r); /* longer than the whole queue */
	ck_assert_uint_eq(counts(&h, 0).dropped_long, 1);
	usec end = clock_now() + 10 * USEC_SEC;
	struct logs_sink s = { .trouble = "" };
	while (!s.trouble[0] && clock_now() < end) {
		loop_turn(h.loop, false);
		loop_skip(h.loop, 100 * USEC_MS);
		ck_assert(logs_sink(h.logs, 0, &s));
	}
	ck_assert_ptr_nonnull(strstr(s.trouble, "127.0.0.1"));
	/* What is said of a sink goes to others only. */
	ck_assert_uint_gt(counts(&h, 2).produced, counts(&h, 0).produced);
	hub_close(&h);
}
END_TEST

START_TEST(short_of_memory)
{
	struct log_record r = record("m", "\"a\":1");

	for (unsigned long k = 1; k < 40; k++) {
		struct err err = { "" };
		struct loop *l = new_loop();
		struct options *o = from_flags("--log=json:stderr,gelf:udp://127.0.0.1:9,syslog:udp://127.0.0.1:9 --gelf.gzip=on --log.level=error");
		ck_assert(options_check(o, COMMAND_ANY, &err));
		const struct logs_config c = { .loop = l, .options = o };
		mem_fail_at(k);
		struct logs *h = logs_new(&c, &err);
		mem_fail_at(0);
		ck_assert(h || err.text[0]);
		logs_free(h);
		loop_turn(l, false);
		options_free(o);
		loop_free(l);
	}
	struct hub h;
	hub_open(&h, "--log=gelf:udp://127.0.0.1:9,syslog:tcp://127.0.0.1:9,file:/dev/null --gelf.gzip=on");
	for (unsigned long k = 1; k < 40; k++) {
		char message[32];
		snprintf(message, sizeof(message), "message %lu", k);
		r.message = str_of(message);
		mem_fail_at(k);
		logs_put(h.logs, &r);
		mem_fail_at(0);
		for (unsigned i = 0; i < 3; i++)
			(void)counts(&h, i);
	}
	ck_assert_uint_eq(counts(&h, 0).produced + logs_counts(h.logs).dropped_memory, 39);
	hub_close(&h);
}
END_TEST

Suite *suite_logs(void)
{
	Suite *s = suite_create("logs");
	TCase *t = tcase_create("hub");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, repeated_ones_are_collapsed);
	tcase_add_test(t, many_different_ones_pass);
	tcase_add_test(t, the_last_ones_are_kept);
	tcase_add_test(t, levels);
	tcase_add_test(t, gelf_over_udp);
	tcase_add_test(t, a_full_queue_is_counted);
	tcase_add_test(t, short_of_memory);
	suite_add_tcase(s, t);
	return s;
}
