#include "control/help_tables.h"

#include "base/reason.h"
#include "control/exposition.h"

void help_wrap(struct text *t, struct str text, unsigned indent, unsigned width)
{
	struct str word;
	size_t at = 0;

	while (str_next(&text, ' ', &word)) {
		if (word.n == 0)
			continue;
		if (at && at + 1 + word.n > width) {
			text_char(t, '\n');
			at = 0;
		}
		for (unsigned i = at ? indent : 0; i < indent; i++)
			text_char(t, ' ');
		if (at)
			text_char(t, ' ');
		at = (at ? at + 1 : indent) + word.n;
		text_add(t, word);
	}
	text_char(t, '\n');
}

void help_cell(struct text *t, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c == '|')
			text_addz(t, "\\|");
		else if (*c == '<')
			text_addz(t, "&lt;");
		else
			text_char(t, *c);
	}
}

/* --- reasons ---------------------------------------------------------------------------------------------------------- */

static void reason_plain(struct text *t, const struct reason_row *r)
{
	text_addz(t, r->word);
	if (r->status)
		text_fmt(t, "  %u", r->status);
	text_fmt(t, "  at %s, blame: %s\n", r->stage, r->blame);
	help_wrap(t, str_of(r->cause), 4, 100);
	help_wrap(t, str_of(r->remedy), 4, 100);
}

static void reason_markdown(struct text *t, const struct reason_row *r)
{
	text_fmt(t, "| `%s` | ", r->word);
	if (r->status)
		text_u64(t, r->status);
	text_fmt(t, " | %s | %s | ", r->stage, r->blame);
	help_cell(t, r->cause);
	text_addz(t, " | ");
	help_cell(t, r->remedy);
	text_addz(t, " |\n");
}

void reasons_help_text(struct text *t, bool markdown)
{
	if (markdown)
		text_addz(t, "# Reasons\n\n"
			     "Made from `agent/reasons.def` by `make docs`; do not edit.\n\n"
			     "Every response that the agent itself makes carries one of these words in the field "
			     "`x-outrider-reason`, in its\nJSON body, in logs and in metrics. Without a status the "
			     "exchange could only be ended: the client's connection was cut.\n\n"
			     "| reason | status | stage | blame | cause | remedy |\n|---|---|---|---|---|---|\n");
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++)
		(markdown ? reason_markdown : reason_plain)(t, reason_row((enum reason)i));
}

/* --- metrics ---------------------------------------------------------------------------------------------------------- */

static void metric_markdown(struct text *t, const struct family_row *m)
{
	text_fmt(t, "| `%s` | %s | %s | %s | ", m->name, family_type_word(m->type), m->unit, m->labels[0] ? m->labels : "service");
	help_cell(t, m->help);
	text_addz(t, " |\n");
}

static void metric_plain(struct text *t, const struct family_row *m)
{
	text_fmt(t, "%s  %s%s%s\n", m->name, family_type_word(m->type), m->unit[0] ? ", " : "", m->unit);
	help_wrap(t, str_of(m->help), 4, 100);
}

void metrics_help_text(struct text *t, bool markdown)
{
	if (markdown)
		text_addz(t, "# Metrics\n\n"
			     "Made from `agent/metrics.def` by `make docs`; do not edit.\n\n"
			     "On the admin port under `/metrics`, for Prometheus as text 0.0.4 or OpenMetrics 1.0; [operations.md](operations.md#prometheus) says\n"
			     "how to scrape every agent of a swarm. Of these, the counters that workers keep stand under `/stats`, too.\n\n"
			     "Where the label `service` stands, so do `stack`, `slot`, `node` and `task` as far as they are known: on a node every container's\n"
			     "sidecar is on the page of its agent, told apart by `task`; `/sidecars/NAME/metrics` is one of them. No label ever has what a\n"
			     "client sent: neither Host nor path. Classes of statuses and directions (`inbound`, `outbound`, `edge`) are there from the start, so that\n"
			     "`rate()` sees the first error; reasons, local calls and egress when they first occur. What no configuration names any more is not\n"
			     "shown any more, nor after `outrider.metrics.idle` what only calls made known. A page has at most `outrider.metrics.series-max` series:\n"
			     "what is beyond is added up into one per metric, with `service=\"_overflow\"` and no other label.\n\n"
			     "In OpenMetrics, buckets carry the id of the last sampled trace that fell into them as an exemplar.\n\n"
			     "| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
	for (unsigned i = 0; i < FAMILY_COUNT; i++)
		(markdown ? metric_markdown : metric_plain)(t, family_row((enum family_id)i));
}
