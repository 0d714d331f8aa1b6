#include "attach/log_choice.h"

#include <stdio.h>

/* --- sinks --------------------------------------------------------------------------------------------------------------- */

/* "gelf:udp://user@graylog:12201?x" and "syslog:tcp+tls://[::1]:6514" name graylog and ::1; "json:stdout" and "file:/x" name nobody. */
static struct str host_of(struct str sink)
{
	size_t i = 0;

	while (i + 2 < sink.n && !(sink.p[i] == ':' && sink.p[i + 1] == '/' && sink.p[i + 2] == '/'))
		i++;
	if (i + 3 >= sink.n)
		return STR("");
	struct str host = str_make(sink.p + i + 3, sink.n - i - 3);
	size_t end = 0;
	while (end < host.n && host.p[end] != '/' && host.p[end] != '?')
		end++;
	host.n = end;
	size_t user = str_rfind(host, '@');
	if (user != SIZE_MAX)
		host = str_make(host.p + user + 1, host.n - user - 1);
	size_t close = str_find(host, ']'), colon = str_rfind(host, ':');
	if (host.n && host.p[0] == '[' && close != SIZE_MAX)
		return str_make(host.p + 1, close - 1);
	return colon == SIZE_MAX ? host : str_make(host.p, colon);
}

static struct str without_stack(struct str service, struct str stack)
{
	if (stack.n && service.n > stack.n + 1 && str_starts(service, stack) && service.p[stack.n] == '_')
		return str_make(service.p + stack.n + 1, service.n - stack.n - 1);
	return service;
}

static bool is_name_of(const struct container *c, struct str host)
{
	struct str stack = container_label(c, "com.docker.stack.namespace");
	struct str service = container_label(c, "com.docker.swarm.service.name");
	struct str short_name = without_stack(service, stack);
	char both[512];

	if (str_istarts(host, STR("tasks.")))
		host = str_make(host.p + 6, host.n - 6);
	snprintf(both, sizeof(both), "%.*s.%.*s", STR_ARG(short_name), STR_ARG(stack));
	const struct str names[] = { c->name, c->hostname, service, short_name, str_of(both),
		container_label(c, "com.docker.compose.service"),
		container_label(c, "com.docker.swarm.task.name") };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].n && str_ieq(names[i], host))
			return true;
	return false;
}

static bool is_address_of(const struct container *c, struct str host)
{
	for (size_t i = 0; i < c->n_networks; i++)
		if (str_eq(c->networks[i].address, host) || str_ieq(c->networks[i].address6, host))
			return true;
	return false;
}

bool log_choice_is_sink(const struct container *c, struct str sinks)
{
	struct str sink, one;

	while (str_next(&sinks, ',', &sink))
		while (str_next(&sink, '|', &one)) { /* several of one plug-in */
			struct str host = host_of(one);
			if (host.n && (is_name_of(c, host) || is_address_of(c, host)))
				return true;
		}
	return false;
}

/* --- the choice ------------------------------------------------------------------------------------------------------------ */

static enum app_log word_of(struct str s)
{
	static const struct {
		struct str word;
		enum app_log meant;
	} words[] = { { { "on", 2 }, APP_LOG_ON }, { { "true", 4 }, APP_LOG_ON },
		{ { "off", 3 }, APP_LOG_OFF }, { { "false", 5 }, APP_LOG_OFF } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_ieq(str_trim(s), words[i].word))
			return words[i].meant;
	return APP_LOG_AUTO; /* nothing, auto, or what its sidecar names as wrong */
}

enum log_choice log_choose(const struct container *c, enum app_log agents, struct str sinks)
{
	struct str said = container_env(c, "OUTRIDER_APP_LOG");
	enum app_log word = word_of(said.n ? said : container_label(c, "outrider.app.log"));

	if (word == APP_LOG_AUTO)
		word = agents;
	if (agents == APP_LOG_OFF || word != APP_LOG_ON)
		return LOG_CHOICE_OFF;
	return log_choice_is_sink(c, sinks) ? LOG_CHOICE_SINK : LOG_CHOICE_ON;
}
