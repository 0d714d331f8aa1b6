#include "control/option_key.h"

#include "control/nearest.h"

static const struct option_row rows[OPT_COUNT] = {
#define OPTION(id, name, type, min, max, def, unit, scope, who, change, flags, help) \
	{ name, OPTION_##type, SCOPE_##scope, WHO_##who, CHANGE_##change, flags, min, max, def, unit, help },
#include "options.def"
#undef OPTION
};

_Static_assert(OPT_COUNT < ROW_INDEX_SLOTS / 2, "the index of names is too small");

const struct option_row *option_row(enum option_id id)
{
	return &rows[id];
}

/* --- names ------------------------------------------------------------------------------------------------------- */

static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + 32);
	return c == '_' || c == '.' ? '-' : c;
}

struct str key_fold(struct str s, char *dst)
{
	for (size_t i = 0; i < s.n; i++)
		dst[i] = fold(s.p[i]);
	return str_make(dst, s.n);
}

static bool fold_eq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (fold(a.p[i]) != fold(b.p[i]))
			return false;
	return true;
}

/* The slot of a name (FNV-1a over its folded bytes), or the free one where it would go. */
static uint16_t *probe(const struct row_index *x, enum key_group g, struct str name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (uint8_t)fold(name.p[i])) * 16777619u;
	for (;; h++) {
		const uint16_t *at = &x->slots[g][h % ROW_INDEX_SLOTS];
		if (*at == 0 || fold_eq(str_of(rows[*at - 1].name), name))
			return (uint16_t *)(uintptr_t)at;
	}
}

static void index_add(struct row_index *x, enum key_group g, unsigned id)
{
	uint16_t *at = probe(x, g, str_of(rows[id].name));
	if (*at == 0)
		*at = (uint16_t)(id + 1);
}

void row_index_init(struct row_index *x)
{
	*x = (struct row_index){ 0 };
	for (unsigned i = 0; i < OPT_COUNT; i++)
		if (rows[i].scope == SCOPE_PROCESS || rows[i].scope == SCOPE_SIDECAR)
			index_add(x, GROUP_TOP, i);
	for (unsigned i = 0; i < OPT_COUNT; i++) { /* an option of the sidecar keeps a name that an upstream has too */
		if (rows[i].scope == SCOPE_UPSTREAM)
			index_add(x, GROUP_UPSTREAM, i);
		if (rows[i].scope == SCOPE_UPSTREAM && !(rows[i].flags & OPTION_NODEFAULT))
			index_add(x, GROUP_TOP, i);
		if (rows[i].scope == SCOPE_ROUTE || (rows[i].flags & OPTION_BY_ROUTE))
			index_add(x, GROUP_ROUTE, i);
	}
}

static bool find_row(const struct row_index *x, enum key_group g, struct str name, enum key_form form,
		     enum option_id *ret)
{
	uint16_t at = *probe(x, g, name);

	if (at == 0 || (form != KEY_ENV && !str_eq(str_of(rows[at - 1].name), name)))
		return false;
	*ret = (enum option_id)(at - 1);
	return true;
}

bool key_has_short(const struct row_index *x, enum option_id id)
{
	enum option_id found;
	return find_row(x, GROUP_TOP, str_of(rows[id].name), KEY_PROPERTY, &found) && found == id;
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *word;
	enum key_group group;
} groups[] = { { "upstream", GROUP_UPSTREAM }, { "route", GROUP_ROUTE } };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_sep(char c, enum key_form form)
{
	return form == KEY_ENV ? fold(c) == '-' : c == '.';
}

bool key_strip(struct str key, enum key_form form, struct str *ret_name)
{
	static const char *const prefixes[] = { "outrider.", "--", "OUTRIDER_" };
	struct str prefix = str_of(prefixes[form]);

	if (!str_starts(key, prefix))
		return false;
	*ret_name = str_make(key.p + prefix.n, key.n - prefix.n);
	return true;
}

/* "<word><sep><subject><sep><option>": the first place where what follows is an option gives the longest one. */
static bool parse_subject(const struct row_index *x, struct str name, enum key_form form, enum key_group g,
			  size_t from, struct option_key *ret)
{
	for (size_t i = from + 1; i + 1 < name.n; i++) {
		if (!is_sep(name.p[i], form))
			continue;
		struct str tail = str_make(name.p + i + 1, name.n - i - 1);
		if (!find_row(x, g, tail, form, &ret->id))
			continue;
		ret->subject = str_make(name.p + from, i - from);
		ret->by_route = g == GROUP_ROUTE && rows[ret->id].scope == SCOPE_UPSTREAM;
		return true;
	}
	return false;
}

static bool parse_plain(const struct row_index *x, struct str name, enum key_form form, struct option_key *ret)
{
	if (find_row(x, GROUP_TOP, name, form, &ret->id)) {
		if (rows[ret->id].scope == SCOPE_UPSTREAM)
			ret->subject = STR(OPTIONS_DEFAULT_SUBJECT);
		return true;
	}
	for (size_t g = 0; g < COUNT(groups); g++) {
		struct str word = str_of(groups[g].word);
		bool begins = form == KEY_ENV ? str_istarts(name, word) : str_starts(name, word);
		if (!begins || name.n <= word.n || !is_sep(name.p[word.n], form))
			continue;
		if (!parse_subject(x, name, form, groups[g].group, word.n + 1, ret))
			return false;
		/* `default` is nobody's name, so it means the same in all forms. */
		if (!ret->by_route && str_ieq(ret->subject, STR(OPTIONS_DEFAULT_SUBJECT)))
			ret->subject = STR(OPTIONS_DEFAULT_SUBJECT);
		else
			ret->folded = form == KEY_ENV;
		return true;
	}
	return false;
}

