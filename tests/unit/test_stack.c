/* Stack files: a row per finding, file text to id and line; the YAML and the interpolation below it. */
#include <check.h>

#include "base/mem.h"
#include "control/stack.h"
#include "control/stack_yaml.h"

static char *env[] = { "TAG=7", "EMPTY=", "PORT_FROM_ENV=6767", "OUTRIDER_MODE=observe", NULL };

#define SERVICES "services:\n"
/* A service that has a sidecar and nothing wrong: 4 lines. */
#define GOOD "  a:\n    image: a\n    stop_grace_period: 20s\n    environment: {OUTRIDER_PORT: 6767}\n"
#define Q "  q:\n    image: q\n"
#define CALLS(list)                                                                                          \
	"  a:\n    stop_grace_period: 20s\n    environment:\n      OUTRIDER_PORT: 6767\n      "              \
	"OUTRIDER_UPSTREAMS: " list "\n"
#define AGENT_TOP "services:\n  agent:\n    image: outrider:latest\n    command: [node]\n"
#define AGENT_CAPS "    cap_drop: [ALL]\n    cap_add: [SYS_ADMIN, SETUID, SETGID]\n"
#define AGENT_ROOT "    read_only: true\n"
#define AGENT_STOP "    stop_grace_period: 120s\n    environment: {OUTRIDER_STOP_TIMEOUT: 115s}\n"
#define AGENT_NET "    networks: [outrider]\n"
#define AGENT_SOCK "    - /var/run/docker.sock:/var/run/docker.sock:ro\n"
#define AGENT_RUN "    - run:/run/outrider\n"
#define AGENT_NS                                                                                             \
	"    - {type: bind, source: /var/run/docker/netns, target: /var/run/docker/netns, bind: "            \
	"{propagation: rslave}}\n"
#define AGENT_VOLUMES "    volumes:\n" AGENT_SOCK AGENT_RUN AGENT_NS
#define AGENT_MODE "    deploy:\n      mode: global\n"
#define AGENT_ORDER "      update_config: {order: start-first}\n"
#define AGENT_DELAY "      restart_policy: {delay: 0s}\n"
#define AGENT_DEPLOY AGENT_MODE AGENT_ORDER AGENT_DELAY
#define AGENT_END "networks:\n  outrider: {name: outrider, attachable: true}\n"
#define AGENT(caps, root, stop, net, volumes, deploy) AGENT_TOP caps root stop net volumes deploy AGENT_END

