#include "control/log_keep.h"

#include "base/mem.h"

#define TEXTS 10
#define LIMIT_MAX 1000u

struct kept { /* the texts stand behind it */
	uint32_t size; /* bytes, with them */
	uint32_t n[TEXTS];
	uint64_t number; /* over all kinds */
	uint64_t wall, seat;
	uint8_t level, kind, stream, cut;
};

/* Entries from `first` to `end`; wrapped: from `first` to `wrap`, and from 0 to `end`. An entry lies in one piece. */
struct store {
	char *mem; /* owned */
	uint32_t size, first, end, wrap;
	bool wrapped;
};

struct log_keep {
	struct store stores[LOG_KINDS];
	uint64_t number;
};

static const uint32_t sizes[LOG_KINDS] = { [LOG_KIND_AGENT] = 64u * 1024u, [LOG_KIND_ACCESS] = 64u * 1024u, [LOG_KIND_APP] = 128u * 1024u };

struct log_keep *log_keep_new(struct err *err)
{
	struct log_keep *k = mem_zalloc(sizeof(*k));
	bool good = k != NULL;

	for (unsigned i = 0; good && i < LOG_KINDS; i++) {
		k->stores[i].size = sizes[i];
		good = (k->stores[i].mem = mem_alloc(sizes[i])) != NULL;
	}
	if (good)
		return k;
	log_keep_free(k);
	err_set(err, "the last log records: out of memory");
	return NULL;
}

void log_keep_free(struct log_keep *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < LOG_KINDS; i++)
		mem_free(k->stores[i].mem);
	mem_free(k);
}

/* --- a store ---------------------------------------------------------------------------------------------------------------- */

static struct kept *entry(const struct store *s, uint32_t at)
{
	return (struct kept *)(void *)(s->mem + at);
}

static bool is_empty(const struct store *s)
{
	return !s->wrapped && s->first == s->end;
}

static void drop_eldest(struct store *s)
{
	s->first += entry(s, s->first)->size;
	if (s->wrapped && s->first == s->wrap) {
		s->first = 0;
		s->wrapped = false;
	}
}

/* n bytes; n is at most a quarter of the store. */
static struct kept *make_room(struct store *s, uint32_t n)
{
	for (;;) {
		if (is_empty(s))
			s->first = s->end = 0;
		if ((s->wrapped ? s->first : s->size) - s->end >= n)
			break;
		if (s->wrapped) {
			drop_eldest(s);
		} else {
			s->wrap = s->end;
			s->end = 0;
			s->wrapped = true;
		}
	}
	struct kept *e = entry(s, s->end);
	s->end += n;
	return e;
}

/* The one behind that at `at`; false: it was the last. */
static bool step(const struct store *s, uint32_t *at, bool *second)
{
	*at += entry(s, *at)->size;
	if (s->wrapped && !*second && *at == s->wrap) {
		*at = 0;
		*second = true;
	}
	return (*second || !s->wrapped) ? *at < s->end : true;
}

/* --- records ----------------------------------------------------------------------------------------------------------------- */

static void texts_of(const struct log_record *r, struct str t[TEXTS])
{
	const struct str all[TEXTS] = { r->subsystem, r->service, r->task, r->stack, r->slot, r->node, r->trace_id, r->span_id, r->message, r->members };

	memcpy(t, all, sizeof(all));
}

static void view(const struct kept *e, struct log_record *r)
{
	const char *p = (const char *)(e + 1);
	struct str *const to[TEXTS] = { &r->subsystem, &r->service, &r->task, &r->stack, &r->slot, &r->node, &r->trace_id, &r->span_id, &r->message,
		&r->members };

	*r = (struct log_record){ .wall = e->wall, .seat = e->seat, .level = e->level, .kind = e->kind, .stream = e->stream };
	for (unsigned i = 0; i < TEXTS; p += e->n[i++])
		*to[i] = str_make(p, e->n[i]);
	if (e->cut && !r->members.n)
		r->members = STR("\"cut\":true");
}

/* Members that are too long cannot be cut in the middle: they are left out. */
static bool fit(struct str t[TEXTS])
{
	bool cut = t[8].n > LOG_KEEP_TEXT || t[9].n > LOG_KEEP_TEXT;

	for (unsigned i = 0; i < 8; i++)
		if (t[i].n > 256)
			t[i].n = 256;
	if (t[8].n > LOG_KEEP_TEXT)
		t[8].n = LOG_KEEP_TEXT;
	if (cut)
		t[9].n = 0;
	return cut;
}

void log_keep_put(struct log_keep *k, const struct log_record *r)
{
	struct str t[TEXTS];
	uint32_t n = sizeof(struct kept);

	texts_of(r, t);
	bool cut = fit(t);
	for (unsigned i = 0; i < TEXTS; i++)
		n += (uint32_t)t[i].n;
	n = (n + 7u) & ~7u;
	if (n > sizes[LOG_KIND_AGENT] / 3)
		return;
	struct kept *e = make_room(&k->stores[r->kind], n);
	*e = (struct kept){ .size = n, .number = ++k->number, .wall = r->wall, .seat = r->seat, .level = r->level, .kind = r->kind,
		.stream = r->stream, .cut = cut };
	char *p = (char *)(e + 1);
	for (unsigned i = 0; i < TEXTS; p += t[i++].n) {
		e->n[i] = (uint32_t)t[i].n;
		if (t[i].n)
			memcpy(p, t[i].p, t[i].n);
	}
}

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

struct newest { /* the last `limit` that fit, of all kinds; a circle for each kind, eldest first */
	const struct kept *at[LIMIT_MAX];
	size_t n;
};

static void gather(const struct store *s, size_t limit, bool (*fits)(const void *, const struct log_record *), const void *with, struct newest *q)
{
	uint32_t at = s->first;
	bool second = false;
	struct log_record r;

	if (is_empty(s))
		return;
	do {
		const struct kept *e = entry(s, at);
		view(e, &r);
		if (!fits || fits(with, &r))
			q->at[q->n++ % limit] = e;
	} while (step(s, &at, &second));
}

/* The newest of all that have not been taken. */
static const struct kept *take(struct newest *q, size_t taken[LOG_KINDS], size_t limit)
{
	const struct kept *best = NULL;
	unsigned of = 0;

	for (unsigned i = 0; i < LOG_KINDS; i++) {
		if (taken[i] == (q[i].n < limit ? q[i].n : limit))
			continue;
		const struct kept *e = q[i].at[(q[i].n - 1 - taken[i]) % limit];
		if (!best || e->number > best->number) {
			best = e;
			of = i;
		}
	}
	if (best)
		taken[of]++;
	return best;
}

bool log_keep_each(const struct log_keep *k, size_t limit, bool (*fits)(const void *with, const struct log_record *r), const void *with,
	bool (*fn)(void *arg, const struct log_record *r), void *arg)
{
	struct newest *q = mem_zarray(LOG_KINDS, sizeof(*q));
	size_t taken[LOG_KINDS] = { 0 }, all = 0, given = 0;
	const struct kept *e;
	struct log_record r;

	if (!q)
		return true;
	limit = limit < 1 ? 1 : limit > LIMIT_MAX ? LIMIT_MAX : limit;
	for (unsigned i = 0; i < LOG_KINDS; i++) {
		gather(&k->stores[i], limit, fits, with, &q[i]);
		all += q[i].n;
	}
	while (given < limit && (e = take(q, taken, limit)) != NULL) {
		view(e, &r);
		if (!fn(arg, &r))
			break;
		given++;
	}
	mem_free(q);
	return given < all;
}
