#include "control/completion.h"

#include "control/admin.h"

/* --- the tables as lists of words ---------------------------------------------------------------------------------------- */

void completion_values(struct text *t, const struct option_row *row)
{
	struct str words = str_of(row->unit), word;
	size_t from = t->n;

	if (row->type == OPTION_BOOL)
		words = STR("on|off");
	else if (row->type != OPTION_CHOICE)
		words = STR("");
	while (str_next(&words, '|', &word)) {
		text_addz(t, t->n > from ? " " : "");
		text_add(t, word);
	}
	if (row->flags & OPTION_OFF && row->type != OPTION_BOOL && row->type != OPTION_CHOICE)
		text_addz(t, t->n > from ? " off" : "off");
	if (row->flags & OPTION_AUTO)
		text_addz(t, t->n > from ? " auto" : "auto");
}

static bool in_scope(const struct option_row *row, int scope)
{
	/* Without a subject: of the process and the sidecar, and those of upstreams in their short form. */
	return scope < 0              ? row->scope != SCOPE_ROUTE && !(row->flags & OPTION_NODEFAULT)
	       : scope == SCOPE_ROUTE ? row->scope == SCOPE_ROUTE || row->flags & OPTION_BY_ROUTE
				      : row->scope == scope;
}

static void add_options(struct text *t, int scope, const char *before)
{
	for (unsigned i = 0; i < OPT_COUNT; i++) {
		const struct option_row *row = option_row((enum option_id)i);
		if (in_scope(row, scope))
			text_fmt(t, "%s%s= ", before, row->name);
	}
}

static void add_pages(struct text *t)
{
	size_t n;
	const struct admin_route *rows = admin_routes(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].method, "GET") == 0 && !strchr(rows[i].path, '*'))
			text_fmt(t, "%s ", rows[i].path);
}

static void add_words(struct text *t, const struct help_program *p, const char *words)
{
	struct str list = str_of(words ? words : ""), word;

	while (str_next(&list, ' ', &word)) {
		if (str_eq(word, STR("@pages"))) {
			add_pages(t);
		} else if (str_eq(word, STR("@commands"))) {
			for (size_t i = 0; i < p->n; i++)
				text_fmt(t, "%s ", p->commands[i].name);
		} else if (word.n) {
			text_fmt(t, "%.*s ", STR_ARG(word));
		}
	}
}

/* "--scope=sidecar|node": its name, and its values ("": open, or none). false: it has no value at all. */
static bool split_flag(struct str flag, struct str *name, struct str *values)
{
	size_t at = str_find(flag, '=');

	*name = at == SIZE_MAX ? flag : str_make(flag.p, at);
	*values = at == SIZE_MAX ? STR("") : str_make(flag.p + at + 1, flag.n - at - 1);
	return at != SIZE_MAX;
}

static void add_flags(struct text *t, const struct help_command *c)
{
	struct str list = str_of(c->flags ? c->flags : ""), flag, name, values;

	text_addz(t, "--help ");
	while (str_next(&list, ' ', &flag)) {
		bool valued = split_flag(flag, &name, &values);
		if (flag.n)
			text_fmt(t, "%.*s%s ", STR_ARG(name), valued ? "=" : "");
	}
	if (c->takes == TAKES_ADMIN || c->takes == TAKES_SIDECAR)
		text_addz(t, "--admin= ");
	if (c->takes == TAKES_SIDECAR)
		text_addz(t, "--service= ");
}

/* `a|b` as `a b`. */
static void add_values(struct text *t, struct str values)
{
	for (size_t i = 0; i < values.n; i++)
		text_char(t, values.p[i] == '|' ? ' ' : values.p[i]);
}

/* --- bash and zsh: the same cases ------------------------------------------------------------------------------------------ */

static void add_cases(struct text *t, const struct help_program *p)
{
	text_addz(t, "\tcase $cmd in\n");
	for (size_t i = 0; i < p->n; i++) {
		const struct help_command *c = &p->commands[i];
		text_fmt(t, "\t%s)\n\t\tflags='", c->name);
		add_flags(t, c);
		text_addz(t, "' list='");
		add_words(t, p, c->words);
		text_fmt(t, "' takes=%d files=%d\n\t\t;;\n", c->takes == TAKES_OPTIONS, c->files);
	}
	text_addz(t, "\tesac\n");
}