static const struct {
	const char *text;
	const char *id; /* NULL: nothing but notes */
	uint32_t line;
	const char *word; /* in text or remedy */
} rows[] = {
	{ SERVICES GOOD, NULL, 0, NULL },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, AGENT_NET, AGENT_VOLUMES, AGENT_DEPLOY), NULL, 0, NULL },
	/* the file */
	{ SERVICES "  a: [\n", "yaml", 3, "YAML" },
	{ "a: *b\n", "yaml", 1, "*b" },
	{ "a: &b [*b]\n", "yaml", 1, "*b" },
	{ "services: {a: {image: x}}\n---\nservices: {}\n", "yaml", 3, "second document" },
	{ "volumes: {}\n", "no-services", 1, NULL },
	{ "", "no-services", 1, NULL },
	{ SERVICES "  a: text\n", "shape", 2, "no map" },
	{ SERVICES "  a:\n    environment: X\n", "shape", 3, "environment" },
	{ SERVICES "  a:\n    environment:\n    - [X]\n", "shape", 4, "environment" },
	{ SERVICES "  a:\n    ports:\n    - eighty\n", "shape", 4, "no port" },
	{ SERVICES "  a:\n    x-outrider: sometimes\n", "shape", 3, "exec" },
	{ SERVICES "  a: {}\n  a: {}\n", "duplicate-key", 3, "twice" },
	{ SERVICES "  a:\n    image: x:${T AG}\n", "interpolation", 3, "$$" },
	{ SERVICES "  a:\n    image: x:${NO_TAG:?give a tag}\n", "variable-required", 3, "give a tag" },
	{ SERVICES "  a:\n    image: x:$NO_TAG\n", "variable-unset", 3, "NO_TAG" },
	{ SERVICES "  a:\n    env_file: a.env\n", "env-file", 3, NULL },
	/* options */
	{ SERVICES "  a:\n    environment:\n    - OUTRIDER_PORT=6767\n    - OUTRIDER_TIMEOUT_HAED=3s\n",
		"option", 5, "OUTRIDER_TIMEOUT_HEAD" },
	{ SERVICES "  a:\n    labels:\n      outrider.port: 6767\n      outrider.timeout.head: soon\n",
		"option", 5, "duration" },
	{ SERVICES GOOD "    labels: [outrider.modus=off]\n", "option", 6, "outrider.mode" },
	{ SERVICES GOOD "    labels:\n    - outrider.workers=3\n", "option-rights", 7, "agent's service" },
	{ SERVICES GOOD "    labels:\n    - outrider.admin.token_FILE=/etc/shadow\n", "option", 7, NULL },
	{ SERVICES "  a:\n    labels:\n      outrider.enable: perhaps\n", "enable-value", 4, "true" },
	{ SERVICES "  a:\n    environment: {OUTRIDER_MODE: 'off'}\n", "not-opted-in", 2, "OUTRIDER_PORT" },
	{ SERVICES GOOD "    deploy:\n      labels:\n        outrider.mode: 'off'\n", "deploy-labels", 8,
		"labels:" },
	{ SERVICES "  a:\n    entrypoint: /outrider exec --workers=many -- /a\n", "option", 3,
		"--workers=many" },
	{ SERVICES "  a:\n    entrypoint: [/outrider, exec]\n    command: [--, /a]\n    environment:\n      "
		   "OUTRIDER_PORT: 80\n",
		"option", 2, "OUTRIDER_SERVICE" },
	{ SERVICES "  a:\n    x-outrider: exec\n    environment:\n      OUTRIDER_ADMIN_TOKEN_FILE: "
		   "/run/secrets/t\n",
		"secret-file", 5, "secrets" },
	/* upstreams */
	{ SERVICES CALLS("qq:9001") Q, "unknown-upstream", 6, "did you mean q" },
	{ SERVICES CALLS("zebra:9001") Q, "unknown-upstream", 6, "no service is called zebra" },
	{ SERVICES CALLS("zebra:9001") "    networks: [n]\nnetworks: {n: {external: true}}\n",
		"upstream-outside", 6, "zebra" },
	{ SERVICES CALLS("q:9001") "    networks: [n]\n" Q, "no-common-network", 6, "q" },
	{ SERVICES GOOD "    network_mode: host\n", "host-network", 6, NULL },
	{ SERVICES GOOD "    networks: [h]\nnetworks: {h: {name: host, external: true}}\n", "host-network", 6,
		NULL },
	/* ports */
	{ SERVICES CALLS("q:6767") Q, "option", 6, "Wiring 2" },
	{ SERVICES CALLS("q:9001") "    expose: [9001]\n" Q, "pin-clash", 6, "line 7" },
	{ SERVICES CALLS("q:9001,r:9001") Q "  r: {image: r}\n", "option", 6, "pinned twice" },
	{ SERVICES GOOD "    ports: ['80:4191']\n", "loopback-port", 6, "4143" },
	{ SERVICES GOOD "    ports:\n    - {target: 6767, published: 80}\n", "published-bypass", 7, "4143" },
	{ SERVICES "  a:\n    ports: ['80:1']\n  b:\n    ports: ['79-81:1-3']\n", "published-twice", 5, "a" },
	{ SERVICES "  a:\n    ports:\n    - {target: 1, published: 80, mode: host}\n    deploy:\n"
		   "      update_config: {order: start-first}\n",
		"host-port-start-first", 4, NULL },
	{ SERVICES "  a:\n    ports: ['80:1']\n    deploy: {endpoint_mode: dnsrr}\n", "endpoint-mode", 3,
		"ingress" },
	{ SERVICES "  a:\n    deploy: {endpoint_mode: dns}\n", "endpoint-mode", 3, "vip" },
	/* wiring */
	{ SERVICES CALLS("q@127.0.4.1:8080") Q, "extra-hosts-missing", 6, "q:127.0.4.1" },
	{ SERVICES CALLS("q@127.0.4.1:8080") "    extra_hosts: ['q:127.0.4.2']\n" Q, "extra-hosts-other", 7,
		"127.0.4.1" },
	{ SERVICES GOOD "    extra_hosts:\n      q: 127.0.4.2\n", "extra-hosts-stray", 7, "127.0.4.2" },
	{ SERVICES GOOD "      #\n    labels: {}\n" Q "  p:\n    environment:\n    - OUTRIDER_PORT=1\n"
			"    - HTTP_PROXY=http://localhost:4140/\n",
		"no-proxy-missing", 13, "no_proxy" },
	{ SERVICES
		"  a:\n    environment:\n      OUTRIDER_PORT: 1\n      https_proxy: http://127.0.0.1:4140\n",
		"https-proxy", 5, NULL },
	{ SERVICES "  a:\n    environment:\n      OUTRIDER_PORT: 1\n      no_proxy: localhost\n"
		   "      http_proxy: 127.0.0.1:4141\n",
		"proxy-port", 6, "4140" },
	/* stopping */
	{ SERVICES "  a:\n    environment: {OUTRIDER_PORT: 1}\n", "stop-grace-missing", 2, "10s" },
	{ SERVICES "  a:\n    entrypoint: [/outrider, exec, --stop-timeout=10s]\n", "stop-grace", 2, "10s" },
	{ SERVICES "  a:\n    stop_grace_period: 1m\n    entrypoint: [/outrider, edge, --stop-timeout=60s]\n",
		"stop-grace", 3, "60s" },
	{ SERVICES "  a:\n    environment: {OUTRIDER_PORT: 1}\n    stop_grace_period: 10 s\n", "duration", 4,
		"30s" },
	/* the agent */
	{ AGENT(AGENT_CAPS, AGENT_ROOT, "", AGENT_NET, AGENT_VOLUMES, AGENT_DEPLOY), "stop-grace-agent", 2,
		"120s" },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, "    stop_grace_period: 120s\n", AGENT_NET, AGENT_VOLUMES,
		  AGENT_DEPLOY),
		"stop-timeout", 8, "115s" },
	{ AGENT("    cap_drop: [ALL]\n    cap_add: [SYS_ADMIN, CAP_SETUID]\n", AGENT_ROOT, AGENT_STOP,
		  AGENT_NET, AGENT_VOLUMES, AGENT_DEPLOY),
		"agent-cap-add", 6, "SETGID" },
	{ AGENT("    cap_add: [SYS_ADMIN, SETUID, SETGID]\n", AGENT_ROOT, AGENT_STOP, AGENT_NET,
		  AGENT_VOLUMES, AGENT_DEPLOY),
		"agent-cap-drop", 2, "ALL" },
	{ AGENT(AGENT_CAPS, "", AGENT_STOP, AGENT_NET, AGENT_VOLUMES, AGENT_DEPLOY), "agent-read-only", 2,
		NULL },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, "", AGENT_VOLUMES, AGENT_DEPLOY), "agent-network", 2,
		"attachable" },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, AGENT_NET, "    volumes:\n" AGENT_RUN AGENT_NS,
		  AGENT_DEPLOY),
		"agent-socket", 11, "docker.sock" },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, AGENT_NET, "    volumes:\n" AGENT_SOCK AGENT_NS,
		  AGENT_DEPLOY),
		"agent-run", 11, "/run/outrider" },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, AGENT_NET, "    volumes:\n" AGENT_SOCK AGENT_RUN,
		  AGENT_DEPLOY),
		"agent-netns", 11, "rslave" },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, AGENT_NET,
		  "    volumes:\n" AGENT_SOCK AGENT_RUN "    - /var/run/docker/netns:/var/run/docker/netns\n",
		  AGENT_DEPLOY),
		"agent-propagation", 14, "rslave" },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, AGENT_NET, AGENT_VOLUMES,
		  "    deploy:\n" AGENT_ORDER AGENT_DELAY),
		"agent-mode", 15, "global" },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, AGENT_NET, AGENT_VOLUMES, AGENT_MODE AGENT_DELAY),
		"agent-order", 15, "start-first" },
	{ AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, AGENT_NET, AGENT_VOLUMES, AGENT_MODE AGENT_ORDER),
		"agent-delay", 15, "0s" },
	{ AGENT(AGENT_CAPS, AGENT_ROOT "    privileged: true\n", AGENT_STOP, AGENT_NET, AGENT_VOLUMES,
		  AGENT_DEPLOY),
		"ignored", 8, "privileged" },
	{ SERVICES GOOD, "agent-absent", 2, "outrider.yml" },
};

