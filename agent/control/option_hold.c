/* Options that need a restart: while the process runs they stay what they were. */
#include "control/options_impl.h"

#include "base/mem.h"
#include "control/option_value.h"

static bool same_value(const struct option_entry *a, const struct option_entry *b)
{
	if (!a || !b)
		return a == b;
	return str_eq(a->value, b->value);
}

/* A copy of what runs, in the place of all that was read. */
static bool hold(struct options *o, struct option_cell *c, const struct option_entry *running)
{
	if (!running) {
		c->top = NULL;
		return true;
	}
	struct option_entry *e = arena_zalloc(&o->arena, sizeof(*e));
	if (!e)
		return false;
	*e = *running;
	e->weaker = NULL;
	e->secret = NULL;
	e->key = arena_str(&o->arena, running->key);
	e->origin = arena_z(&o->arena, str_of(running->origin));
	e->value = arena_str(&o->arena, running->value);
	if (!e->key.p || !e->origin || !e->value.p)
		return false;
	c->top = e;
	return true;
}

bool options_hold(struct options *o, const struct options *running, options_held_fn fn, void *arg)
{
	for (unsigned i = 0; i < OPT_COUNT; i++) {
		enum option_id id = (enum option_id)i;
		const struct option_row *row = option_row(id);
		if (row->change != CHANGE_RESTART || row->scope > SCOPE_SIDECAR || row->type == OPTION_SECRET)
			continue;
		const struct option_entry *now = options_entry(running, id, STR(""));
		const struct option_entry *new = options_entry(o, id, STR(""));
		if (same_value(now, new))
			continue;
		struct option_held h = {
			.row = row,
			.running = option_value_shown(row, now ? now->value : str_of(row->def)),
			.waiting = option_value_shown(row, new ? new->value : str_of(row->def)),
			.origin = new ? str_of(new->origin) : STR("default"),
		};
		fn(arg, &h);
		struct option_cell *c = options_cell(o, id, false, STR(""));
		if (c && !hold(o, c, now))
			return false;
		/* No cell: the key vanished from the source; it has none to put the running value into. */
		if (!c && now) {
			struct option_input in = { .layer = LAYER_FLAG, .form = KEY_PROPERTY, .key = now->key,
				.name = str_of(row->name), .value = now->value, .origin = str_of(now->origin) };
			struct err ignored;
			if (!options_put(o, &in, &ignored))
				return false;
		}
	}
	return true;
}
