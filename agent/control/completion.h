/* `outrider help --completion bash|zsh|fish` and `--man`: made from the tables of commands (main.c), options (options.def) and admin pages.
 *
 * What is a closed list completes: commands, their flags, words and pages, the values of switches and choices, the options of an
 * upstream or route behind its name (--upstream.quotes.<TAB>). Names of services do not: no agent is asked. Pure; any thread. */
#ifndef OUTRIDER_CONTROL_COMPLETION_H
#define OUTRIDER_CONTROL_COMPLETION_H

#include "base/text.h"
#include "control/options.h"

enum takes {
	TAKES_NOTHING,
	TAKES_ADMIN,   /* --admin */
	TAKES_SIDECAR, /* --admin and --service */
	TAKES_OPTIONS  /* all of options.def */
};

struct help_command {
	const char *name, *sentence, *usage, *help;
	const char *
		flags; /* its own: "--json --scope=sidecar|node|swarm --sort="; one that ends in '=' has an open value */
	const char *
		words; /* closed first arguments: "options reasons"; "@pages": of the admin port, "@commands" */
	enum takes takes;
	bool files; /* arguments may be files */
};

struct help_program {
	const struct help_command *commands;
	size_t n;
	const char *version;
};

/* false: no such shell. */
bool completion_script(struct text *t, const struct help_program *p, struct str shell);
void manual_page(struct text *t, const struct help_program *p); /* roff of man(7); manual.c */

/* The values of an option when they are a closed list, separated by blanks; else nothing. */
void completion_values(struct text *t, const struct option_row *row);

#endif