static void judge(struct findings *f, const char *const *texts, size_t n)
{
	static const char *const names[] = { "one.yml", "two.yml" };
	struct stack *s = stack_new(f, env);

	ck_assert_ptr_nonnull(s);
	for (size_t i = 0; i < n; i++)
		ck_assert(stack_add(s, names[i], str_of(texts[i])));
	ck_assert(stack_judge(s));
	findings_sort(f);
	stack_free(s);
}

static const struct finding *find(const struct findings *f, const char *id)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->at[i].id, id) == 0)
			return &f->at[i];
	return NULL;
}

START_TEST(row)
{
	struct findings f;

	findings_init(&f);
	judge(&f, &rows[_i].text, 1);
	if (!rows[_i].id) {
		for (size_t i = 0; i < f.n; i++)
			ck_assert_msg(
				f.at[i].severity == SEVERITY_NOTE, "%s: %s", f.at[i].id, f.at[i].text.p);
	} else {
		const struct finding *one = find(&f, rows[_i].id);
		struct text all;
		text_init(&all, 1 << 20);
		findings_print(&f, &all);
		ck_assert_msg(
			one != NULL, "%s is not found in:\n%s\n%s", rows[_i].id, rows[_i].text, text_z(&all));
		ck_assert_msg(one->line == rows[_i].line, "%s: line %u, not %u", rows[_i].id, one->line,
			rows[_i].line);
		ck_assert_msg(!rows[_i].word || strstr(one->text.p, rows[_i].word) ||
				      strstr(one->remedy.p, rows[_i].word),
			"%s; %s", one->text.p, one->remedy.p);
		text_release(&all);
	}
	findings_release(&f);
}
END_TEST

