#include "span_post.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/unit.h"
#include "net/timer.h"
#include "span_peers.h"

#include <zlib.h>

#define FLUSH_PAUSE (50 * USEC_MS)
#define GZIP_WINDOW (15 + 16) /* zlib's way to ask for gzip's own head and end */

struct exporter {
	struct loop *loop;
	struct exporter_events events;
	void *arg;
	const struct span_kind_of_peer *kind;
	struct span_peers peers;
	struct span_queue queue;
	struct rng rng;
	struct timer timer, patience; /* the next post; the end of a flush */
	usec due;                     /* when what waits is to go; of use while something waits */
	usec not_before;              /* the end of a pause */
	struct fetch *fetch;
	unsigned tries, failures; /* of this batch; in a row */
	bool gzip, zipper_on, packed;
	z_stream zipper;
	void (*done)(void *arg); /* of a flush; NULL: none */
	void *done_arg;
	struct err told;
};

/* --- rules -------------------------------------------------------------------------------------------------------------------------- */

usec span_post_pause(unsigned n, double chance)
{
	usec p = SPAN_PAUSE_FIRST;

	for (; n > 1 && p < SPAN_PAUSE_MAX; n--)
		p *= 2;
	p = p < SPAN_PAUSE_MAX ? p : SPAN_PAUSE_MAX;
	return p / 2 + (usec)((double)p * chance / 2);
}

usec span_post_retry_after(struct str field)
{
	uint64_t seconds;

	if (!str_u64(field, &seconds)) /* a date, which we do not read, or nothing */
		return 0;
	return seconds < SPAN_RETRY_AFTER_MAX / USEC_SEC ? seconds * USEC_SEC : SPAN_RETRY_AFTER_MAX;
}

/* --- when -------------------------------------------------------------------------------------------------------------------------- */

static void tell(struct exporter *e, const char *why)
{
	if (strcmp(e->told.text, why) == 0)
		return;
	err_set(&e->told, "%s", why);
	e->events.on_trouble(e->arg, e->told.text);
}

static void schedule(struct exporter *e)
{
	usec when = e->queue.batch || e->done || span_queue_has_batch(&e->queue) ? 0 : e->due;

	if (e->fetch || !(e->queue.batch || e->queue.waiting))
		return;
	when = when > e->not_before ? when : e->not_before;
	if (!timer_armed(&e->timer) || when < e->timer.deadline)
		timer_set(e->loop, &e->timer, when);
}

/* The end of a flush, whatever is left. Always from the timer, never from a fetch's callback: the owner may close us. */
static void on_patience(void *arg)
{
	struct exporter *e = arg;
	void (*done)(void *arg) = e->done;

	e->done = NULL;
	if (done)
		done(e->done_arg);
}

/* After a post: on with the next one, or the end of a flush. */
static void go_on(struct exporter *e)
{
	schedule(e);
	if (e->done && !e->fetch && !e->queue.batch && e->queue.waiting == 0)
		timer_set(e->loop, &e->patience, loop_now(e->loop));
}

/* --- outcomes ---------------------------------------------------------------------------------------------------------------------- */

static void settle(struct exporter *e, uint64_t refused, uint64_t failed)
{
	span_queue_settle(&e->queue, refused, failed);
	e->tries = 0;
}

/* The collector failed, so the next address is the one to try. again: this batch may be posted once more; trouble is only when it is lost. */
static void failed(struct exporter *e, bool again, usec retry_after, const char *why)
{
	unsigned servers = e->peers.n;
	usec now = loop_now(e->loop), pause;

	e->failures++;
	e->tries++;
	e->peers.current = (e->peers.current + 1) % servers;
	if (!again || e->tries > servers) {
		settle(e, 0, UINT64_MAX);
		tell(e, why);
	}
	pause = e->failures % servers == 0 ? span_post_pause(e->failures / servers, rng_unit(&e->rng)) : 0;
	pause = retry_after > pause ? retry_after : pause;
	if (e->done && pause > FLUSH_PAUSE)
		pause = FLUSH_PAUSE;
	e->not_before = now + pause;
}

static void taken(struct exporter *e, uint64_t rejected, const struct err *words)
{
	struct err why = { "" };

	if (rejected)
		span_peers_partial(&e->peers, rejected, words, &why);
	settle(e, rejected, 0);
	tell(e, why.text);
}

static void on_reply(void *arg, const struct fetch_reply *r)
{
	struct exporter *e = arg;
	struct err words = { "" }, why;
	uint64_t rejected = 0;
	enum span_verdict v = SPAN_AGAIN;

	e->fetch = NULL;
	if (r->status)
		v = e->kind->judge(r, &rejected, &words);
	if (v != SPAN_AGAIN)
		e->failures = 0;
	if (v == SPAN_TAKEN) {
		taken(e, rejected, &words);
	} else {
		span_peers_why(&e->peers, r, e->packed, &why);
		if (v == SPAN_REFUSED) {
			settle(e, UINT64_MAX, 0);
			tell(e, why.text);
		} else {
			failed(e, r->status != 0 || r->unsent, span_post_retry_after(fetch_header(r, "Retry-After")), why.text);
		}
	}
	go_on(e);
}

