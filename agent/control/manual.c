/* outrider(1), of the same texts as `outrider COMMAND --help`: prose is filled anew, flags become tagged paragraphs, examples stay. */
#include "control/completion.h"
#include "control/help_tables.h"

#define LINE_MAX_BYTES 4096u

/* Text that roff does not obey: no control line, no escape; a hyphen is the one that is typed. */
static void add_roff(struct text *t, struct str z)
{
	if (z.n && (z.p[0] == '.' || z.p[0] == '\''))
		text_addz(t, "\\&");
	for (size_t i = 0; i < z.n; i++) {
		char c = z.p[i];
		if (c == '\\')
			text_addz(t, "\\e");
		else if (c == '-')
			text_addz(t, "\\-");
		else if (c == '~')
			text_addz(t, "\\(ti");
		else if (c == '^')
			text_addz(t, "\\(ha");
		else if (c == '`')
			text_addz(t, "\\(ga");
		else
			text_char(t, c);
	}
}

static void add_line(struct text *t, struct str z)
{
	add_roff(t, z);
	text_char(t, '\n');
}

/* Long lines of prose are broken where sentences end, as roff wants it for their spacing. */
static void add_prose(struct text *t, struct str z)
{
	for (;;) {
		size_t i = 0;
		while (i + 2 < z.n && !((z.p[i] == '.' || z.p[i] == ';') && z.p[i + 1] == ' '))
			i++;
		if (i + 2 >= z.n)
			break;
		add_line(t, str_make(z.p, i + 1));
		z = str_trim(str_make(z.p + i + 2, z.n - i - 2));
	}
	if (z.n)
		add_line(t, z);
}

/* "--flag=VALUE   what it does" */
static void add_flag(struct text *t, struct str z)
{
	size_t i = 0;

	while (i + 1 < z.n && !(z.p[i] == ' ' && z.p[i + 1] == ' '))
		i++;
	bool says = i + 1 < z.n;
	text_addz(t, ".TP\n\\fB");
	add_roff(t, says ? str_make(z.p, i) : z);
	text_addz(t, "\\fP\n");
	if (says)
		add_prose(t, str_trim(str_make(z.p + i, z.n - i)));
}

struct page_state {
	bool example, verbatim, para_due;
};

static void end_verbatim(struct text *t, struct page_state *s)
{
	if (s->verbatim)
		text_addz(t, ".fi\n.RE\n");
	s->verbatim = false;
}

static void add_help_line(struct text *t, struct str line, struct page_state *s)
{
	static const struct str options = { "Options: --", 11 };
	struct str bare = str_trim(line);

	if (!bare.n) {
		end_verbatim(t, s);
		s->example = false;
		s->para_due = true;
		return;
	}
	if (line.p[0] != ' ') {
		end_verbatim(t, s);
		if (s->para_due)
			text_addz(t, ".PP\n");
		s->para_due = false;
		s->example = s->example || str_starts(line, STR("Example"));
		if (str_starts(line, options)) {
			text_addz(t, "Options:\n");
			add_flag(t, str_make(line.p + 9, line.n - 9));
			s->para_due = true;
		} else {
			add_prose(t, line);
		}
	} else if (!s->example && str_starts(bare, STR("--"))) {
		add_flag(t, bare);
		s->para_due = true;
	} else {
		if (!s->verbatim)
			text_addz(t, ".RS 4\n.nf\n");
		s->verbatim = true;
		add_line(t, bare);
	}
}

static void add_command(struct text *t, const struct help_command *c)
{
	struct str usage = str_of(c->usage), help = str_of(c->help), line;
	struct page_state s = { .para_due = true };

	text_addz(t, ".SS ");
	add_line(t, str_of(c->name));
	text_addz(t, ".nf\n");
	while (usage.n) {
		size_t at = str_find(usage, '\n');
		line = str_make(usage.p, at == SIZE_MAX ? usage.n : at);
		usage = at == SIZE_MAX ? STR("") : str_make(usage.p + at + 1, usage.n - at - 1);
		text_addz(t, "\\fB");
		add_roff(t, str_trim(line));
		text_addz(t, "\\fP\n");
	}
	text_addz(t, ".fi\n");
	while (help.n) { /* not str_next(): the blanks before a line say what it is */
		size_t at = str_find(help, '\n');
		line = str_make(help.p, at == SIZE_MAX ? help.n : at);
		help = at == SIZE_MAX ? STR("") : str_make(help.p + at + 1, help.n - at - 1);
		add_help_line(t, line, &s);
	}
	end_verbatim(t, &s);
}