/* What looks near to a finding, and is none: the id must not be there. */
static const struct {
	const char *text, *not ;
} quiet[] = {
	{ SERVICES CALLS("q@127.0.4.1:8080") "    extra_hosts: ['q:127.0.4.1']\n" Q, "extra-hosts-missing" },
	{ SERVICES CALLS("q@127.0.4.1:8080") "    extra_hosts: ['q:127.0.4.1']\n" Q, "extra-hosts-stray" },
	{ SERVICES CALLS("q@127.0.4.1:8080") "    extra_hosts: ['q:127.0.4.2']\n" Q, "extra-hosts-stray" },
	{ SERVICES CALLS("q:9001") Q, "extra-hosts-missing" },
	{ SERVICES CALLS("tasks-db:9001") "  x:\n    networks: {default: {aliases: [tasks-db]}}\n",
		"unknown-upstream" },
	{ SERVICES CALLS("q.shop:9001") Q, "unknown-upstream" },
	{ SERVICES CALLS("z:9001") "      OUTRIDER_UPSTREAM_Z_ENDPOINTS: 10.0.0.1:80\n", "unknown-upstream" },
	{ SERVICES GOOD "    ports: ['80:4143']\n", "published-bypass" },
	{ SERVICES "  a:\n    ports: ['80:1/udp']\n  b:\n    ports: ['80:1']\n", "published-twice" },
	{ SERVICES GOOD "      #\n"
			"    labels: {outrider.enable: 'false', outrider.nonsense: 1}\n",
		"option" },
	{ SERVICES "  a:\n    environment: {OUTRIDER_PORT: 1, OUTRIDER_SERVICE: '{{.Service.Name}}'}\n",
		"option" },
	{ SERVICES "  a:\n    image: x:${TAG} $$HOME ${EMPTY-d} ${NO:-d} ${NO-}\n", "variable-unset" },
	{ SERVICES "  a:\n    image: x:${TAG} $$HOME ${EMPTY-d} ${NO:-d} ${NO-}\n", "interpolation" },
	{ SERVICES "  a:\n    entrypoint: [/outrider, exec, --admin.token-file=/run/secrets/t]\n    secrets: "
		   "[t]\n",
		"secret-file" },
	{ SERVICES "  a:\n    entrypoint: [/outrider, exec, --admin.token-file=/no/such]\n", "option" },
	{ SERVICES "  a:\n    image: x\n    deploy:\n      labels: {traefik.enable: 'true'}\n",
		"deploy-labels" },
};

