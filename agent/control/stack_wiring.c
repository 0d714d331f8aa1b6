/* Do the service's calls meet the agent (docs/wiring.md), and does the service stop in time? */
#include "control/option_value.h"
#include "control/stack_int.h"
#include "control/upstreams.h"

#define SWARM_GRACE (10 * USEC_SEC) /* stop_grace_period where none is said */

/* --- wiring 1: pinned names ---------------------------------------------------------------------------------------- */

/* The host a client names for the upstream: also without the stack behind its dot. */
static const struct pair *host_of(const struct stack_service *v, struct str service)
{
	size_t dot = str_rfind(service, '.');

	for (size_t i = 0; i < v->hosts.n; i++) {
		struct str key = v->hosts.at[i].key;
		if (str_ieq(key, service) || (dot != SIZE_MAX && str_ieq(key, str_make(service.p, dot))))
			return &v->hosts.at[i];
	}
	return NULL;
}

static uint32_t upstreams_line(const struct stack_service *v)
{
	const struct pair *p = pairs_find(&v->env, STR("OUTRIDER_UPSTREAMS"));

	if (!p)
		p = pairs_find(&v->labels, STR("outrider.upstreams"));
	return p ? p->line : v->line;
}

static bool plain_loopback(const struct addr *a)
{
	char ip[ADDR_TEXT_MAX];

	addr_ip_text(a, ip);
	return strcmp(ip, "127.0.0.1") == 0 || strcmp(ip, "::1") == 0;
}

static void check_pin(struct stack *s, const struct stack_service *v, const struct upstream_pin *pin)
{
	const struct pair *host = host_of(v, pin->service);
	char ip[ADDR_TEXT_MAX];

	addr_ip_text(&pin->addr, ip);
	if (plain_loopback(&pin->addr)) /* wiring 2: the URL names the address */
		return;
	if (!host)
		stack_say(s, v, RULE_NO_EXTRA_HOST, upstreams_line(v),
			"%.*s is pinned at %s, and extra_hosts has no \"%.*s:%s\"", STR_ARG(pin->service), ip,
			STR_ARG(pin->service), ip);
	else if (!str_eq(str_trim(host->value), str_of(ip)))
		stack_say(s, v, RULE_OTHER_EXTRA_HOST, host->line,
			"extra_hosts says %.*s is %.*s, but it is pinned at %s", STR_ARG(host->key),
			(int)(host->value.n < 80 ? host->value.n : 80), host->value.p, ip);
}

/* Is an upstream pinned there, or is the line that of a pinned one (which check_pin() has judged)? */
static bool pinned(const struct stack_service *v, const struct pair *host, const struct addr *want)
{
	struct str rest = options_text(v->o, OPT_UPSTREAMS);
	struct upstream_pin pin;

	while (upstream_pin_next(&rest, &pin, NULL) > 0) {
		struct addr a = pin.addr;
		addr_set_port(&a, 0);
		if (addr_eq(&a, want) || host_of(v, pin.service) == host)
			return true;
	}
	return false;
}

static void check_hosts(struct stack *s, const struct stack_service *v)
{
	for (size_t i = 0; i < v->hosts.n; i++) {
		const struct pair *h = &v->hosts.at[i];
		struct addr a;
		if (addr_parse_ip(str_trim(h->value), 0, &a) && addr_is_loopback(&a) && !plain_loopback(&a) &&
			!pinned(v, h, &a))
			stack_say(s, v, RULE_STRAY_EXTRA_HOST, h->line,
				"extra_hosts says %.*s is %.*s, where no upstream is pinned",
				(int)(h->key.n < 80 ? h->key.n : 80), h->key.p, STR_ARG(str_trim(h->value)));
	}
}

/* --- wiring 3: proxy variables --------------------------------------------------------------------------------------- */

static const struct pair *env_either(const struct stack_service *v, const char *lower, const char *upper)
{
	const struct pair *p = pairs_find(&v->env, str_of(lower));
	return p ? p : pairs_find(&v->env, str_of(upper));
}