/* Flags of a command stand before options of the same name: a command's --mode is its own. */
static void add_value_cases(struct text *t, const struct help_program *p)
{
	struct text values;

	text_init(&values, 4096);
	text_addz(t, "\tcase $cmd:$flag in\n");
	for (size_t i = 0; i < p->n; i++) {
		struct str list = str_of(p->commands[i].flags ? p->commands[i].flags : ""), flag, name, words;
		while (str_next(&list, ' ', &flag)) {
			if (!split_flag(flag, &name, &words) || !words.n)
				continue;
			text_fmt(t, "\t%s:%.*s) values='", p->commands[i].name, STR_ARG(name));
			add_values(t, words);
			text_addz(t, "' ;;\n");
		}
	}
	for (unsigned i = 0; i < OPT_COUNT; i++) {
		const struct option_row *row = option_row((enum option_id)i);
		text_clear(&values);
		completion_values(&values, row);
		if (values.n)
			text_fmt(t, "\t*:--%s) values='%s' ;;\n", row->name, text_z(&values));
	}
	text_addz(t, "\tesac\n");
	text_release(&values);
}

static void add_option_lists(struct text *t)
{
	text_addz(t, "\tlocal all_options='");
	add_options(t, -1, "--");
	text_addz(t, "'\n\tlocal of_upstream='");
	add_options(t, SCOPE_UPSTREAM, "");
	text_addz(t, "'\n\tlocal of_route='");
	add_options(t, SCOPE_ROUTE, "");
	text_addz(t, "'\n");
}

static const char bash_head[] = "# bash completion of outrider; made by: outrider help --completion bash\n"
				"_outrider() {\n"
				"\tlocal cur=${COMP_WORDS[COMP_CWORD]} cmd=${COMP_WORDS[1]} flag= whole= "
				"flags= list= takes=0 files=0 values= of= i\n"
				"\tCOMPREPLY=()\n";

/* `=` breaks words in bash unless somebody took it out of COMP_WORDBREAKS: both are served. */
static const char bash_tail[] =
	"\tif (( COMP_CWORD == 1 )); then\n"
	"\t\tCOMPREPLY=($(compgen -W \"$all_commands\" -- \"$cur\"))\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tfor (( i = 2; i < COMP_CWORD; i++ )); do # behind -- another program's arguments begin\n"
	"\t\tif [[ ${COMP_WORDS[i]} == -- ]]; then\n"
	"\t\t\tcompopt -o default 2>/dev/null\n"
	"\t\t\treturn\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tif [[ $cur == = && ${COMP_WORDS[COMP_CWORD - 1]} == --* ]]; then\n"
	"\t\tflag=${COMP_WORDS[COMP_CWORD - 1]} cur=\n"
	"\telif [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then\n"
	"\t\tflag=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"\telif [[ $cur == --*=* ]]; then\n"
	"\t\tflag=${cur%%=*} whole=$flag= cur=${cur#*=}\n"
	"\tfi\n"
	"\tcase $flag in\n"
	"\t--upstream.*.*) flag=--${flag#--upstream.*.} ;;\n"
	"\t--route.*.*) flag=--${flag#--route.*.} ;;\n"
	"\tesac\n"
	"\tif [[ $flag ]]; then\n"
	"\t\t_outrider_values\n"
	"\t\tCOMPREPLY=($(compgen -P \"$whole\" -W \"$values\" -- \"$cur\"))\n"
	"\t\t[[ $values ]] || compopt -o default 2>/dev/null\n"
	"\t\treturn\n"
	"\tfi\n"
	"\t(( takes )) && flags+=$all_options\n"
	"\tcase $cur in\n"
	"\t--upstream.*.*) (( takes )) && of=${cur#--upstream.*.} flags=$of_upstream ;;\n"
	"\t--route.*.*) (( takes )) && of=${cur#--route.*.} flags=$of_route ;;\n"
	"\tesac\n"
	"\tif [[ $cur == --upstream.*.* || $cur == --route.*.* ]]; then\n"
	"\t\tCOMPREPLY=($(compgen -P \"${cur%\"$of\"}\" -W \"$flags\" -- \"$of\"))\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\tCOMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))\n"
	"\telse\n"
	"\t\tCOMPREPLY=($(compgen -W \"$list\" -- \"$cur\"))\n"
	"\t\tif (( files )); then\n"
	"\t\t\tcompopt -o default 2>/dev/null\n"
	"\t\tfi\n"
	"\tfi\n"
	"\tif (( ${#COMPREPLY[@]} == 1 )) && [[ ${COMPREPLY[0]} == *= ]]; then\n"
	"\t\tcompopt -o nospace 2>/dev/null\n"
	"\tfi\n"
	"}\n"
	"complete -F _outrider outrider\n";

