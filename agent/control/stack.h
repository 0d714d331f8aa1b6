/* Judges stack files (`docker stack deploy`), several of them together: pure, bytes in, findings out.
 *
 *     struct stack *s = stack_new(&findings, environ);
 *     if (!stack_add(s, "shop.yml", bytes) || !stack_judge(s)) …no memory…
 *     n = stack_services(s);
 *     stack_free(s);
 *
 * A service may stand to the agent in these ways (enum stack_role): it has a sidecar in node mode (OUTRIDER_PORT or the labels
 * outrider.port, outrider.enable=true), it runs `outrider exec|sidecar|edge` itself, it is the agent (`outrider node`), or none
 * of them. What only the image knows, the service says: `x-outrider: exec|sidecar|edge|node|off`.
 * Options are read as the agent would read them, with its rights; nothing is opened, neither env_file nor secrets.
 * What is found has its row in stack_rules.def. Bounds: STACK_FILES_MAX, STACK_SERVICES_MAX, those of stack_yaml.h.
 * Thread: its owner's. */
#ifndef OUTRIDER_CONTROL_STACK_H
#define OUTRIDER_CONTROL_STACK_H

#include "control/findings.h"

#define STACK_FILES_MAX 64u
#define STACK_SERVICES_MAX 512u /* of all files */

struct stack;

struct stack *stack_new(
	struct findings *out, char *const *environ_) MUST_CHECK; /* borrows both; NULL: no memory */
void stack_free(struct stack *s);                                /* NULL is fine */
/* What is wrong with the file itself is a finding. name is copied, bytes are read during the call. false: no memory. */
bool stack_add(struct stack *s, const char *name, struct str bytes) MUST_CHECK;
/* Call once, after all files were added. false: no memory. */
bool stack_judge(struct stack *s) MUST_CHECK;
size_t stack_services(
	const struct stack *s); /* that were judged: those that stand to the agent in some way */

#endif
