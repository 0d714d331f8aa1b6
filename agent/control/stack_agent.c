/* The agent's own service: what `outrider node` needs to do its work (DESIGN section 2). */
#include "control/stack_int.h"

static void check_capabilities(struct stack *s, const struct stack_service *v)
{
	static const char *const needed[] = { "SYS_ADMIN", "SETUID", "SETGID" };
	const struct node *add = node_get(v->node, STR("cap_add")),
			  *drop = node_get(v->node, STR("cap_drop"));
	uint32_t line = stack_line(v, v->node, STR("cap_add"));

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		struct text with;
		text_init(&with, 64);
		text_fmt(&with, "CAP_%s", needed[i]);
		bool has = node_lists(add, str_of(needed[i])) || node_lists(add, text_str(&with)) ||
			   node_lists(add, STR("ALL"));
		text_release(&with);
		if (has)
			continue;
		stack_say(s, v, RULE_AGENT_CAP_ADD, line, "the agent has not the capability %s", needed[i]);
	}
	if (!node_lists(drop, STR("ALL")))
		stack_say(s, v, RULE_AGENT_CAP_DROP, stack_line(v, v->node, STR("cap_drop")),
			"the agent keeps capabilities that it does not need");
}

static void check_mounts(struct stack *s, const struct stack_service *v)
{
	struct stack_mount m;
	uint32_t line = stack_line(v, v->node, STR("volumes"));

	/* Whatever its name: a filtering proxy has a socket of its own, in a volume that the two share. */
	if (!pairs_find(&v->env, STR("OUTRIDER_ENGINE")) && !stack_mount(v, STR(".sock"), false, &m) && !stack_mount(v, STR(".sock"), true, &m))
		stack_say(s, v, RULE_AGENT_SOCKET, line,
			"the agent has no socket of the engine, and finds no container");
	if (!stack_mount(v, STR("/docker/netns"), true, &m))
		stack_say(s, v, RULE_AGENT_NETNS, line,
			"the agent has no folder of network namespaces, and can enter none");
	else if (!str_ends(m.propagation, STR("slave")) && !str_ends(m.propagation, STR("shared")))
		stack_say(s, v, RULE_AGENT_PROPAGATION, m.line,
			"the folder of network namespaces is mounted with propagation %.*s",
			m.propagation.n ? (int)m.propagation.n : 8,
			m.propagation.n ? m.propagation.p : "rprivate");
	if (!stack_mount(v, STR("/run/outrider"), false, &m))
		stack_say(s, v, RULE_AGENT_RUN, line, "nothing is mounted at /run/outrider");
}

static void check_deploy(struct stack *s, const struct stack_service *v)
{
	const struct node *deploy = node_get(v->node, STR("deploy"));
	const struct node *update = node_get(deploy, STR("update_config")),
			  *restart = node_get(deploy, STR("restart_policy"));
	uint32_t line = stack_line(v, v->node, STR("deploy"));
	usec delay = 5 * USEC_SEC;

	if (!str_eq(node_value(deploy, STR("mode")), STR("global")))
		stack_say(s, v, RULE_AGENT_MODE, line, "the agent is not a global service");
	if (!str_eq(node_value(update, STR("order")), STR("start-first")))
		stack_say(s, v, RULE_AGENT_ORDER, update ? update->line : line,
			"the agent's update order is stop-first");
	(void)stack_duration(node_value(restart, STR("delay")), &delay);
	if (delay > 0)
		stack_say(s, v, RULE_AGENT_DELAY, restart ? restart->line : line,
			"an agent that died is not restarted at once");
}

static void check_ignored(struct stack *s, const struct stack_service *v)
{
	static const char *const keys[] = { "privileged", "security_opt", "pid", "userns_mode",
		"network_mode" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct node_item *item = node_item(v->node, str_of(keys[i]));
		if (item)
			stack_say(s, v, RULE_IGNORED, item->line, "%s has no effect in a swarm", keys[i]);
	}
}

void stack_check_agent(struct stack *s, const struct stack_service *v)
{
	check_deploy(s, v);
	check_capabilities(s, v);
	check_mounts(s, v);
	check_ignored(s, v);
	if (!str_ieq(node_value(v->node, STR("read_only")), STR("true")))
		stack_say(s, v, RULE_AGENT_READ_ONLY, stack_line(v, v->node, STR("read_only")),
			"the agent's root can be written to");
	if (!stack_joins(v, STR("outrider")))
		stack_say(s, v, RULE_AGENT_NETWORK, stack_line(v, v->node, STR("networks")),
			"the agent is on no network that is "
			"called outrider, where agents find each other");
}
