/* One key and value into the layers: who may set it, is it good, where does it stand. */
#include "control/options_impl.h"

#include "base/mem.h"
#include "control/option_mask.h"
#include "control/option_value.h"

#include <stdio.h>
#include <string.h>

static struct option_cell *cell_make(struct options *o, enum option_id id, bool folded, struct str subject)
{
	char buf[OPTIONS_CELL_KEY_MAX];
	struct str key = options_cell_key(buf, id, folded, subject);
	struct option_cell *c = table_get(&o->cells, key);

	if (c)
		return c;
	char *kept = arena_z(&o->arena, key);
	c = arena_zalloc(&o->arena, sizeof(*c));
	if (!kept || !c || !table_put(&o->cells, str_make(kept, key.n), c))
		return NULL;
	c->id = id;
	c->folded = folded;
	c->subject = str_make(kept + 2, key.n - 2);
	*o->last = c;
	o->last = &c->next;
	o->any_folded = o->any_folded || folded;
	if (!folded && (subject.n == 0 || str_eq(subject, STR(OPTIONS_DEFAULT_SUBJECT))))
		o->common[id] = c;
	return c;
}

/* --- judging one key ----------------------------------------------------------------------------------------------- */

/* The subject as it is kept: lower case, of env names folded. `buf`: OPTIONS_KEY_MAX bytes. */
static struct str subject_kept(const struct option_key *k, char *buf)
{
	size_t mark = k->by_route;

