#include "control/ui/rollout.h"

#define NAMED 3u

enum { CAME, LEFT, RENEWED, HOWS };

struct moves {
	size_t n[HOWS];
	const struct registry_endpoint *named[HOWS][NAMED];
};

static void note(struct moves *m, unsigned how, const struct registry_endpoint *e)
{
	if (m->n[how] < NAMED)
		m->named[how][m->n[how]] = e;
	m->n[how]++;
}

static struct str version_of(const struct registry_endpoint *e)
{
	return endpoint_meta(e, STR("version"));
}

/* Both are sorted by address. */
static void compare(const struct endpoint_set *was, const struct endpoint_set *is, struct moves *m)
{
	size_t i = 0, k = 0;

	while (i < was->n || k < is->n) {
		int order = i == was->n  ? 1
			    : k == is->n ? -1
					 : endpoint_compare(&was->at[i].addr, &is->at[k].addr);
		if (order < 0) {
			note(m, LEFT, &was->at[i++]);
		} else if (order > 0) {
			note(m, CAME, &is->at[k++]);
		} else {
			if (!str_eq(version_of(&was->at[i]), version_of(&is->at[k])))
				note(m, RENEWED, &is->at[k]);
			i++;
			k++;
		}
	}
}

static void put(struct text *t, const struct moves *m, unsigned how)
{
	static const char *const words[HOWS][2] = { { "came", "came" }, { "left", "left" },
		{ "has another version", "have another version" } };
	char address[ADDR_TEXT_MAX];

	if (!m->n[how])
		return;
	text_fmt(t, "%s%zu instance%s %s (", t->n ? ", " : "", m->n[how], m->n[how] == 1 ? "" : "s",
		words[how][m->n[how] > 1]);
	for (size_t i = 0; i < m->n[how] && i < NAMED; i++) {
		struct str version = version_of(m->named[how][i]);
		addr_text(&m->named[how][i]->addr, address);
		text_fmt(t, "%s%s", i ? ", " : "", address);
		if (version.n && how != LEFT)
			text_fmt(t, " of version %.*s", (int)(version.n < 40 ? version.n : 40), version.p);
	}
	text_addz(t, m->n[how] > NAMED ? " …)" : ")");
}

bool rollout_says(const struct endpoint_set *was, const struct endpoint_set *is, struct text *t,
	char subject[ADDR_TEXT_MAX])
{
	static const struct endpoint_set none = { .n = 0 };
	struct moves m = { .n = { 0 } };

	if (!was || !was->n)
		return false;
	compare(was, is ? is : &none, &m);
	for (unsigned how = 0; how < HOWS; how++)
		put(t, &m, how);
	for (unsigned how = HOWS; how-- > 0;)
		if (m.n[how])
			addr_text(&m.named[how][0]->addr, subject);
	if (t->n)
		text_fmt(t, "; %zu now", is ? is->n : 0);
	return t->n > 0;
}