static void add_bash(struct text *t, const struct help_program *p)
{
	text_addz(t, "# values of $flag of $cmd, into $values of the caller\n_outrider_values() {\n");
	add_value_cases(t, p);
	text_addz(t, "}\n");
	text_addz(t, bash_head);
	text_addz(t, "\tlocal all_commands='");
	add_words(t, p, "@commands");
	text_addz(t, "'\n");
	add_option_lists(t);
	add_cases(t, p);
	text_addz(t, bash_tail);
}

static const char zsh_tail[] =
	"\tif (( CURRENT == 2 )); then\n"
	"\t\t_describe -t commands 'outrider command' all_commands\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tif (( ${words[(I)--]} > 1 && ${words[(I)--]} < CURRENT )); then\n"
	"\t\t_default\n"
	"\t\treturn\n"
	"\tfi\n"
	"\t(( takes )) && flags+=$all_options\n"
	"\tif [[ $PREFIX == --*=* ]]; then\n"
	"\t\tflag=${PREFIX%%=*}\n"
	"\t\tcase $flag in\n"
	"\t\t--upstream.*.*) flag=--${flag#--upstream.*.} ;;\n"
	"\t\t--route.*.*) flag=--${flag#--route.*.} ;;\n"
	"\t\tesac\n"
	"\t\t_outrider_values\n"
	"\t\tcompset -P '*='\n"
	"\t\tif [[ -n $values ]]; then compadd -- ${=values}; else _default; fi\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tif [[ $PREFIX == --upstream.*.* ]]; then\n"
	"\t\tcompset -P 2 '*.' && flags=$of_upstream\n"
	"\telif [[ $PREFIX == --route.*.* ]]; then\n"
	"\t\tcompset -P 2 '*.' && flags=$of_route\n"
	"\telif [[ $PREFIX != -* ]]; then\n"
	"\t\t[[ -n $list ]] && compadd -- ${=list}\n"
	"\t\t(( files )) && _files\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tcompadd -S '' -- ${(M)${=flags}:#*=}\n"
	"\tcompadd -- ${${=flags}:#*=}\n"
	"}\n"
	"if [[ ${funcstack[1]} == _outrider ]]; then _outrider \"$@\"; else compdef _outrider outrider; fi\n";

/* A sentence within single quotes; `:` parts it from the word before. */
static void add_quoted(struct text *t, const char *z, char parts)
{
	for (; *z; z++) {
		if (*z == '\'')
			text_addz(t, "'\\''");
		else if (parts && *z == parts)
			text_fmt(t, "\\%c", parts);
		else
			text_char(t, *z);
	}
}

static void add_zsh(struct text *t, const struct help_program *p)
{
	text_addz(t, "#compdef outrider\n# zsh completion of outrider; made by: outrider help --completion "
		     "zsh\n_outrider_values() {\n");
	add_value_cases(t, p);
	text_addz(t, "}\n_outrider() {\n\tlocal cmd=$words[2] flag= flags= list= takes=0 files=0 "
		     "values=\n\tlocal -a all_commands\n\tall_commands=(\n");
	for (size_t i = 0; i < p->n; i++) {
		text_fmt(t, "\t\t'%s:", p->commands[i].name);
		add_quoted(t, p->commands[i].sentence, ':');
		text_addz(t, "'\n");
	}
	text_addz(t, "\t)\n");
	add_option_lists(t);
	add_cases(t, p);
	text_addz(t, zsh_tail);
}