	if (mark)
		buf[0] = OPTIONS_ROUTE_MARK;
	if (k->folded)
		return str_make(buf, key_fold(k->subject, buf + mark).n + mark);
	for (size_t i = 0; i < k->subject.n; i++) {
		char c = k->subject.p[i];
		buf[mark + i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	return str_make(buf, k->subject.n + mark);
}

/* An agent on a node serves containers of others: their env and labels name no path (DESIGN section 4). */
static bool names_path(struct str value)
{
	for (size_t i = 0; i + 6 <= value.n; i++)
		if (str_istarts(str_make(value.p + i, value.n - i), STR("unix:/")))
			return true;
	return false;
}

/* What whoever writes a container's environment can do instead: ask the operator of the agent (docs/operations.md, Secrets). */
static bool is_agents(const struct option_row *row, const char *who, enum option_who setter, struct err *why)
{
	err_set(why, "only %s may set this option", who);
	if (setter != WHO_CONTAINER)
		return false;
	size_t n = strlen(why->text);
	snprintf(why->text + n, sizeof(why->text) - n,
		row->type == OPTION_SECRET ? "; on a node secrets are the agent's: docker service update --secret-add NAME outrider_agent, and this option's "
					     "_FILE form with /run/secrets/NAME in that service's environment"
					   : "; on a node set it once, in the environment of the agent's service");
	return false;
}

static bool may_set(const struct option_row *row, const struct option_key *k, const struct option_input *in,
		    struct err *why)
{
	static const char *const who[] = { "the agent's own flags and environment", "the agent and its sources" };
	enum option_who setter = in->layer >= LAYER_ENV                                       ? WHO_PROCESS :
				 in->layer == LAYER_LABEL || in->layer == LAYER_CONTAINER_ENV ? WHO_CONTAINER :
												WHO_OPERATOR;

	if (setter > row->who)
		return is_agents(row, who[row->who], setter, why);
	if (k->file && setter != WHO_PROCESS)
		return err_set(why, "only the agent's own flags and environment may name a file");
	if (setter == WHO_CONTAINER && names_path(in->value))
		return err_set(why, "a container may name no path");
	if ((row->flags & OPTION_NODEFAULT) && str_eq(k->subject, STR(OPTIONS_DEFAULT_SUBJECT)))
		return err_set(why, "it belongs to one service: outrider.upstream.<service>.%s", row->name);
	return true;
}

static bool subject_fits(const struct option_row *row, const struct option_key *k, struct err *why)
{
	if (k->subject.n == 0 || str_eq(k->subject, STR(OPTIONS_DEFAULT_SUBJECT)))
		return true;
	const char *what = row->scope == SCOPE_ROUTE || k->by_route ? "route" : "service";
	return service_name_check(k->subject, why) ||
	       err_prefix(why, "\"%.*s\" can be no %s", (int)(k->subject.n < 80 ? k->subject.n : 80), k->subject.p, what);
}

/* A new entry at its place among the layers; NULL and *clash when another spelling stands in that layer already. */
static struct option_entry *entry_make(struct options *o, struct option_cell *c, const struct option_input *in,
				       const struct option_entry **clash)
{
	struct option_entry **at = &c->top;

	while (*at && (*at)->layer > in->layer)
		at = &(*at)->weaker;
	*clash = NULL;
	struct option_entry *e = *at;
	if (e && e->layer == in->layer) {
		if (!str_eq(e->key, in->key)) {
			*clash = e;
			return NULL;
		}
	} else {
		e = arena_zalloc(&o->arena, sizeof(*e));
		if (!e)
			return NULL;
		e->layer = (uint8_t)in->layer;
		e->weaker = *at;
		e->value = STR("");
		e->origin = "";
		e->key = arena_str(&o->arena, in->key);
		if (!e->key.p)
			return NULL;
		*at = e;
	}
	return e;
}

static bool entry_fill(struct options *o, struct option_entry *e, const struct option_row *row,
		       const struct option_input *in, uint64_t number)
{
	bool secret = row->type == OPTION_SECRET;
	/* Many keys of one source have the same origin. */
	const char *origin = str_eq(str_of(e->origin), in->origin) ? e->origin : arena_z(&o->arena, in->origin);
	char *copy = secret ? mem_dup(in->value.p ? in->value.p : "", in->value.n) : arena_z(&o->arena, in->value);

	if (!origin || !copy) {
		if (secret)
			mem_wipe_free(copy, in->value.n);
		return false;
	}
	if (e->secret)
		mem_wipe_free(e->secret, e->secret_n);
	e->secret = NULL;
	if (secret) {
		e->secret = copy;
		e->secret_n = in->value.n;
	}
	e->origin = origin;
	e->value = str_make(copy, in->value.n);
	e->number = number;
	return true;
}

static bool no_room(struct err *err)
{
	return err_set(err, "out of memory while reading options, or more than %u keys", OPTIONS_KEYS_MAX);
}

static bool store(struct options *o, const struct option_input *in, const struct option_key *k, uint64_t number,
		  struct err *err)
{
	char buf[OPTIONS_KEY_MAX];
	const struct option_row *row = option_row(k->id);
	const struct option_entry *clash;
	struct option_cell *c = cell_make(o, k->id, k->folded, subject_kept(k, buf));
	struct option_entry *e = c ? entry_make(o, c, in, &clash) : NULL;

	if (e)
		return entry_fill(o, e, row, in, number) || no_room(err);
	if (!c || !clash)
		return no_room(err);
	struct err why;
	err_set(&why, "%.*s says the same option in the same place; keep one of them", STR_ARG(clash->key));
	return options_note(o, row, in->key, in->value, in->origin, why.text) || no_room(err);
}

static bool unknown(struct options *o, const struct option_input *in, struct err *err)
{
	struct text t;

	text_init(&t, ERR_MAX);
	text_addz(&t, "no such option; ");
	struct text near;
	text_init(&near, 2 * OPTIONS_KEY_MAX);
	if (o->n_problems < OPTIONS_PROBLEMS_MAX && key_nearest(&o->index, in->name, in->form, &near))
		text_fmt(&t, "did you mean %s?", text_z(&near));
	else
		text_addz(&t, "`outrider help options` lists them");
	/* A misspelt password is one all the same. */
	struct str value = mask_key_sounds_secret(text_str(&near)) ? STR("***") : in->value;
	bool ok = options_note(o, NULL, in->key, value, in->origin, text_z(&t));
	text_release(&near);
	text_release(&t);
	return ok || no_room(err);
}

static void forget_judgement(struct options *o)
{
	o->n_problems = o->n_read;
	o->problems_total = o->read_total;
	o->n_services = o->n_routes = o->n_pins = 0;
	arena_reset(&o->judged);
}

static bool put_secret_file(struct options *o, struct option_input *in, const struct option_key *k, struct err *err)
{
	struct err why = { "" };
	struct str secret;
	size_t cap;
	uint64_t number = 0;
	char path[4096], *mem = NULL;
	const struct option_row *row = option_row(k->id);

	if (!str_copy(in->value, path, sizeof(path)))
		err_set(&why, "the path is too long");
	else
		mem = secret_read(path, &secret, &cap, &why);
	if (mem && !option_value_parse(row, secret, &number, &why)) {
		mem_wipe_free(mem, cap);
		mem = NULL;
	}
	if (!mem) /* the path is no secret: it helps to see it */
		return options_note(o, NULL, in->key, in->value, in->origin, why.text) || no_room(err);
	in->value = secret;
	bool ok = store(o, in, k, number, err);
	mem_wipe_free(mem, cap);
	return ok;
}

/* YAML readers such as Spring's make true of on and false of off before we see it. */
static struct str yaml_word(const struct option_row *row, struct str value)
{
	if (str_ieq(value, STR("false")) && (row->type == OPTION_CHOICE || (row->flags & OPTION_OFF)))
		return STR("off");
	if (str_ieq(value, STR("true")) && row->type == OPTION_CHOICE)
		return STR("on");
	return value;
}

static bool put(struct options *o, struct option_input *in, struct err *err)
{
	struct option_key k;
	struct err why = { "" };
	uint64_t number = 0;

	if (in->key.n > OPTIONS_KEY_MAX)
		return options_note(o, NULL, in->key, in->value, in->origin, "the key is too long") || no_room(err);
	if (!key_parse(&o->index, in->name, in->form, &k))
		return unknown(o, in, err);
	const struct option_row *row = option_row(k.id);
	if (!may_set(row, &k, in, &why) || !subject_fits(row, &k, &why))
		return options_note(o, row, in->key, in->value, in->origin, why.text) || no_room(err);
	if (k.file)
		return put_secret_file(o, in, &k, err);
	in->value = yaml_word(row, in->value);
	if (!option_value_parse(row, in->value, &number, &why))
		return options_note(o, row, in->key, in->value, in->origin, why.text) || no_room(err);
	return store(o, in, &k, number, err);
}

bool options_put(struct options *o, const struct option_input *in, struct err *err)
{
	struct option_input trimmed = *in;

	forget_judgement(o);
	trimmed.value = str_trim(in->value);
	if (!trimmed.value.p)
		trimmed.value = STR("");
	bool ok = put(o, &trimmed, err);
	o->n_read = o->n_problems;
	o->read_total = o->problems_total;
	return ok;
}

bool options_set(struct options *o, enum option_layer layer, struct str key, struct str value, struct str origin,
		 struct err *err)
{
	struct option_input in = {
		.layer = layer, .form = KEY_PROPERTY, .key = key, .value = value, .origin = origin
	};

	if (!key_strip(key, KEY_PROPERTY, &in.name))
		return true;
	return options_put(o, &in, err);
}