bool key_parse(const struct row_index *x, struct str name, enum key_form form, struct option_key *ret)
{
	struct option_key k = { .subject = STR("") };
	struct str file = form == KEY_ENV ? STR("_FILE") : STR("-file");

	if (!parse_plain(x, name, form, &k)) {
		k = (struct option_key){ .subject = STR(""), .file = true };
		if (name.n <= file.n || !str_ends(name, file) ||
		    !parse_plain(x, str_make(name.p, name.n - file.n), form, &k) ||
		    rows[k.id].type != OPTION_SECRET)
			return false;
	}
	*ret = k;
	return true;
}

/* --- printing ------------------------------------------------------------------------------------------------------ */

void key_print(const struct row_index *x, struct text *t, enum option_id id, struct str subject)
{
	const struct option_row *row = &rows[id];

	text_addz(t, "outrider.");
	if (row->scope == SCOPE_UPSTREAM && str_eq(subject, STR(OPTIONS_DEFAULT_SUBJECT)) && key_has_short(x, id))
		subject = STR("");
	if (subject.n && subject.p[0] == OPTIONS_ROUTE_MARK) {
		text_fmt(t, "route.%.*s.", STR_ARG(str_make(subject.p + 1, subject.n - 1)));
	} else if (subject.n) {
		text_addz(t, row->scope == SCOPE_ROUTE ? "route." : "upstream.");
		text_add(t, subject);
		text_char(t, '.');
	}
	text_addz(t, row->name);
}

static char env_char(char c)
{
	if (c >= 'a' && c <= 'z')
		return (char)(c - 32);
	return c == '-' || c == '.' ? '_' : c;
}

void key_env(struct text *t, struct str name)
{
	text_addz(t, "OUTRIDER_");
	for (size_t i = 0; i < name.n; i++)
		text_char(t, env_char(name.p[i]));
}

/* --- the nearest spelling -------------------------------------------------------------------------------------------- */

struct nearest {
	unsigned distance;
	const char *group; /* "upstream", "route"; NULL: none */
	struct str subject;
	const char *name;
};

static bool near_enough(struct str asked, unsigned distance)
{
	return distance <= (asked.n < 4 ? 1 : asked.n < 7 ? 2 : (unsigned)(asked.n / 3));
}

static unsigned distance_to(const char *name, struct str asked, enum key_form form)
{
	char spelt[NEAREST_NAME_MAX];
	struct str s = str_of(name);

	if (s.n > sizeof(spelt))
		return UINT32_MAX;
	for (size_t i = 0; i < s.n; i++)
		spelt[i] = form == KEY_ENV ? env_char(s.p[i]) : s.p[i];
	return nearest_distance(str_make(spelt, s.n), asked);
}

static void offer(struct nearest *best, unsigned base, const char *group, struct str subject, struct str asked,
		  unsigned id, enum key_form form)
{
	unsigned d = distance_to(rows[id].name, asked, form);

	if (d == UINT32_MAX || !near_enough(asked, d) || d + base >= best->distance)
		return;
	*best = (struct nearest){ d + base, group, subject, rows[id].name };
}

/* Keys of the shape word.subject.option, the word possibly misspelt by `base` changes. */
static void offer_subjects(struct nearest *best, struct str name, size_t from, size_t g, unsigned base,
			   enum key_form form)
{
	enum option_scope scope = groups[g].group == GROUP_ROUTE ? SCOPE_ROUTE : SCOPE_UPSTREAM;

	for (size_t i = from + 1; i + 1 < name.n; i++) {
		if (!is_sep(name.p[i], form))
			continue;
		struct str tail = str_make(name.p + i + 1, name.n - i - 1);
		for (unsigned id = 0; id < OPT_COUNT; id++)
			if (rows[id].scope == scope || (scope == SCOPE_ROUTE && (rows[id].flags & OPTION_BY_ROUTE)))
				offer(best, base, groups[g].word, str_make(name.p + from, i - from), tail, id, form);
	}
}

bool key_nearest(const struct row_index *x, struct str name, enum key_form form, struct text *t)
{
	struct nearest best = { .distance = UINT32_MAX };
	size_t dot = 0;

	if (name.n > OPTIONS_KEY_MAX)
		return false;
	for (unsigned id = 0; id < OPT_COUNT; id++)
		if (rows[id].scope != SCOPE_ROUTE && (rows[id].scope != SCOPE_UPSTREAM || key_has_short(x, id)))
			offer(&best, 0, NULL, STR(""), name, id, form);
	while (dot < name.n && !is_sep(name.p[dot], form))
		dot++;
	for (size_t g = 0; g < COUNT(groups) && dot + 1 < name.n; g++) {
		unsigned d = distance_to(groups[g].word, str_make(name.p, dot), form);
		if (d <= 2)
			offer_subjects(&best, name, dot + 1, g, d, form);
	}
	if (!best.name)
		return false;
	struct text plain;
	text_init(&plain, 2 * OPTIONS_KEY_MAX);
	if (best.group)
		text_fmt(&plain, "%s.%.*s.", best.group, STR_ARG(best.subject));
	text_addz(&plain, best.name);
	if (form == KEY_ENV) {
		key_env(t, text_str(&plain));
	} else {
		text_addz(t, form == KEY_FLAG ? "--" : "outrider.");
		text_add(t, text_str(&plain));
	}
	text_release(&plain);
	return true;
}
