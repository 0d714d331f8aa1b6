#include "control/flight.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>

#define NOWHERE UINT64_MAX
#define BUCKET_PER 1024u /* bytes of the whole for each bucket of an index */
#define SEATS 256u /* counts of bytes: seats are numbered in a row, so that two of one node seldom share one */
#define THINNED 16u

struct entry { /* then the record, then the texts of who; 8-aligned */
	uint64_t number, seat;
	usec at;
	uint64_t before;     /* position of the one put before it into this ring */
	uint64_t of_request, of_trace; /* of the next older one in its bucket */
	uint32_t span;       /* bytes up to the next one */
	uint32_t n;          /* of the record */
	uint16_t service_n, stack_n, slot_n;
};

struct class_ring {
	char *mem;
	uint64_t cap;              /* bytes, a multiple of 8 */
	uint64_t head, tail;       /* positions: where the next one goes, where the oldest stands */
	uint64_t newest;           /* NOWHERE: none was put */
	uint64_t *requests, *traces; /* buckets: position of the newest one */
	uint64_t entries, pushed_out, too_large;
	usec lost;                 /* when the last one was put that was pushed out */
	uint64_t used, of_seat[SEATS]; /* bytes of entries, without what was skipped at the end of the memory */
	uint64_t thinned, left_out;
};

struct flight {
	size_t bytes;
	uint64_t seed, buckets, number;
	usec began;
	struct class_ring rings[FLIGHT_CLASSES];
	char *mem;
};

/* --- memory ---------------------------------------------------------------------------------------------------------------- */

static uint64_t bucket_count(size_t size)
{
	uint64_t n = 1;

	while (n * 2 * BUCKET_PER <= size)
		n *= 2;
	return n;
}

struct flight *flight_new(size_t size, usec now, struct err *err)
{
	struct flight *f = mem_zalloc(sizeof(*f));
	struct rng rng;

	if (size < FLIGHT_SIZE_MIN)
		size = FLIGHT_SIZE_MIN;
	if (!f || !(f->mem = mem_zalloc(size))) {
		mem_free(f);
		err_set(err, "the flight recorder: out of memory");
		return NULL;
	}
	rng_seed_os(&rng);
	f->seed = rng_next(&rng);
	f->bytes = size;
	f->began = now;
	f->buckets = bucket_count(size);
	uint64_t *index = (void *)f->mem;
	size_t indices = 2 * FLIGHT_CLASSES * f->buckets * sizeof(uint64_t), each = (size - indices) / FLIGHT_CLASSES & ~(size_t)7;
	memset(index, 0xff, indices);
	for (unsigned i = 0; i < FLIGHT_CLASSES; i++)
		f->rings[i] = (struct class_ring){ .mem = f->mem + indices + i * each, .cap = each, .newest = NOWHERE,
						   .requests = index + 2 * i * f->buckets, .traces = index + (2 * i + 1) * f->buckets };
	return f;
}

void flight_free(struct flight *f)
{
	if (!f)
		return;
	mem_free(f->mem);
	mem_free(f);
}

size_t flight_bytes(const struct flight *f)
{
	return f->bytes;
}

static struct entry *entry_at(const struct class_ring *c, uint64_t pos)
{
	return (struct entry *)(void *)(c->mem + pos % c->cap);
}

static bool is_there(const struct class_ring *c, uint64_t pos)
{
	return pos >= c->tail && pos < c->head;
}

static uint64_t entry_bytes(const struct entry *e)
{
	return (sizeof(*e) + e->n + e->service_n + e->stack_n + e->slot_n + 7) & ~(uint64_t)7;
}

static void forget_oldest(struct class_ring *c)
{
	const struct entry *e = entry_at(c, c->tail);

	c->used -= entry_bytes(e);
	c->of_seat[e->seat % SEATS] -= entry_bytes(e);
	c->tail += e->span;
	c->entries--;
}

static void forget_old(struct class_ring *c, usec now)
{
	while (c->entries && entry_at(c, c->tail)->at + FLIGHT_AGE_MAX <= now)
		forget_oldest(c);
}