/* --- fish ------------------------------------------------------------------------------------------------------------------ */

static void fish_flag(struct text *t, const char *commands, struct str name, bool valued, const char *values,
	const char *says)
{
	text_fmt(t, "complete -c outrider -n '__fish_seen_subcommand_from %s' -l %.*s", commands,
		STR_ARG(name));
	if (valued)
		text_fmt(t, values[0] ? " -x -a '%s'" : " -r", values);
	if (says[0]) {
		text_addz(t, " -d '");
		for (size_t n = 0;
			says[n] && n < 100 && !(says[n] == '.' && (says[n + 1] == ' ' || !says[n + 1]));
			n++) {
			char z[2] = { says[n], '\0' };
			text_addz(t, z[0] == '\'' ? "\\'" : z[0] == '\\' ? "\\\\" : z);
		}
		text_char(t, '\'');
	}
	text_char(t, '\n');
}

static void fish_command(struct text *t, const struct help_program *p, const struct help_command *c)
{
	struct str list = str_of(c->flags ? c->flags : ""), flag, name, words;
	struct text values;

	text_fmt(t, "complete -c outrider -n __fish_use_subcommand -a %s -d '", c->name);
	add_quoted(t, c->sentence, '\0');
	text_addz(t, "'\n");
	text_init(&values, 8192);
	add_words(&values, p, c->words);
	if (values.n)
		text_fmt(t, "complete -c outrider -n '__fish_seen_subcommand_from %s' -a '%s'\n", c->name,
			text_z(&values));
	if (c->files)
		text_fmt(t, "complete -c outrider -n '__fish_seen_subcommand_from %s' -F\n", c->name);
	fish_flag(t, c->name, STR("help"), false, "", "");
	while (str_next(&list, ' ', &flag)) {
		if (flag.n < 3)
			continue;
		bool valued = split_flag(flag, &name, &words);
		text_clear(&values);
		add_values(&values, words);
		fish_flag(t, c->name, str_make(name.p + 2, name.n - 2), valued, text_z(&values), "");
	}
	if (c->takes == TAKES_ADMIN || c->takes == TAKES_SIDECAR)
		fish_flag(t, c->name, STR("admin"), true, "", option_row(OPT_ADMIN)->help);
	if (c->takes == TAKES_SIDECAR)
		fish_flag(t, c->name, STR("service"), true, "", "of which sidecar");
	text_release(&values);
}

static void add_fish(struct text *t, const struct help_program *p)
{
	struct text commands, values;

	text_addz(t, "# fish completion of outrider; made by: outrider help --completion fish\ncomplete -c "
		     "outrider -f\n");
	text_init(&commands, 1024);
	text_init(&values, 4096);
	for (size_t i = 0; i < p->n; i++) {
		fish_command(t, p, &p->commands[i]);
		if (p->commands[i].takes == TAKES_OPTIONS)
			text_fmt(&commands, "%s%s", commands.n ? " " : "", p->commands[i].name);
	}
	for (unsigned i = 0; i < OPT_COUNT; i++) {
		const struct option_row *row = option_row((enum option_id)i);
		if (!in_scope(row, -1))
			continue;
		text_clear(&values);
		completion_values(&values, row);
		fish_flag(t, text_z(&commands), str_of(row->name), true, text_z(&values), row->help);
	}
	text_release(&commands);
	text_release(&values);
}

bool completion_script(struct text *t, const struct help_program *p, struct str shell)
{
	static const struct {
		const char *shell;
		void (*add)(struct text *t, const struct help_program *p);
	} rows[] = { { "bash", add_bash }, { "zsh", add_zsh }, { "fish", add_fish } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!str_eq(shell, str_of(rows[i].shell)))
			continue;
		rows[i].add(t, p);
		return true;
	}
	return false;
}