START_TEST(no_row)
{
	struct findings f;

	findings_init(&f);
	judge(&f, &quiet[_i].text, 1);
	const struct finding *one = find(&f, quiet[_i].not );
	ck_assert_msg(one == NULL, "%s", one ? one->text.p : "");
	findings_release(&f);
}
END_TEST

START_TEST(two_files_are_one)
{
	const char *texts[] = {
		SERVICES CALLS("q:9001") "    networks: [n]\nnetworks: {n: {name: real, external: true}}\n",
		SERVICES "  q:\n    networks: [m]\nnetworks: {m: {name: real}}\n"
	};
	const char *apart[] = { SERVICES CALLS("q:9001"), SERVICES Q };
	const char *agents[] = { AGENT(AGENT_CAPS, AGENT_ROOT, AGENT_STOP, AGENT_NET, AGENT_VOLUMES,
					 AGENT_DEPLOY),
		SERVICES GOOD };
	struct findings f;

	findings_init(&f);
	judge(&f, texts, 2);
	ck_assert_ptr_null(find(&f, "unknown-upstream"));
	ck_assert_ptr_null(find(&f, "other-stack"));
	ck_assert_ptr_null(find(&f, "no-common-network"));
	findings_release(&f);

	findings_init(&f);
	judge(&f, apart, 2);
	ck_assert_ptr_nonnull(find(&f, "other-stack"));
	findings_release(&f);

	findings_init(&f);
	judge(&f, agents, 2);
	ck_assert_uint_eq(f.n, 0);
	agents[1] = agents[0];
	judge(&f, agents, 2);
	ck_assert_ptr_nonnull(find(&f, "agent-twice"));
	ck_assert_str_eq(find(&f, "agent-twice")->file.p, "two.yml");
	findings_release(&f);
}
END_TEST

/* --- YAML ---------------------------------------------------------------------------------------------------------- */

static void ignore(void *arg, enum yaml_remark what, uint32_t line, struct str detail)
{
	(void)what;
	(void)line;
	(void)detail;
	(*(unsigned *)arg)++;
}

