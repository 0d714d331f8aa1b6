#include "proxy/replies.h"

#include "base/mem.h"

#define LOOKS 64u /* at a lock that another thread has: some 2 µs */

static struct str put(char **at, struct str s)
{
	char *to = *at;

	if (s.n)
		memcpy(to, s.p, s.n);
	*at += s.n;
	return str_make(to, s.n);
}

struct reply *reply_new(struct str key, struct str vary, struct str fields, struct str body)
{
	struct reply *r = mem_alloc(sizeof(*r) + key.n + vary.n + fields.n + body.n);

	if (!r)
		return NULL;
	char *at = (char *)(r + 1);
	*r = (struct reply){ .refs = 1, .hash = str_hash(key, 0), .valid = UINT32_MAX };
	r->key = put(&at, key);
	r->vary = put(&at, vary);
	r->fields = put(&at, fields);
	r->body = put(&at, body);
	return r;
}

void reply_unref(struct reply *r)
{
	if (r && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
		mem_free(r);
}

uint64_t reply_bytes(const struct reply *r)
{
	return sizeof(*r) + r->key.n + r->vary.n + r->fields.n + r->body.n;
}

/* --- under the lock -------------------------------------------------------------------------------------------------------- */

static struct reply **bucket_of(struct replies *s, uint64_t hash)
{
	return &s->buckets[hash % REPLIES_BUCKETS];
}

static void unlink_age(struct replies *s, struct reply *r)
{
	*(r->older ? &r->older->newer : &s->oldest) = r->newer;
	*(r->newer ? &r->newer->older : &s->newest) = r->older;
	r->older = r->newer = NULL;
}

static void link_newest(struct replies *s, struct reply *r)
{
	r->older = s->newest;
	r->newer = NULL;
	*(s->newest ? &s->newest->newer : &s->oldest) = r;
	s->newest = r;
}

static void take_out(struct replies *s, struct reply *r)
{
	struct reply **p = bucket_of(s, r->hash);

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	unlink_age(s, r);
	atomic_fetch_sub_explicit(&s->bytes, reply_bytes(r), memory_order_relaxed);
	atomic_fetch_sub_explicit(&s->n, 1, memory_order_relaxed);
	reply_unref(r);
}

static void put_in(struct replies *s, struct reply *r)
{
	struct reply **p = bucket_of(s, r->hash);

	r->next = *p;
	*p = r;
	link_newest(s, r);
	atomic_fetch_add_explicit(&s->bytes, reply_bytes(r), memory_order_relaxed);
	atomic_fetch_add_explicit(&s->n, 1, memory_order_relaxed);
}

/* Held for less than a microsecond as a rule. Who holds it may have been put to sleep, though, so nobody waits for it: some looks, not more. */
static bool try_lock(struct replies *s)
{
	for (unsigned i = 0; i < LOOKS; i++)
		if (pthread_mutex_trylock(&s->lock) == 0)
			return true;
	return false;
}

/* --- for everybody ---------------------------------------------------------------------------------------------------------- */

void replies_put(struct replies *s, struct reply *r, uint64_t max)
{
	if (reply_bytes(r) > max || !try_lock(s)) {
		reply_unref(r);
		return;
	}
	for (struct reply *o = *bucket_of(s, r->hash); o; o = o->next)
		if (str_eq(o->key, r->key) && str_eq(o->vary, r->vary)) {
			take_out(s, o);
			break;
		}
	put_in(s, r);
	while (atomic_load_explicit(&s->bytes, memory_order_relaxed) > max)
		take_out(s, s->oldest); /* never r itself, which fits alone */
	pthread_mutex_unlock(&s->lock);
}

struct reply *replies_find(
	struct replies *s, struct str key, bool (*fits)(void *arg, const struct reply *r), void *arg)
{
	uint64_t hash = str_hash(key, 0);
	struct reply *r;

	if (!try_lock(s))
		return NULL;
	for (r = *bucket_of(s, hash); r; r = r->next)
		if (r->hash == hash && str_eq(r->key, key) && fits(arg, r))
			break;
	if (r) {
		atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
		unlink_age(s, r);
		link_newest(s, r);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

void replies_shrink(struct replies *s, uint64_t max)
{
	pthread_mutex_lock(&s->lock);
	while (s->oldest && atomic_load_explicit(&s->bytes, memory_order_relaxed) > max)
		take_out(s, s->oldest);
	pthread_mutex_unlock(&s->lock);
}

void replies_clear(struct replies *s)
{
	replies_shrink(s, 0);
}
