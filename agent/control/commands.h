/* The commands that serve nothing: health, get and config (check: control/check.h). Each returns the exit status.
 *
 * argv is what stands behind the command's word. Output goes to stdout, problems to stderr. */
#ifndef OUTRIDER_CONTROL_COMMANDS_H
#define OUTRIDER_CONTROL_COMMANDS_H

#include "base/text.h"
#include "control/options.h"

#define HEALTH_LIMIT (1800 * USEC_MS) /* for the answer; below the 2 s that callers are promised */
#define GET_LIMIT (10 * USEC_SEC)

int command_health(int argc, char **argv); /* 0 healthy; 1 not, nobody answers, or asked wrongly */
int command_doctor(int argc, char **argv); /* a diagnosis by the running agent; 1 when a line says fail (doctor_command.c) */
int command_get(int argc, char **argv);    /* 0 status below 400, 1 else, or no answer; 2 usage */
int command_why(int argc, char **argv);    /* 0 found; 1 not, or no answer; 2 usage (why.c) */
int command_config(int argc, char **argv); /* 0; 2 options are wrong */

struct ask;
/* Asks the agent here: through @outrider, else at outrider.admin, only there when that was given as a flag. false: nobody answers, err says why. */
bool commands_ask(const struct options *o, struct ask *q, struct text *body, int *status, struct err *err) MUST_CHECK;

/* Reads environment and flags into new options, which the caller frees; *rest is the index of the first argument that
 * is no flag. NULL: memory is short, said on stderr. */
struct options *commands_read_options(int argc, char **argv, int *rest) MUST_CHECK;
/* NAME of --service=NAME among the arguments (the option of that name may also stand in the environment: that is another thing), or NULL. */
const char *commands_service_flag(int argc, char **argv);
/* Adds "/sidecars/NAME", with what could end a piece of a path (RFC 3986) percent-encoded: a name with '/' or '?' asks for itself, not for another page. */
void commands_sidecar_path(struct text *path, const char *service);
/* Takes a word that is no option of the agent out of argv; was it there? */
bool commands_take_word(int *argc, char **argv, const char *word);
/* options_check(), and every problem as a line on stderr. */
bool commands_check_options(struct options *o, enum command cmd) MUST_CHECK;

#endif
