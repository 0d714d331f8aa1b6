#include "control/ui/changes.h"

#include "base/mem.h"

#define SEATS_MAX 300u
#define JSON_MAX 8192u

struct kept {
	uint64_t number; /* 0: an empty place */
	usec wall;
	uint64_t same; /* hash of what makes two equal */
	char *json;    /* owned */
	size_t json_n;
	uint64_t *seats; /* owned: of whom it is; 0 is the agent itself */
	uint32_t n_seats;
};

struct changes {
	uint64_t last;
	void (*listen)(void *arg, uint64_t number, struct str json);
	void *arg;
	struct kept at[CHANGES_KEPT]; /* by number */
};

const char *change_word(enum change_kind k)
{
	static const char *const words[CHANGE_KINDS] = { "rollout", "config", "config-refused", "ejected",
		"readmitted", "circuit", "sidecar-up", "sidecar-down", "handler", "registry", "drain" };

	return (unsigned)k < CHANGE_KINDS ? words[k] : "?";
}

static struct kept *place_of(const struct changes *c, uint64_t number)
{
	return (struct kept *)(uintptr_t)&c->at[number % CHANGES_KEPT];
}

static const struct kept *find(const struct changes *c, uint64_t number)
{
	const struct kept *k = place_of(c, number);

	return number && k->number == number ? k : NULL;
}

/* --- keeping ------------------------------------------------------------------------------------------------------------------ */

static bool add_seat(struct kept *k, uint64_t seat)
{
	if (k->n_seats == SEATS_MAX)
		return true;
	uint64_t *more = mem_resize(k->seats, (k->n_seats + 1) * sizeof(*more));
	if (!more)
		return false;
	k->seats = more;
	more[k->n_seats++] = seat;
	return true;
}

static bool has_seat(const struct kept *k, uint64_t seat)
{
	for (uint32_t i = 0; i < k->n_seats; i++)
		if (k->seats[i] == seat)
			return true;
	return false;
}

static void forget(struct kept *k)
{
	mem_free(k->json);
	mem_free(k->seats);
	*k = (struct kept){ .number = 0 };
}

static void put_or_null(struct json *j, const char *key, struct str s)
{
	json_key(j, key);
	if (s.n)
		json_str(j, s);
	else
		json_null(j);
}

static void put_json(struct text *t, const struct change *what, uint64_t number, struct str sentence)
{
	struct json j = json_begin(t);

	json_object(&j);
	json_key(&j, "number");
	json_u64(&j, number);
	json_key(&j, "time_ms");
	json_u64(&j, what->wall / USEC_MS);
	put_or_null(&j, "node", what->node);
	json_key(&j, "kind");
	json_strz(&j, change_word(what->kind));
	put_or_null(&j, "service", what->service);
	put_or_null(&j, "upstream", what->upstream);
	put_or_null(&j, "subject", what->subject);
	json_key(&j, "text");
	json_str(&j, sentence);
	json_end(&j);
}

/* What several sidecars of a node tell alike; what is of one service alone is told apart by its name. */
static uint64_t hash_of(const struct change *what, struct str sentence)
{
	bool shared = what->kind == CHANGE_ROLLOUT || what->kind == CHANGE_REGISTRY;
	uint64_t h = str_hash(sentence, (uint64_t)what->kind + 1);

	h = str_hash(what->upstream, h);
	h = str_hash(what->subject, h);
	return shared ? h : str_hash(what->service, h);
}

/* Is there such a one of a moment ago, told by another sidecar? */
static struct kept *find_same(struct changes *c, uint64_t same, const struct change *what)
{
	for (uint64_t number = c->last; number && number + CHANGES_KEPT > c->last; number--) {
		struct kept *k = place_of(c, number);
		if (k->number != number || k->wall + CHANGES_SAME < what->wall)
			return NULL;
		if (k->same == same && !has_seat(k, what->seat))
			return k;
	}
	return NULL;
}

static void keep(struct changes *c, const struct change *what, struct str sentence, uint64_t same)
{
	struct kept fresh = { .number = c->last + 1, .wall = what->wall, .same = same };
	struct text t;

	text_init(&t, JSON_MAX);
	put_json(&t, what, fresh.number, sentence);
	fresh.json_n = t.n;
	fresh.json = text_detach(&t);
	if (!fresh.json || !add_seat(&fresh, what->seat)) {
		forget(&fresh);
		return;
	}
	c->last = fresh.number;
	forget(place_of(c, fresh.number));
	*place_of(c, fresh.number) = fresh;
	if (c->listen)
		c->listen(c->arg, fresh.number, str_make(fresh.json, fresh.json_n));
}

/* Texts of peers are cut where they would be too long: what is kept is bounded, and still JSON. */
static struct str cut(struct str s, size_t max)
{
	return str_make(s.p, s.n < max ? s.n : max);
}

void change_note(struct changes *c, const struct change *what, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	change_vnote(c, what, fmt, ap);
	va_end(ap);
}

void change_vnote(struct changes *c, const struct change *what, const char *fmt, va_list ap)
{
	struct change w = *what;
	struct text t;

	if (!c)
		return;
	w.node = cut(w.node, 64);
	w.service = cut(w.service, 132);
	w.upstream = cut(w.upstream, 132);
	w.subject = cut(w.subject, 128);
	text_init(&t, 16 * 1024);
	text_vfmt(&t, fmt, ap);
	struct str sentence = cut(text_str(&t), CHANGE_TEXT_MAX);
	uint64_t same = hash_of(&w, sentence);
	struct kept *k = find_same(c, same, &w);
	if (k)
		(void)add_seat(k, w.seat);
	else
		keep(c, &w, sentence, same);
	text_release(&t);
}

/* --- reading ------------------------------------------------------------------------------------------------------------------- */

bool changes_is_of(const struct changes *c, uint64_t number, uint64_t seat)
{
	const struct kept *k = find(c, number);

	return k && (!seat || has_seat(k, seat));
}

static const struct kept *wanted(const struct changes *c, uint64_t number, uint64_t seat, usec oldest)
{
	const struct kept *k = find(c, number);

	return k && k->wall >= oldest && (!seat || has_seat(k, seat)) ? k : NULL;
}

uint32_t changes_print(
	const struct changes *c, struct json *j, uint64_t seat, uint64_t since, usec oldest, size_t max)
{
	uint64_t kept = c->last >= CHANGES_KEPT ? c->last - CHANGES_KEPT : 0,
		 from = since > kept ? since : kept, first = c->last + 1;
	uint32_t left_out = 0;
	size_t n = 0;

	for (uint64_t number = c->last; number > from; number--) {
		const struct kept *k = wanted(c, number, seat, oldest);
		n += k ? k->json_n + 1 : 0;
		if (n <= max)
			first = number;
		else
			left_out += k != NULL;
	}
	for (uint64_t number = first; number <= c->last; number++) {
		const struct kept *k = wanted(c, number, seat, oldest);
		if (k)
			json_raw(j, str_make(k->json, k->json_n));
	}
	return left_out;
}

uint64_t changes_last(const struct changes *c)
{
	return c->last;
}

void changes_listen(struct changes *c, void (*fn)(void *arg, uint64_t number, struct str json), void *arg)
{
	c->listen = fn;
	c->arg = arg;
}

struct changes *changes_new(void)
{
	return mem_zalloc(sizeof(struct changes));
}

void changes_free(struct changes *c)
{
	for (unsigned i = 0; c && i < CHANGES_KEPT; i++)
		forget(&c->at[i]);
	mem_free(c);
}