/* --- posting ------------------------------------------------------------------------------------------------------------------------- */

static voidpf zip_alloc(voidpf arg, uInt count, uInt size)
{
	(void)arg;
	return mem_zarray(count, size);
}

static void zip_free(voidpf arg, voidpf p)
{
	(void)arg;
	mem_free(p);
}

static bool zipper_open(struct exporter *e, struct err *err)
{
	e->zipper.zalloc = zip_alloc;
	e->zipper.zfree = zip_free;
	e->zipper_on = deflateInit2(&e->zipper, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	return e->zipper_on || err_set(err, "no memory for gzip");
}

/* The batch with gzip; without memory it stays as it is. */
static void pack(struct exporter *e)
{
	struct span_queue *q = &e->queue;
	uLong bound = deflateBound(&e->zipper, q->batch_n);
	char *to = mem_alloc(bound);

	e->packed = false;
	if (!to)
		return;
	e->zipper.next_in = (Bytef *)q->batch;
	e->zipper.avail_in = (uInt)q->batch_n;
	e->zipper.next_out = (Bytef *)to;
	e->zipper.avail_out = (uInt)bound;
	e->packed = deflate(&e->zipper, Z_FINISH) == Z_STREAM_END;
	if (e->packed)
		span_queue_packed(q, to, bound - e->zipper.avail_out);
	else
		mem_free(to);
	(void)deflateReset(&e->zipper);
}

static usec time_left(const struct exporter *e)
{
	usec now = loop_now(e->loop);

	if (!e->done)
		return SPAN_POST_TIME;
	return e->patience.deadline > now + FLUSH_PAUSE ? e->patience.deadline - now : FLUSH_PAUSE;
}

static void post(void *arg)
{
	struct exporter *e = arg;
	struct span_queue *q = &e->queue;
	struct err err;

	if (e->fetch)
		return;
	if (!q->batch && span_queue_take(q) && e->gzip)
		pack(e);
	if (q->batch) {
		e->fetch = span_peers_post(&e->peers, str_make(q->batch, q->batch_n), e->packed, time_left(e), on_reply, e, &err);
		if (!e->fetch)
			failed(e, true, 0, err.text);
	} else if (q->waiting) {
		tell(e, "no memory for a batch of spans");
		e->not_before = loop_now(e->loop) + SPAN_EVERY;
	}
	go_on(e);
}

/* --- the plug-in ---------------------------------------------------------------------------------------------------------------------- */

void span_post_put(struct exporter *e, const struct span *spans, size_t n)
{
	if (e->queue.waiting == 0)
		e->due = loop_now(e->loop) + SPAN_EVERY;
	for (size_t i = 0; i < n; i++)
		span_queue_add(&e->queue, &spans[i]);
	schedule(e);
}

struct exporter_counts span_post_counts(const struct exporter *e)
{
	return span_queue_counts(&e->queue);
}

void span_post_flush(struct exporter *e, void (*done)(void *arg), void *arg)
{
	bool idle = !e->fetch && !e->queue.batch && e->queue.waiting == 0;
	usec now = loop_touch(e->loop);

	e->done = done;
	e->done_arg = arg;
	e->not_before = 0;
	timer_set(e->loop, &e->patience, idle ? now : now + SPAN_FLUSH_TIME);
	schedule(e);
}

void span_post_close(struct exporter *e)
{
	if (!e)
		return;
	if (e->fetch)
		fetch_cancel(e->fetch);
	timer_clear(&e->timer);
	timer_clear(&e->patience);
	if (e->zipper_on)
		(void)deflateEnd(&e->zipper);
	span_peers_release(&e->peers);
	span_queue_release(&e->queue);
	mem_free(e);
}

static bool set_up(struct exporter *e, const struct exporter_config *c, struct err *err)
{
	struct str gzip = plugin_setting(&c->settings, e->kind->plugin, "gzip"), queue = plugin_setting(&c->settings, e->kind->plugin, "queue");
	uint64_t size = SPAN_QUEUE_SIZE;

	e->gzip = str_ieq(gzip, STR("on")) || str_ieq(gzip, STR("true"));
	if (queue.n && !size_parse(queue, &size))
		return err_set(err, "outrider.%s.queue is no size such as 1MiB", e->kind->plugin);
	return span_queue_init(&e->queue, &e->kind->format, size, err) && span_peers_init(&e->peers, e->kind, c, err) &&
	       (!e->gzip || zipper_open(e, err));
}

struct exporter *span_post_open(const struct span_kind_of_peer *kind, const struct exporter_config *c, const struct exporter_events *events,
				void *arg, struct err *err)
{
	struct exporter *e = mem_zalloc(sizeof(*e));

	if (!e) {
		err_set(err, "no memory");
		return NULL;
	}
	e->loop = c->loop;
	e->events = *events;
	e->arg = arg;
	e->kind = kind;
	rng_seed_os(&e->rng);
	timer_init(&e->timer, post, e);
	timer_init(&e->patience, on_patience, e);
	if (set_up(e, c, err))
		return e;
	span_post_close(e);
	return NULL;
}