/* "http://127.0.0.1:4140/": the address, if it is a loopback one. */
static bool loopback_proxy(const struct pair *p, struct addr *ret)
{
	struct str url = p ? str_trim(p->value) : STR("");
	size_t slash;

	if (str_istarts(url, STR("http://")))
		url = str_make(url.p + 7, url.n - 7);
	slash = str_find(url, '/');
	if (slash != SIZE_MAX)
		url.n = slash;
	return option_address(url, ret, NULL) && addr_is_loopback(ret);
}

static bool is_outbound(const struct stack_service *v, const struct addr *a)
{
	struct str rest = options_text(v->o, OPT_OUTBOUND), item;
	struct addr own;

	while (option_item_next(&rest, &item))
		if (option_address(item, &own, NULL) && addr_port(&own) == addr_port(a))
			return true;
	return false;
}

static void check_proxy(struct stack *s, const struct stack_service *v)
{
	const struct pair *http = env_either(v, "http_proxy", "HTTP_PROXY");
	const struct pair *https = env_either(v, "https_proxy", "HTTPS_PROXY");
	const struct pair *no = env_either(v, "no_proxy", "NO_PROXY");
	struct addr a;

	if (loopback_proxy(https, &a))
		stack_say(s, v, RULE_HTTPS_PROXY, https->line, "%.*s leads TLS through the agent",
			STR_ARG(https->key));
	if (!loopback_proxy(http, &a))
		return;
	if (!is_outbound(v, &a))
		stack_say(s, v, RULE_PROXY_PORT, http->line,
			"%.*s names port %u, on which the agent has no outbound listener", STR_ARG(http->key),
			addr_port(&a));
	if (!no || (!memmem(no->value.p, no->value.n, "127.0.0.1", 9) &&
			   !memmem(no->value.p, no->value.n, "localhost", 9)))
		stack_say(s, v, RULE_NO_NO_PROXY, no ? no->line : http->line,
			"calls of the service to itself go through the proxy: no_proxy has no 127.0.0.1");
}

void stack_check_wiring(struct stack *s, const struct stack_service *v)
{
	struct str rest = options_text(v->o, OPT_UPSTREAMS);
	struct upstream_pin pin;

	while (upstream_pin_next(&rest, &pin, NULL) > 0)
		check_pin(s, v, &pin);
	check_hosts(s, v);
	check_proxy(s, v);
}

/* --- stopping -------------------------------------------------------------------------------------------------------- */

static void check_agent_stop(struct stack *s, const struct stack_service *v, bool said, uint32_t line)
{
	if (!said)
		stack_say(s, v, RULE_STOP_AGENT, v->line,
			"the agent has no stop_grace_period, and is killed 10s after SIGTERM");
	else if (!options_is_set(v->o, OPT_STOP_TIMEOUT))
		stack_say(s, v, RULE_STOP_UNUSED, line,
			"the agent leaves after outrider.stop-timeout, %.*s, whatever "
			"stop_grace_period says",
			STR_ARG(options_text(v->o, OPT_STOP_TIMEOUT)));
}

void stack_check_stop(struct stack *s, const struct stack_service *v)
{
	const struct node_item *i = node_item(v->node, STR("stop_grace_period"));
	uint32_t line = i ? i->line : v->line;
	usec grace = SWARM_GRACE, stop = options_duration(v->o, OPT_STOP_TIMEOUT);

	if (i && !stack_duration(node_text(i->value), &grace)) {
		stack_say(s, v, RULE_DURATION, line, "stop_grace_period is no duration");
		return;
	}
	if (v->role == ROLE_NODE_SIDECAR) {
		if (!i)
			stack_say(s, v, RULE_STOP_DEFAULT, line,
				"%.*s has no stop_grace_period, and is killed 10s after SIGTERM",
				STR_ARG(v->name));
		return;
	}
	if (stop >= grace)
		stack_say(s, v, RULE_STOP_GRACE, line,
			"%s is over before outrider.stop-timeout, %.*s: requests in flight are cut",
			i ? "stop_grace_period" : "the default stop_grace_period, 10s,",
			STR_ARG(options_text(v->o, OPT_STOP_TIMEOUT)));
	else if (v->role == ROLE_AGENT)
		check_agent_stop(s, v, i != NULL, line);
}
