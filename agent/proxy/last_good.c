#include "proxy/last_good.h"

#include "base/text.h"
#include "proxy/replies.h"
#include "proxy/steps.h"

#include <inttypes.h>

#define KEY_MAX 8192u
#define VARY_NAMES_MAX 16u

struct draft { /* in the exchange's arena, while a body is copied */
	struct text key, vary, fields, body;
	struct store_rule rule;
	uint32_t age;
};

/* --- may it be stored? -------------------------------------------------------------------------------------------------------- */

struct directives {
	bool no_store, no_cache, is_private, is_public, revalidate;
	uint32_t max_age, s_maxage; /* UINT32_MAX: not said */
};

static uint32_t seconds(struct str s)
{
	uint64_t n;

	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		s = str_make(s.p + 1, s.n - 2);
	return !str_u64(s, &n) ? 0 : n < UINT32_MAX ? (uint32_t)n : UINT32_MAX - 1;
}

static void read_directive(struct directives *d, struct str item)
{
	size_t equals = str_find(item, '=');
	struct str name = str_trim(equals == SIZE_MAX ? item : str_make(item.p, equals));
	struct str value = equals == SIZE_MAX ? STR("")
					      : str_trim(str_make(item.p + equals + 1, item.n - equals - 1));

	d->no_store = d->no_store || str_ieq(name, STR("no-store"));
	d->no_cache = d->no_cache || str_ieq(name, STR("no-cache"));
	d->is_private = d->is_private || str_ieq(name, STR("private"));
	d->is_public = d->is_public || str_ieq(name, STR("public"));
	d->revalidate = d->revalidate || str_ieq(name, STR("must-revalidate")) ||
			str_ieq(name, STR("proxy-revalidate"));
	if (str_ieq(name, STR("max-age")))
		d->max_age = seconds(value);
	if (str_ieq(name, STR("s-maxage")))
		d->s_maxage = seconds(value);
}

/* Of all Cache-Control fields. A comma in a quoted text makes pieces that are no directive of ours, or a stricter one. */
static struct directives directives_of(const struct head *h)
{
	struct directives d = { .max_age = UINT32_MAX, .s_maxage = UINT32_MAX };
	struct str item;

	for (unsigned i = 0; i < h->n && h->first[FIELD_CACHE_CONTROL]; i++) {
		struct str rest = field_value(&h->f[i]);
		while (h->f[i].id == FIELD_CACHE_CONTROL && str_next(&rest, ',', &item))
			read_directive(&d, item);
	}
	return d;
}

static bool has_pragma_no_cache(const struct head *h)
{
	for (unsigned i = 0; i < h->n; i++)
		if (str_ieq(field_name(&h->f[i]), STR("pragma")) &&
			str_ieq(field_value(&h->f[i]), STR("no-cache")))
			return true;
	return false;
}

struct store_rule last_good_rule(const struct head *req, const struct head *res, bool with_secrets)
{
	struct directives asked = directives_of(req), said = directives_of(res);
	struct store_rule r = { .is_public = said.is_public, .valid = UINT32_MAX };

	if (said.s_maxage != UINT32_MAX)
		r.valid = said.s_maxage;
	else if (said.revalidate)
		r.valid = said.max_age == UINT32_MAX ? 0 : said.max_age;
	r.may = res->status == 200 && !asked.no_store && !said.no_store && !said.no_cache &&
		!said.is_private && r.valid && !res->first[FIELD_SET_COOKIE] &&
		(!with_secrets || r.is_public);
	return r;
}

static bool has_secrets(const struct exchange *x)
{
	return x->req.first[FIELD_AUTHORIZATION] || x->req.first[FIELD_COOKIE];
}

/* --- what was asked for ---------------------------------------------------------------------------------------------------------- */

static void put_key(struct text *t, const struct exchange *x)
{
	text_add(t, x->upstream->name);
	text_char(t, ' ');
	text_add(t, x->req.authority);
	text_char(t, ' ');
	text_add(t, x->path);
}

/* What the caller wrote, in the order of its lines; what the agent added says nothing of the caller. */
static void put_values(struct text *t, const struct head *req, struct str name)
{
	text_add(t, name);
	text_char(t, ':');
	for (unsigned i = 0; i < req->n; i++)
		if (!(req->f[i].flags & FIELD_NEW) && str_ieq(field_name(&req->f[i]), name)) {
			text_char(t, ' ');
			text_add(t, field_value(&req->f[i]));
		}
	text_char(t, '\n');
}

/* false: it varies by what no request tells, or by more than is looked at. */
static bool put_vary(struct text *t, const struct head *req, const struct head *res)
{
	unsigned n = 0;
	struct str name;

	for (unsigned i = 0; i < res->n && res->first[FIELD_VARY]; i++) {
		struct str rest = field_value(&res->f[i]);
		while (res->f[i].id == FIELD_VARY && str_next(&rest, ',', &name)) {
			if (str_eq(name, STR("*")) || ++n > VARY_NAMES_MAX)
				return false;
			if (name.n)
				put_values(t, req, name);
		}
	}
	return !t->failed;
}

/* Would this request write the same? */
static bool same_vary(const struct head *req, struct str vary)
{
	struct str line = vary, name;
	struct text t;

	text_init(&t, LAST_GOOD_FIELDS_MAX);
	while (line.n) { /* names cannot hold a colon, values no line end */
		size_t end = str_find(line, '\n');
		struct str rest = str_make(line.p, end);
		if (str_next(&rest, ':', &name))
			put_values(&t, req, name);
		line = str_make(line.p + end + 1, line.n - end - 1);
	}
	bool same = !t.failed && str_eq(text_str(&t), vary);
	text_release(&t);
	return same;
}

