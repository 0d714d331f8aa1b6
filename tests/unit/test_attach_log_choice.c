/* attach/log_choice: whose output is followed. */
#include "attach/log_choice.h"

#include <check.h>
#include <stdio.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A container of service shop_graylog in stack shop, with more variables and labels. */
static void make(struct container *c, const char *env, const char *labels)
{
	char body[2048];
	struct err err = { "" };
	snprintf(body, sizeof(body),
		"{\"Id\":\"" ID "\",\"Name\":\"/shop_graylog.1.x\",\"State\":{\"Status\":\"running\",\"StartedAt\":\"2026-11-23T04:05:06.789012345Z\"},"
		"\"HostConfig\":{\"LogConfig\":{\"Type\":\"journald\"}},"
		"\"Config\":{\"Tty\":true,\"Hostname\":\"box\",\"Env\":[\"A=b\"%s],\"Labels\":{\"com.docker.swarm.service.name\":\"shop_graylog\","
		"\"com.docker.stack.namespace\":\"shop\"%s}},\"NetworkSettings\":{\"Networks\":{\"n\":{\"IPAddress\":\"10.0.1.7\","
		"\"GlobalIPv6Address\":\"fd00::7\"}}}}", env, labels);
	ck_assert_msg(container_read(c, str_of(body), &err), "%s", err.text);
}

#define ENV(word) ",\"OUTRIDER_APP_LOG=" word "\""
#define LABEL(word) ",\"outrider.app.log\":\"" word "\""

static const struct {
	const char *env, *labels;
	enum app_log agents;
	enum log_choice choice;
} choices[] = {
	{ "", "", APP_LOG_AUTO, LOG_CHOICE_OFF },
	{ "", "", APP_LOG_ON, LOG_CHOICE_ON },
	{ "", "", APP_LOG_OFF, LOG_CHOICE_OFF },
	{ ENV("on"), "", APP_LOG_AUTO, LOG_CHOICE_ON },
	{ ENV("true"), "", APP_LOG_AUTO, LOG_CHOICE_ON },
	{ ENV("on"), "", APP_LOG_OFF, LOG_CHOICE_OFF },
	{ ENV("off"), "", APP_LOG_ON, LOG_CHOICE_OFF },
	{ ENV("auto"), "", APP_LOG_ON, LOG_CHOICE_ON },
	{ ENV("perhaps"), "", APP_LOG_AUTO, LOG_CHOICE_OFF },
	{ "", LABEL("on"), APP_LOG_AUTO, LOG_CHOICE_ON },
	{ "", LABEL("off"), APP_LOG_ON, LOG_CHOICE_OFF },
	{ ENV("on"), LABEL("off"), APP_LOG_AUTO, LOG_CHOICE_ON }, /* the variable is the stronger one */
};

START_TEST(is_chosen)
{
	struct container c;
	make(&c, choices[_i].env, choices[_i].labels);
	ck_assert_int_eq(log_choose(&c, choices[_i].agents, STR("json:stderr")), choices[_i].choice);
	enum log_choice sink = choices[_i].choice == LOG_CHOICE_ON ? LOG_CHOICE_SINK : LOG_CHOICE_OFF;
	ck_assert_int_eq(log_choose(&c, choices[_i].agents, STR("json:stderr,gelf:udp://graylog:12201")), sink);
	container_release(&c);
}
END_TEST

static const struct {
	const char *sinks;
	bool is;
} sinks[] = {
	{ "", false }, { "json:stderr", false }, { "file:/graylog", false }, { "gelf:udp://graylog", true }, { "gelf:udp://GRAYLOG:12201", true },
	{ "gelf:udp://other:1, gelf:tcp://tasks.shop_graylog:12201", true }, { "gelf:udp://graylog.shop:1", true }, { "gelf:tcp://tasks.graylog:1", true },
	{ "gelf:udp://mygraylog:1", false }, { "gelf:udp://graylog2:1", false }, { "syslog:tcp://box:601", true }, { "syslog:tcp://10.0.1.7:601", true },
	{ "syslog:tcp://10.0.1.70:601", false }, { "syslog:tcp://[fd00::7]:601", true }, { "syslog:unix:/dev/log", false },
	{ "gelf:udp://user@graylog:1/x?y=1", true }, { "gelf:udp://a:1|udp://graylog:1", true }, { "gelf:udp://", false }, { "gelf:udp://[", false },
	{ "gelf:udp://shop_graylog.1.x:1", true }, { "://graylog", true },
};

START_TEST(a_sink_is_known)
{
	struct container c;
	make(&c, "", "");
	ck_assert_msg(log_choice_is_sink(&c, str_of(sinks[_i].sinks)) == sinks[_i].is, "%s", sinks[_i].sinks);
	container_release(&c);
}
END_TEST

START_TEST(what_the_engine_says_of_its_log)
{
	struct container c;
	make(&c, "", "");
	ck_assert(c.terminal && str_eq(c.log_driver, STR("journald")));
	ck_assert_uint_eq(c.started, 1795406706789012345u);
	container_release(&c);
}
END_TEST

Suite *suite_attach_log_choice(void);
Suite *suite_attach_log_choice(void)
{
	Suite *s = suite_create("attach_log_choice");
	TCase *t = tcase_create("choice");
	tcase_add_loop_test(t, is_chosen, 0, (int)(sizeof(choices) / sizeof(choices[0])));
	tcase_add_loop_test(t, a_sink_is_known, 0, (int)(sizeof(sinks) / sizeof(sinks[0])));
	tcase_add_test(t, what_the_engine_says_of_its_log);
	suite_add_tcase(s, t);
	return s;
}