START_TEST(values_are_interpolated_and_merged)
{
	struct arena a;
	struct err err = { "" };
	unsigned remarks = 0;
	arena_init(&a, 1 << 20, NULL, 0);
	const struct node *root = stack_yaml(&a,
		STR("x: &x {k: 1, l: 2}\n"
		    "y: &y {k: 3, m: \"${TAG}-${NO:-a}-${EMPTY-b}-${EMPTY:-c}-$$TAG-$TAG\"}\n"
		    "z:\n  <<: [*x, *y]\n  l: 4\n"),
		env, ignore, &remarks, &err);
	ck_assert_msg(root != NULL, "%s", err.text);
	const struct node *z = node_get(root, STR("z"));
	ck_assert_uint_eq(z->n, 3);
	ck_assert(str_eq(node_value(z, STR("k")), STR("1")));
	ck_assert(str_eq(node_value(z, STR("l")), STR("4")));
	ck_assert(str_eq(node_value(z, STR("m")), STR("7-a--c-$TAG-7")));
	ck_assert_uint_eq(remarks, 0);
	ck_assert_uint_eq(node_item(z, STR("l"))->line, 5);
	ck_assert_uint_eq(node_item(z, STR("m"))->line, 2);
	arena_release(&a);
}
END_TEST

/* Each line names its double twice: by copying it would be 2^40 nodes. */
START_TEST(aliases_do_not_grow)
{
	struct text t;
	struct arena a;
	struct err err = { "" };
	unsigned remarks = 0;

	text_init(&t, 1 << 20);
	text_addz(&t, "a0: &a0 [x]\n");
	for (int i = 1; i <= 40; i++)
		text_fmt(&t, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
	arena_init(&a, 1 << 20, NULL, 0);
	ck_assert_msg(stack_yaml(&a, text_str(&t), env, ignore, &remarks, &err) != NULL, "%s", err.text);
	arena_reset(&a);
	text_clear(&t);
	for (int i = 0; i < 100; i++) /* too deep, and an end that never comes */
		text_char(&t, '[');
	ck_assert_ptr_null(stack_yaml(&a, text_str(&t), env, ignore, &remarks, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "nested"));
	text_clear(&t);
	/* `<<` copies items: the number of nodes bounds it. */
	text_addz(&t, "m0: &m0 {");
	for (int i = 0; i < 1000; i++)
		text_fmt(&t, "k%d: 1,", i);
	text_addz(&t, "}\n");
	for (int i = 1; i < 1000; i++)
		text_fmt(&t, "m%d: &m%d {<<: *m%d, n%d: 1}\n", i, i, i - 1, i);
	arena_release(&a);
	arena_init(&a, 64 << 20, NULL, 0);
	ck_assert_ptr_null(stack_yaml(&a, text_str(&t), env, ignore, &remarks, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "more than"));
	text_release(&t);
	arena_release(&a);
}
END_TEST

/* Whichever allocation fails: it is said, and nothing is lost or used after. */
START_TEST(short_memory_is_said)
{
	const char *text = AGENT(AGENT_CAPS, "", AGENT_STOP, AGENT_NET, AGENT_VOLUMES, AGENT_DEPLOY);
	bool good = false;

	for (unsigned long k = 1; k < 5000 && !good; k++) {
		struct findings f;
		mem_fail_at(k);
		findings_init(&f);
		struct stack *s = stack_new(&f, env);
		good = s && stack_add(s, "one.yml", str_of(text)) && stack_judge(s) &&
		       find(&f, "yaml") == NULL;
		findings_sort(&f);
		good = good && !f.failed;
		mem_fail_at(0);
		ck_assert(!good || find(&f, "agent-read-only") != NULL);
		stack_free(s);
		findings_release(&f);
	}
	ck_assert(good);
}
END_TEST

Suite *suite_stack(void)
{
	Suite *s = suite_create("stack");
	TCase *c = tcase_create("findings");

	tcase_add_loop_test(c, row, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_loop_test(c, no_row, 0, sizeof(quiet) / sizeof(quiet[0]));
	tcase_add_test(c, two_files_are_one);
	tcase_add_test(c, short_memory_is_said);
	suite_add_tcase(s, c);
	c = tcase_create("yaml");
	tcase_add_test(c, values_are_interpolated_and_merged);
	tcase_add_test(c, aliases_do_not_grow);
	suite_add_tcase(s, c);
	return s;
}
