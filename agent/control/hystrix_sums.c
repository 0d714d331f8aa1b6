#include "control/hystrix_sums.h"

#include "base/json.h"

#define MEMORY_MAX (HYSTRIX_SUMS_MAX * 1024u)
#define NAMES 3
#define ROW_MAX (3 * 6 * HYSTRIX_NAME_MAX + 21 * HYSTRIX_FIGURES) /* bytes of a circuit as JSON, at the very most */

void hystrix_sums_init(struct hystrix_sums *s, uint64_t seed)
{
	*s = (struct hystrix_sums){ 0 };
	table_init(&s->by_name, HYSTRIX_SUMS_MAX, seed);
	arena_init(&s->memory, MEMORY_MAX, NULL, 0);
}

void hystrix_sums_release(struct hystrix_sums *s)
{
	table_release(&s->by_name);
	arena_release(&s->memory);
	*s = (struct hystrix_sums){ 0 };
}

/* NULL: no room. */
static struct hystrix_figures *keep(struct hystrix_sums *s, const struct hystrix_figures *f)
{
	struct hystrix_figures *own = arena_alloc(&s->memory, sizeof(*own));

	if (!own)
		return NULL;
	*own = *f;
	own->next = NULL;
	own->name = arena_str(&s->memory, f->name);
	own->group = arena_str(&s->memory, f->group);
	own->pool = str_eq(f->name, f->pool) ? own->name : arena_str(&s->memory, f->pool);
	return own->name.p && own->group.p && own->pool.p ? own : NULL;
}

void hystrix_sums_add(struct hystrix_sums *s, const struct hystrix_figures *f)
{
	struct hystrix_figures *has = table_get(&s->by_name, f->name);

	if (has) {
		hystrix_figures_add(has, f);
		return;
	}
	struct hystrix_figures *own = keep(s, f);
	if (!own || !table_put(&s->by_name, own->name, own)) {
		s->left_out++;
		return;
	}
	if (s->last)
		s->last->next = own;
	else
		s->first = own;
	s->last = own;
	s->n++;
}

/* --- from agent to agent ------------------------------------------------------------------------------------------------------ */

static void write_row(struct text *t, const struct hystrix_figures *f)
{
	struct json j = json_begin(t);

	json_array(&j);
	json_str(&j, f->name);
	json_str(&j, f->group);
	json_str(&j, f->pool);
	for (unsigned i = 0; i < HYSTRIX_FIGURES; i++)
		json_u64(&j, f->v[i]);
	json_end(&j);
}

void hystrix_sums_write(struct text *t, const struct hystrix_sums *s)
{
	unsigned written = 0;

	text_fmt(t, "{\"figures\":%u,\"circuits\":[", (unsigned)HYSTRIX_FIGURES);
	for (const struct hystrix_figures *f = s->first; f && t->n + ROW_MAX + 64 < t->max; f = f->next) {
		if (written++)
			text_char(t, ',');
		write_row(t, f);
	}
	text_fmt(t, "],\"left_out\":%u}", s->n - written + s->left_out);
}

static bool number_of(const cJSON *item, uint64_t *ret)
{
	return cJSON_IsString(item) && str_u64(str_of(item->valuestring), ret) && *ret <= INT64_MAX;
}

static bool read_row(const cJSON *row, struct hystrix_figures *f)
{
	struct str *const names[NAMES] = { &f->name, &f->group, &f->pool };
	const cJSON *item = cJSON_IsArray(row) ? row->child : NULL;

	for (unsigned i = 0; i < NAMES; i++, item = item->next) {
		if (!item || !cJSON_IsString(item))
			return false;
		*names[i] = str_of(item->valuestring);
		if (!names[i]->n || names[i]->n > HYSTRIX_NAME_MAX)
			return false;
	}
	for (unsigned i = 0; i < HYSTRIX_FIGURES; i++, item = item->next)
		if (!item || !number_of(item, &f->v[i]))
			return false;
	return !item && f->v[HYSTRIX_HOSTS];
}

bool hystrix_sums_read(struct hystrix_sums *s, const cJSON *tree, struct err *err)
{
	const cJSON *circuits = cJSON_GetObjectItemCaseSensitive(tree, "circuits"), *row;
	uint64_t figures, left_out;

	if (!cJSON_IsArray(circuits) || !number_of(cJSON_GetObjectItemCaseSensitive(tree, "figures"), &figures))
		return err_set(err, "its reply is none of an agent's circuits");
	if (figures != HYSTRIX_FIGURES)
		return err_set(err, "an agent of another version, whose figures are others");
	if (number_of(cJSON_GetObjectItemCaseSensitive(tree, "left_out"), &left_out))
		s->left_out += (unsigned)(left_out < UINT16_MAX ? left_out : UINT16_MAX);
	cJSON_ArrayForEach(row, circuits)
	{
		struct hystrix_figures f = { .next = NULL };
		if (!read_row(row, &f))
			return err_set(err, "one of its circuits is none");
		hystrix_sums_add(s, &f);
	}
	return true;
}