/* --- storing ------------------------------------------------------------------------------------------------------------------------ */

/* Not ours to repeat: how long the body is, how old the reply, what an agent said of one exchange. */
static bool is_kept(const struct field *f)
{
	return !(f->flags & FIELD_DELETED) && f->id != FIELD_CONTENT_LENGTH && f->id != FIELD_TRAILER &&
	       f->id != FIELD_AGE && f->id != FIELD_X_REQUEST_ID &&
	       !str_istarts(field_name(f), STR("x-outrider-"));
}

static void put_fields(struct text *t, const struct head *res)
{
	for (unsigned i = 0; i < res->n; i++)
		if (is_kept(&res->f[i])) {
			text_add(t, field_name(&res->f[i]));
			text_addz(t, ": ");
			text_add(t, field_value(&res->f[i]));
			text_addz(t, "\r\n");
		}
}

static bool wants(const struct exchange *x)
{
	const struct spec_upstream *u = x->upstream;

	return u->policy.last_good && u->mode == MODE_ON && x->req.method == METHOD_GET &&
	       x->req.body == BODY_NONE && !x->fallen && x->res.status == 200 &&
	       (x->res.body == BODY_CHUNKED || x->res.body == BODY_NONE ||
		       (x->res.body == BODY_LENGTH && x->res.length <= LAST_GOOD_REPLY_MAX));
}

void last_good_begin(struct exchange *x)
{
	if (!wants(x))
		return;
	struct store_rule rule = last_good_rule(&x->req, &x->res, has_secrets(x));
	struct draft *d = rule.may ? arena_zalloc(&x->arena, sizeof(*d)) : NULL;
	if (!d)
		return;
	d->rule = rule;
	d->age = x->res.first[FIELD_AGE] ? seconds(field_value(head_get(&x->res, FIELD_AGE))) : 0;
	text_init(&d->key, KEY_MAX);
	text_init(&d->vary, LAST_GOOD_FIELDS_MAX);
	text_init(&d->fields, LAST_GOOD_FIELDS_MAX);
	text_init(&d->body, LAST_GOOD_REPLY_MAX);
	x->draft = d;
	put_key(&d->key, x);
	put_fields(&d->fields, &x->res);
	if (!put_vary(&d->vary, &x->req, &x->res) || d->key.failed || d->fields.failed) {
		last_good_drop(x);
		return;
	}
	x->down_flow.copy = &d->body;
}

void last_good_drop(struct exchange *x)
{
	struct draft *d = x->draft;

	reply_unref(x->recalled);
	x->recalled = NULL;
	x->down_flow.copy = NULL;
	x->draft = NULL;
	if (!d)
		return;
	text_release(&d->key);
	text_release(&d->vary);
	text_release(&d->fields);
	text_release(&d->body);
}

void last_good_commit(struct exchange *x)
{
	const struct spec_sidecar *s = exchange_spec(x);
	struct draft *d = x->draft;
	struct reply *r = NULL;

	if (!d)
		return;
	if (!d->body.failed)
		r = reply_new(
			text_str(&d->key), text_str(&d->vary), text_str(&d->fields), text_str(&d->body));
	if (r) {
		r->at = loop_now(x->w->loop);
		r->age = d->age;
		r->valid = d->rule.valid;
		r->is_public = d->rule.is_public;
		r->status = x->res.status;
		replies_put(s->replies, r, s->limits.last_good);
	}
	last_good_drop(x);
}

/* --- giving -------------------------------------------------------------------------------------------------------------------------- */

/* Workers' clocks differ by a turn of their loops: a reply of another one may seem to come from the future. */
static usec age_of(const struct exchange *x, const struct reply *r)
{
	usec now = loop_now(x->w->loop);

	return r->age * USEC_SEC + (now > r->at ? now - r->at : 0);
}

static bool fits(void *arg, const struct reply *r)
{
	const struct exchange *x = arg;
	usec age = age_of(x, r);

	return age <= x->upstream->policy.last_good && age / USEC_SEC < r->valid &&
	       (r->is_public || !has_secrets(x)) && same_vary(&x->req, r->vary);
}

bool last_good_find(struct exchange *x)
{
	struct text key;

	if (x->recalled)
		return true;
	if (!x->upstream->policy.last_good || x->req.method != METHOD_GET || x->req.body != BODY_NONE)
		return false;
	struct directives asked = directives_of(&x->req);
	if (asked.no_store || asked.no_cache || has_pragma_no_cache(&x->req))
		return false; /* who asks like that wants the truth */
	text_init(&key, KEY_MAX);
	put_key(&key, x);
	x->recalled = key.failed ? NULL : replies_find(exchange_spec(x)->replies, text_str(&key), fits, x);
	text_release(&key);
	return x->recalled != NULL;
}

void last_good_put(const struct exchange *x, struct text *t)
{
	text_fmt(t, "Age: %" PRIu64 "\r\nContent-Length: %zu\r\nx-outrider-fallback: last-good\r\n",
		age_of(x, x->recalled) / USEC_SEC, x->recalled->body.n);
	text_add(t, x->recalled->fields);
}
