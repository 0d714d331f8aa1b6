/* What the files of the stack checker share: private to stack*.c.
 *
 *     stack.c          files, services, roles            stack_wiring.c   extra_hosts, proxy variables, stopping
 *     stack_read.c     compose's many spellings          stack_network.c  upstreams, networks, ports
 *     stack_options.c  options as the agent reads them   stack_agent.c    the agent's own service */
#ifndef OUTRIDER_CONTROL_STACK_INT_H
#define OUTRIDER_CONTROL_STACK_INT_H

#include "control/options.h"
#include "control/stack.h"
#include "control/stack_yaml.h"

enum rule {
#define RULE(id, name, severity, remedy) RULE_##id,
#include "control/stack_rules.def"
#undef RULE
	RULES
};

enum stack_role { ROLE_NONE, ROLE_NODE_SIDECAR, ROLE_EXEC, ROLE_SIDECAR, ROLE_EDGE, ROLE_AGENT };

struct pair { /* an item of environment, labels, extra_hosts */
	struct str key, value;
	uint32_t line;
};

struct pairs {
	const struct pair *at;
	size_t n;
};

struct stack_file {
	const char *name;
	size_t number;
	const struct node *root;
	struct stack *stack;
};

struct stack_service {
	const struct stack_file *file;
	struct str name;     /* in the file */
	struct str known_as; /* OUTRIDER_SERVICE, else name */
	uint32_t line;
	const struct node *node;
	enum stack_role role;
	struct pairs env, labels, deploy_labels, hosts;
	const struct node *command; /* whose words say the role; may be NULL */
	struct options *o;          /* owned; judged; NULL for ROLE_NONE */
};

struct stack {
	struct arena arena;
	struct findings *out;
	char *const *env;
	struct stack_file files[STACK_FILES_MAX];
	size_t n_files;
	struct stack_service at[STACK_SERVICES_MAX];
	size_t n;
};

/* --- stack.c --------------------------------------------------------------------------------------------------------- */

void stack_say_file(struct stack *s, const struct stack_file *f, enum rule rule, uint32_t line,
	const char *fmt, ...) PRINTF_LIKE(5, 6);
void stack_say(struct stack *s, const struct stack_service *v, enum rule rule, uint32_t line, const char *fmt,
	...) PRINTF_LIKE(5, 6);

/* --- stack_read.c ---------------------------------------------------------------------------------------------------- */

/* The items of a map, or of a list of "key<sep>value". An item without a value takes it from the environment of the check
 * where `from_env`, and is left out when it is not there. false: no memory. */
bool stack_pairs(struct stack *s, const struct stack_service *v, const struct node *n, const char *what,
	char sep, bool from_env, struct pairs *ret) MUST_CHECK;
const struct pair *pairs_find(const struct pairs *p, struct str key); /* the last of that key; NULL: none */
/* The words of a command, of a text or a list; at most max are filled in, the count of those is returned. */
size_t stack_words(const struct node *n, struct str *words, size_t max);
/* The line of map.key; else that of the service. */
uint32_t stack_line(const struct stack_service *v, const struct node *map, struct str key);
/* Go's durations, as Docker reads them: "1m30s". */
bool stack_duration(struct str s, usec *ret);

struct stack_port { /* an item of ports or expose */
	uint16_t target, target_end;
	uint16_t published, published_end; /* 0: none */
	bool udp, host, exposed;           /* exposed: by `expose` */
	uint32_t line;
};
/* Calls fn for every port that can be read; others are a finding. */
void stack_ports(struct stack *s, const struct stack_service *v,
	void (*fn)(void *arg, const struct stack_port *p), void *arg);

struct stack_mount {
	struct str source, target, propagation;
	bool bind;
	uint32_t line;
};
/* The first mount whose source or target ends in `tail`; false: none. */
bool stack_mount(const struct stack_service *v, struct str tail, bool by_source, struct stack_mount *ret);

/* --- rules --------------------------------------------------------------------------------------------------------------- */

/* The role, v->known_as; remarks about labels nobody sees. */
void stack_find_role(struct stack *s, struct stack_service *v);
bool stack_read_options(struct stack *s, struct stack_service *v) MUST_CHECK; /* false: no memory */
void stack_check_network(struct stack *s, const struct stack_service *v);
void stack_check_ports(struct stack *s, const struct stack_service *v);
void stack_check_published(struct stack *s);
void stack_check_wiring(struct stack *s, const struct stack_service *v);
void stack_check_stop(struct stack *s, const struct stack_service *v);
void stack_check_agent(struct stack *s, const struct stack_service *v);
bool stack_on_host(const struct stack_service *v, uint32_t *ret_line); /* on the host's network? */
/* The services' network of the file has this real name. */
bool stack_joins(const struct stack_service *v, struct str real_name);

#endif
