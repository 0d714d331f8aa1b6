/* `outrider check`: judges options, configuration and stack files without serving.
 *
 *     outrider check [sidecar|exec|edge] [--json] [--strict] [--online] [--option=value]... [DIRECTORY | STACK.yml | -]...
 *
 *     no path       environment and flags, and what the local sources of outrider.config say (with --online the others too)
 *     DIRECTORY     laid out as a Spring config repository: every service and profile in it
 *     STACK.yml, -  stack files (control/stack.h), judged together; `-` is standard input
 *
 * Findings and the summary go to stdout, what is wrong with environment and flags to stderr; with --json all of it is one
 * object on stdout. Nothing is asked over a network without --online. Bounds: CHECK_PATHS_MAX paths, CHECK_PAIRS_MAX
 * services × profiles of a directory, CHECK_WAIT for each. */
#ifndef OUTRIDER_CONTROL_CHECK_H
#define OUTRIDER_CONTROL_CHECK_H

#include "control/findings.h"
#include "control/options.h"

#define CHECK_PATHS_MAX 64u
#define CHECK_PAIRS_MAX 4096u
#define CHECK_WAIT (30 * USEC_SEC) /* for a directory to be read */

/* 0 good; 1 files have errors (with --strict warnings too), or could not be judged; 2 environment or flags are wrong, or the
 * usage is. */
int command_check(int argc, char **argv);

/* --- between check.c and check_config.c ------------------------------------------------------------------------------ */

struct check {
	struct findings found;
	enum command command;
	char **flags; /* of the command line, without the paths */
	int n_flags;
	char *const *environ_;
	const struct options *base; /* flags and environment alone, judged */
	bool online;
	size_t services, profiles; /* that were judged */
};

/* Both: false and err: no memory, or the like; what is wrong with the configuration is a finding. */
bool check_directory(struct check *c, const char *dir, struct err *err) MUST_CHECK;
bool check_chain(struct check *c, struct err *err) MUST_CHECK; /* outrider.config of c->base */

#endif
