#include "control/findings.h"

#include "base/mem.h"

#include <stdlib.h>

static const char *const severities[SEVERITIES] = { "error", "warn", "note" };

const char *severity_name(enum severity s)
{
	return severities[s];
}

void findings_init(struct findings *f)
{
	*f = (struct findings){ .n = 0 };
	arena_init(&f->arena, FINDINGS_MEMORY_MAX, NULL, 0);
	table_init(&f->seen, FINDINGS_MAX, (uintptr_t)f);
}

void findings_release(struct findings *f)
{
	mem_free(f->at);
	table_release(&f->seen);
	arena_release(&f->arena);
	*f = (struct findings){ .n = 0 };
}

/* A copy for people: control bytes as '?', cut. */
static struct str printable(struct findings *f, struct str s)
{
	size_t n = s.n < FINDING_TEXT_MAX ? s.n : FINDING_TEXT_MAX;
	char *p = arena_z(&f->arena, str_make(s.p ? s.p : "", n));

	for (size_t i = 0; p && i < n; i++)
		if ((unsigned char)p[i] < ' ' || p[i] == 127)
			p[i] = '?';
	if (!p)
		f->failed = true;
	return str_make(p, p ? n : 0);
}

static bool make_room(struct findings *f)
{
	if (f->n < f->cap)
		return true;
	size_t cap = f->cap ? f->cap * 2 : 32;
	struct finding *at = mem_resize(f->at, cap * sizeof(*at));
	if (!at)
		return false;
	f->at = at;
	f->cap = cap;
	return true;
}

static bool keep(struct findings *f, struct str key, struct finding kept)
{
	struct str k = arena_str(&f->arena, key);

	kept.file = printable(f, kept.file);
	kept.service = printable(f, kept.service);
	kept.text = printable(f, kept.text);
	kept.remedy = printable(f, kept.remedy);
	if (f->failed || !k.p || !make_room(f) || !table_put(&f->seen, k, (void *)(uintptr_t)k.p))
		return false;
	f->at[f->n++] = kept;
	return true;
}

void findings_add(struct findings *f, const struct finding *one)
{
	struct text key;

	text_init(&key, 4 * FINDING_TEXT_MAX);
	text_fmt(&key, "%.*s:%u:%s:%.*s",
		(int)(one->file.n < FINDING_TEXT_MAX ? one->file.n : FINDING_TEXT_MAX),
		one->file.p ? one->file.p : "", one->line, one->id,
		(int)(one->text.n < FINDING_TEXT_MAX ? one->text.n : FINDING_TEXT_MAX),
		one->text.p ? one->text.p : "");
	if (key.failed) {
		f->failed = true;
	} else if (!table_get(&f->seen, text_str(&key))) {
		f->count[one->severity]++;
		if (f->n < FINDINGS_MAX && !keep(f, text_str(&key), *one))
			f->failed = true;
	}
	text_release(&key);
}

/* --- order --------------------------------------------------------------------------------------------------------- */

static int compare(const struct finding *a, const struct finding *b)
{
	int c = strcmp(a->file.p, b->file.p); /* copies, which end in NUL */
	return c ? c : (a->line > b->line) - (a->line < b->line);
}

/* A merge sort, since it keeps the order of equals. */
static void merge(struct finding *at, struct finding *spare, size_t n)
{
	if (n < 2)
		return;
	size_t half = n / 2, i = 0, k = half, to = 0;
	merge(at, spare, half);
	merge(at + half, spare, n - half);
	memcpy(spare, at, n * sizeof(*at));
	while (to < n) {
		bool first = k == n || (i < half && compare(&spare[i], &spare[k]) <= 0);
		at[to++] = first ? spare[i++] : spare[k++];
	}
}

void findings_sort(struct findings *f)
{
	struct finding *spare = f->n ? mem_zarray(f->n, sizeof(*spare)) : NULL;

	if (spare)
		merge(f->at, spare, f->n);
	else if (f->n)
		f->failed = true;
	mem_free(spare);
}

/* --- printing ------------------------------------------------------------------------------------------------------ */

void findings_print(const struct findings *f, struct text *t)
{
	size_t all = 0;

	for (size_t i = 0; i < SEVERITIES; i++)
		all += f->count[i];
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *one = &f->at[i];
		text_add(t, one->file);
		if (one->line)
			text_fmt(t, ":%u", one->line);
		text_fmt(t, ": %s: ", severities[one->severity]);
		text_add(t, one->text);
		if (one->remedy.n)
			text_addz(t, "; ");
		text_add(t, one->remedy);
		text_char(t, '\n');
	}
	if (all > f->n)
		text_fmt(t, "and %zu more\n", all - f->n);
}

static void print_one(const struct finding *one, struct json *j)
{
	json_object(j);
	json_key(j, "file");
	json_str(j, one->file);
	json_key(j, "line");
	json_u64(j, one->line);
	json_key(j, "severity");
	json_strz(j, severities[one->severity]);
	json_key(j, "id");
	json_strz(j, one->id);
	json_key(j, "service");
	json_str(j, one->service);
	json_key(j, "text");
	json_str(j, one->text);
	json_key(j, "remedy");
	json_str(j, one->remedy);
	json_end(j);
}

void findings_print_json(const struct findings *f, struct json *j)
{
	json_key(j, "errors");
	json_u64(j, f->count[SEVERITY_ERROR]);
	json_key(j, "warnings");
	json_u64(j, f->count[SEVERITY_WARN]);
	json_key(j, "notes");
	json_u64(j, f->count[SEVERITY_NOTE]);
	json_key(j, "findings");
	json_array(j);
	for (size_t i = 0; i < f->n; i++)
		print_one(&f->at[i], j);
	json_end(j);
}
