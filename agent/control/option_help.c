/* The table of options as a page: `outrider help options` and docs/options.md. */
#include "control/option_key.h"

#include "control/help_tables.h"
#include "control/option_value.h"

static const struct {
	const char *title, *intro;
} sections[] = {
	[SCOPE_PROCESS] = { "The process", "Said once for the whole agent." },
	[SCOPE_SIDECAR] = { "A sidecar", "Said of the service beside which the agent stands, or of the edge." },
	[SCOPE_UPSTREAM] = { "An upstream",
			     "Said of one service that is called: outrider.upstream.<service>.<option>. What is not said "
			     "falls back to outrider.upstream.default.<option>, for which outrider.<option> is short "
			     "unless that is an option of its own (port, mode)." },
	[SCOPE_ROUTE] = { "A route of the edge", "Said of one route: outrider.route.<name>.<option>." },
};

static const char *const who_words[] = { "the agent's flags and environment", "the agent and its configuration sources",
					 "everybody, containers included" };

static const char intro[] =
	"A key has one name in all forms: property or container label `outrider.limit.head` = environment "
	"`OUTRIDER_LIMIT_HEAD` = flag `--limit.head`. Of several layers the strongest wins: flag, environment, built-in "
	"default; `outrider config` shows every value with its origin. In the name of an environment variable `-`, `_` and "
	"`.` are equal, the longest known option at its end wins, and the rest is the service or route: "
	"`OUTRIDER_UPSTREAM_QUOTES_SERVICE_TIMEOUT_CONNECT` is `timeout.connect` of `quotes-service`. An unknown key or a "
	"bad value stops the program at start. A secret can be given as a file: `OUTRIDER_ADMIN_TOKEN_FILE`.";

/* "outrider.", "upstream.<service>." … before the row's own name, in the three forms. */
static void put_forms(struct text *t, const struct option_row *row, bool markdown)
{
	const char *middle = row->scope == SCOPE_UPSTREAM ? "upstream.<service>." :
			     row->scope == SCOPE_ROUTE	  ? "route.<name>." :
							    "";
	const char *tick = markdown ? "`" : "";
	struct text full;

	text_init(&full, 2 * OPTIONS_KEY_MAX);
	text_fmt(&full, "%s%s", middle, row->name);
	text_addz(t, tick);
	key_env(t, text_str(&full));
	text_fmt(t, "%s, %s--%s%s", tick, tick, text_z(&full), tick);
	text_release(&full);
}

/* Angle brackets mean something in markdown outside of ticks. */
static void put_prose(struct text *t, const char *z, bool markdown)
{
	bool code = false;

	for (; *z; z++) {
		code = code != (*z == '`');
		if (*z == '<' && markdown && !code)
			text_addz(t, "&lt;");
		else if (*z == '*' && markdown && !code)
			text_addz(t, "\\*");
		else
			text_char(t, *z);
	}
}

static void put_paragraph(struct text *t, const char *z, bool markdown, unsigned indent)
{
	struct text p;

	text_init(&p, 8192);
	put_prose(&p, z, markdown);
	help_wrap(t, text_str(&p), indent, 110);
	text_release(&p);
}

static void put_facts(struct text *t, const struct option_row *row)
{
	text_addz(t, "Accepts ");
	option_value_accepts(row, t);
	text_fmt(t, "; unit: %s; set by %s; %s%s", row->unit, who_words[row->who],
		 row->change == CHANGE_LIVE ? "reloadable" : "needs a restart",
		 row->flags & OPTION_BY_ROUTE ? "; also of a route" :
		 row->flags & OPTION_SECURITY ? "; security: fails closed" : "");
}

static void put_row(struct text *t, const struct option_row *row, bool markdown)
{
	const char *middle = row->scope == SCOPE_UPSTREAM ? "upstream.<service>." :
			     row->scope == SCOPE_ROUTE	  ? "route.<name>." :
							    "";
	struct text facts;

	text_fmt(t, markdown ? "### `outrider.%s%s`\n\n" : "  outrider.%s%s\n", middle, row->name);
	text_addz(t, markdown ? "" : "      ");
	put_forms(t, row, markdown);
	text_addz(t, markdown ? "  \n" : "\n      ");
	if (row->def[0])
		text_fmt(t, markdown ? "Default: `%s`  \n" : "default: %s\n", row->def);
	else
		text_addz(t, markdown ? "Default: none  \n" : "default: none\n");
	text_init(&facts, 4096);
	put_facts(&facts, row);
	put_paragraph(t, text_z(&facts), markdown, markdown ? 0 : 6);
	text_release(&facts);
	if (markdown)
		text_char(t, '\n');
	put_paragraph(t, row->help, markdown, markdown ? 0 : 6);
	text_char(t, '\n');
}

void options_help_text(struct text *t, bool markdown)
{
	if (markdown)
		text_addz(t, "# Options\n\nMade from `agent/options.def` by `make docs`; do not edit.\n\n");
	put_paragraph(t, intro, markdown, 0);
	text_char(t, '\n');
	for (unsigned s = 0; s < sizeof(sections) / sizeof(sections[0]); s++) {
		text_fmt(t, markdown ? "## %s\n\n" : "%s\n\n", sections[s].title);
		put_paragraph(t, sections[s].intro, markdown, 0);
		text_char(t, '\n');
		for (unsigned i = 0; i < OPT_COUNT; i++)
			if (option_row((enum option_id)i)->scope == s)
				put_row(t, option_row((enum option_id)i), markdown);
	}
}