/* Room in one piece at the head; what stands in the way is pushed out. */
static void make_room(struct class_ring *c, uint64_t n)
{
	uint64_t to_end = c->cap - c->head % c->cap, skip = to_end < n ? to_end : 0;

	while (c->entries && c->head + skip + n - c->tail > c->cap) {
		c->lost = entry_at(c, c->tail)->at;
		c->pushed_out++;
		forget_oldest(c);
	}
	if (c->entries)
		entry_at(c, c->newest)->span += (uint32_t)skip;
	c->head += skip;
	if (!c->entries)
		c->tail = c->head;
}

/* --- putting --------------------------------------------------------------------------------------------------------------- */

static uint64_t *request_bucket(const struct flight *f, const struct class_ring *c, struct str id)
{
	return &c->requests[str_hash(id, f->seed) & (f->buckets - 1)];
}

static uint64_t *trace_bucket(const struct flight *f, const struct class_ring *c, uint64_t lo)
{
	uint64_t h = (lo ^ f->seed) * 0x9e3779b97f4a7c15u;

	return &c->traces[h >> 32 & (f->buckets - 1)];
}

static char *put_bytes(char *p, struct str s)
{
	if (s.n)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

static uint16_t cut(struct str *s)
{
	s->n = s->n > RECORD_TEXT_MAX ? RECORD_TEXT_MAX : s->n;
	return (uint16_t)s->n;
}

static void link_in(const struct flight *f, struct class_ring *c, struct entry *e, const struct record *r, uint64_t pos)
{
	struct str id = record_text(r, RECORD_REQUEST_ID);

	e->before = c->newest;
	e->of_request = e->of_trace = NOWHERE;
	if (id.n) {
		uint64_t *b = request_bucket(f, c, id);
		e->of_request = *b;
		*b = pos;
	}
	if (r->trace_hi | r->trace_lo) {
		uint64_t *b = trace_bucket(f, c, r->trace_lo);
		e->of_trace = *b;
		*b = pos;
	}
	c->newest = pos;
}

/* Who fills more than half of it, and would go on to push out the others, puts one in THINNED: theirs stay so many times as long. */
static bool is_left_out(struct class_ring *c, uint64_t seat)
{
	uint64_t mine = c->of_seat[seat % SEATS];

	if (mine <= c->cap / 2 || mine == c->used)
		return false;
	if (c->thinned++ % THINNED == 0)
		return false;
	c->left_out++;
	return true;
}

void flight_put(struct flight *f, const struct telemetry_who *who, const struct record *r, uint32_t n, usec now)
{
	const uint8_t rare = RECORD_FAILED | RECORD_SLOW | RECORD_RETRIED;
	struct class_ring *c = &f->rings[r->why & rare ? FLIGHT_KEPT : FLIGHT_OTHER];
	struct str service = who->service, stack = who->stack, slot = who->slot;

	if (!(r->why & (rare | RECORD_TRACED | RECORD_LOGGED)))
		return;
	struct entry head = { .number = ++f->number, .seat = who->seat, .at = now, .n = n, .service_n = cut(&service), .stack_n = cut(&stack),
			      .slot_n = cut(&slot) };
	uint64_t all = entry_bytes(&head);
	forget_old(c, now);
	if (all > c->cap / 4) {
		c->too_large++;
		return;
	}
	if (is_left_out(c, who->seat))
		return;
	head.span = (uint32_t)all;
	make_room(c, all);
	struct entry *e = entry_at(c, c->head);
	*e = head;
	link_in(f, c, e, r, c->head);
	char *p = put_bytes((char *)(e + 1), str_make((const char *)r, n));
	put_bytes(put_bytes(put_bytes(p, service), stack), slot);
	c->head += all;
	c->used += all;
	c->of_seat[who->seat % SEATS] += all;
	c->entries++;
}

/* --- asking ---------------------------------------------------------------------------------------------------------------- */

static void show(const struct entry *e, unsigned class, struct flight_entry *ret)
{
	const char *p = (const char *)(e + 1) + e->n;

	*ret = (struct flight_entry){ .record = (const void *)(e + 1), .number = e->number, .at = e->at, .class = (uint8_t)class };
	ret->who.service = str_make(p, e->service_n);
	ret->who.stack = str_make(p + e->service_n, e->stack_n);
	ret->who.slot = str_make(p + e->service_n + e->stack_n, e->slot_n);
	ret->who.seat = e->seat;
}

size_t flight_find_request(struct flight *f, struct str id, uint64_t seat, usec now, struct flight_entry *dst, size_t max)
{
	unsigned steps = 0;
	size_t n = 0;

	for (unsigned i = 0; i < FLIGHT_CLASSES && id.n; i++) {
		struct class_ring *c = &f->rings[i];
		forget_old(c, now);
		uint64_t pos = *request_bucket(f, c, id);
		for (const struct entry *e; n < max && is_there(c, pos) && steps++ < FLIGHT_STEPS_MAX; pos = e->of_request) {
			e = entry_at(c, pos);
			if ((!seat || e->seat == seat) && str_eq(record_text((const void *)(e + 1), RECORD_REQUEST_ID), id))
				show(e, i, &dst[n++]);
		}
	}
	return n;
}

static bool is_of_trace(const struct entry *e, uint64_t hi, uint64_t lo)
{
	const struct record *r = (const void *)(e + 1);

	return r->trace_lo == lo && (!hi || r->trace_hi == hi);
}

size_t flight_find_trace(struct flight *f, uint64_t hi, uint64_t lo, uint64_t seat, usec now, struct flight_entry *dst, size_t max)
{
	unsigned steps = 0;
	size_t n = 0;

	for (unsigned i = 0; i < FLIGHT_CLASSES && (hi | lo); i++) {
		struct class_ring *c = &f->rings[i];
		forget_old(c, now);
		uint64_t pos = *trace_bucket(f, c, lo);
		for (const struct entry *e; n < max && is_there(c, pos) && steps++ < FLIGHT_STEPS_MAX; pos = e->of_trace) {
			e = entry_at(c, pos);
			if ((!seat || e->seat == seat) && is_of_trace(e, hi, lo))
				show(e, i, &dst[n++]);
		}
	}
	return n;
}

static int by_start(const void *x, const void *y)
{
	const struct flight_entry *a = x, *b = y;
	uint64_t p = a->record->started, q = b->record->started;

	return p == q ? (a->number > b->number) - (a->number < b->number) : (p > q) - (p < q);
}

void flight_sort(struct flight_entry *at, size_t n)
{
	qsort(at, n, sizeof(*at), by_start);
}

void flight_walk(struct flight *f, bool kept_only, uint64_t seat, uint64_t below, usec now, struct flight_walk *w)
{
	*w = (struct flight_walk){ .of = f, .seat = seat, .below = below ? below : UINT64_MAX };
	for (unsigned i = 0; i < FLIGHT_CLASSES; i++) {
		forget_old(&f->rings[i], now);
		w->at[i] = kept_only && i != FLIGHT_KEPT ? NOWHERE : f->rings[i].newest;
	}
}

bool flight_next(struct flight_walk *w, struct flight_entry *ret)
{
	while (w->steps++ < FLIGHT_STEPS_MAX) {
		const struct entry *best = NULL;
		unsigned of = 0;
		for (unsigned i = 0; i < FLIGHT_CLASSES; i++) {
			const struct class_ring *c = &w->of->rings[i];
			const struct entry *e = is_there(c, w->at[i]) ? entry_at(c, w->at[i]) : NULL;
			if (e && (!best || e->number > best->number)) {
				best = e;
				of = i;
			}
		}
		if (!best)
			return false;
		w->at[of] = best->before;
		if (best->number >= w->below || (w->seat && best->seat != w->seat))
			continue;
		show(best, of, ret);
		return true;
	}
	return false;
}

struct flight_reach flight_reach(struct flight *f, enum flight_class class, usec now)
{
	struct class_ring *c = &f->rings[class];

	forget_old(c, now);
	usec since = c->pushed_out && c->lost > f->began ? c->lost : f->began, back = now > since ? now - since : 0;
	return (struct flight_reach){ .entries = c->entries, .pushed_out = c->pushed_out, .too_large = c->too_large, .left_out = c->left_out,
				      .bytes = (size_t)(c->head - c->tail), .room = (size_t)c->cap, .back = back < FLIGHT_AGE_MAX ? back : FLIGHT_AGE_MAX };
}