static void add_options(struct text *t, enum option_scope scope, const char *middle)
{
	struct text values;

	text_init(&values, LINE_MAX_BYTES);
	for (unsigned i = 0; i < OPT_COUNT; i++) {
		const struct option_row *row = option_row((enum option_id)i);
		if (row->scope != scope)
			continue;
		text_addz(t, ".TP\n\\fB");
		add_roff(t, STR("--"));
		add_roff(t, str_of(middle));
		add_roff(t, str_of(row->name));
		text_addz(t, "\\fP=\\fI");
		text_clear(&values);
		completion_values(&values, row);
		for (size_t k = 0; k < values.n; k++)
			if (values.p[k] == ' ')
				values.p[k] = '|';
		add_roff(t, values.n && (row->type == OPTION_BOOL || row->type == OPTION_CHOICE) ? text_str(&values) : str_of(row->unit));
		text_addz(t, "\\fP\n");
		add_prose(t, str_of(row->help));
		text_addz(t, "Default: ");
		add_line(t, row->def[0] ? str_of(row->def) : STR("none"));
	}
	text_release(&values);
}

static const char about[] =
	"\\fBoutrider\\fP stands beside a service and carries its requests: it finds the instances of the services that are called,\n"
	"balances, retries, breaks circuits, measures and traces, and gives the service its configuration.\n"
	"One agent for each node of a Docker Swarm serves every container there (\\fBoutrider node\\fP);\n"
	"\\fBexec\\fP, \\fBsidecar\\fP and \\fBedge\\fP are the same for one service or for the public.\n";

static const char environment[] =
	".SH ENVIRONMENT\n"
	".TP\n\\fBOUTRIDER_\\fP\\fINAME\\fP\nEvery option: \\fBOUTRIDER_LIMIT_HEAD\\fP is \\fB\\-\\-limit.head\\fP.\nFlags are stronger.\n"
	".TP\n\\fBNO_COLOR\\fP\nNo colour in what is printed, when it is set and not empty.\n"
	".TP\n\\fBTERM\\fP\n\\fBdumb\\fP or none: no colour, and no screen for \\fBoutrider top\\fP.\n"
	".TP\n\\fBLC_ALL\\fP, \\fBLC_CTYPE\\fP, \\fBLANG\\fP\nThe first that is set says whether UTF\\-8 may be printed; else it is ASCII.\n";

void manual_page(struct text *t, const struct help_program *p)
{
	text_addz(t, ".\\\" Made by: outrider help --man\n.TH OUTRIDER 1 2026-11-30 \"outrider ");
	add_roff(t, str_of(p->version));
	text_addz(t, "\" \"User Commands\"\n.SH NAME\noutrider \\- an agent beside each service that carries its requests\n.SH SYNOPSIS\n"
		     "\\fBoutrider\\fP \\fICOMMAND\\fP [\\fB\\-\\-\\fP\\fIoption\\fP=\\fIvalue\\fP]...\n.SH DESCRIPTION\n");
	text_addz(t, about);
	text_addz(t, ".SH COMMANDS\n");
	for (size_t i = 0; i < p->n; i++)
		add_command(t, &p->commands[i]);
	text_addz(t, ".SH OPTIONS\nA key has one name in all forms: property or container label \\fBoutrider.limit.head\\fP, environment\n"
		     "\\fBOUTRIDER_LIMIT_HEAD\\fP, flag \\fB\\-\\-limit.head\\fP.\n.SS The process\n");
	add_options(t, SCOPE_PROCESS, "");
	text_addz(t, ".SS A sidecar\n");
	add_options(t, SCOPE_SIDECAR, "");
	text_addz(t, ".SS An upstream\nWithout \\fBupstream.\\fP\\fIservice\\fP such an option holds for all upstreams.\n");
	add_options(t, SCOPE_UPSTREAM, "upstream.SERVICE.");
	text_addz(t, ".SS A route of the edge\n");
	add_options(t, SCOPE_ROUTE, "route.NAME.");
	text_addz(t, environment);
	text_addz(t, ".SH SEE ALSO\n.BR docker (1),\n.BR curl (1)\n");
}
