#include "proxy/overload.h"

#include "proxy/client.h"
#include "proxy/origin.h"
#include "proxy/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOOK_AGAIN (48 * USEC_MS)
#define LOOKED_AT 4096u  /* connections looked at in one go, over all listeners */
#define LOOKED_AT_LEAST 16u /* and so many more of each */
#define RESTS_FOR USEC_SEC /* who rests for less may be about to send */
#define LOOK_BYTES ((size_t)2 << 20) /* of buffers */
#define BUSY_WEIGHT 4 /* what is under way takes so much more memory than a connection */
#define KEEP_SPARE 8u    /* buffers kept while there is an overload */

static const struct {
	const char *word;
	unsigned at; /* percent */
} rows[OVERLOAD_STEPS] = {
	[OVERLOAD_NONE] = { "none", 0 },
	[OVERLOAD_SHRINK] = { "shrink", 70 },
	[OVERLOAD_CLOSE] = { "close", 80 },
	[OVERLOAD_SHED_LOW] = { "shed-low", 85 },
	[OVERLOAD_SHED] = { "shed", 90 },
	[OVERLOAD_STOP] = { "stop", 95 },
};

const char *overload_word(enum overload_step s)
{
	return rows[s].word;
}

enum overload_step overload_next(enum overload_step now, unsigned load)
{
	while (now + 1 < OVERLOAD_STEPS && load >= rows[now + 1].at)
		now++;
	while (now > OVERLOAD_NONE && load + OVERLOAD_HYSTERESIS < rows[now].at)
		now--;
	return now;
}

/* --- the load ------------------------------------------------------------------------------------------------------------ */

static unsigned percent(uint64_t part, uint64_t whole)
{
	return part >= whole ? 100 : (unsigned)(part * 100 / whole);
}

static unsigned memory_load(const struct worker *w)
{
	return w->cfg.memory_percent ? atomic_load_explicit(w->cfg.memory_percent, memory_order_relaxed) : 0;
}

static void probe_descriptors(struct overload *o)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	if (fd < 0) {
		o->fds = errno == EMFILE ? o->fds_max : 0; /* without a stderr nothing can be probed */
		return;
	}
	o->fds = (uint32_t)fd;
	close(fd);
}

/* --- what each step does ---------------------------------------------------------------------------------------------------- */

/* The oldest first; who was looked at goes to the other end, so that the next look goes on behind it. */
static void close_resting_of(struct wlistener *l, usec now, uint32_t most)
{
	for (uint32_t n = l->n_clients < most ? l->n_clients : most; n && !list_empty(&l->clients); n--) {
		struct client *c = LIST_OWNER(l->clients.prev, struct client, link);
		list_remove(&c->link);
		list_push(&l->clients, &c->link);
		if (c->active + RESTS_FOR <= now)
			client_close_idle(c);
	}
}

static void close_resting(struct wsidecar *sc, usec now, uint32_t most)
{
	LIST_EACH(it, tmp, &sc->listeners)
		close_resting_of(LIST_OWNER(it, struct wlistener, link), now, most);
}

/* Listeners on which connections that rest are closed. */
static uint32_t count_closing(const struct worker *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->cfg.max_sidecars; i++)
		if (w->sidecars[i] && overload_of(w->sidecars[i]) >= OVERLOAD_CLOSE)
			LIST_EACH(it, tmp, &w->sidecars[i]->listeners)
				n++;
	return n;
}

static void hold_listeners(struct wsidecar *sc)
{
	bool hold = overload_of(sc) >= OVERLOAD_STOP;

	LIST_EACH(it, tmp, &sc->listeners) {
		struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
		if (l->accepting)
			listener_hold(&l->l, hold);
	}
}

static void trim_pools(struct worker *w, usec now)
{
	for (uint32_t i = 0; i < w->cfg.max_endpoints; i++)
		if (w->endpoints[i])
			pool_trim(w->endpoints[i], now - RESTS_FOR);
	for (uint32_t i = 0; i < w->cfg.max_upstreams; i++) {
		struct wupstream *u = w->upstreams[i];
		if (!u)
			continue;
		LIST_EACH(it, tmp, &u->dynamic)
			pool_trim(LIST_OWNER(it, struct wendpoint, link), now - RESTS_FOR);
	}
}

static void apply(struct worker *w)
{
	uint32_t n = count_closing(w), most = LOOKED_AT / (n ? n : 1) + LOOKED_AT_LEAST;
	usec now = loop_now(w->loop);

	for (uint32_t i = 0; i < w->cfg.max_sidecars; i++) {
		struct wsidecar *sc = w->sidecars[i];
		if (!sc)
			continue;
		hold_listeners(sc);
		if (overload_of(sc) >= OVERLOAD_CLOSE)
			close_resting(sc, now, most);
	}
	if (w->over.step >= OVERLOAD_CLOSE)
		trim_pools(w, now);
}

/* --- a change ------------------------------------------------------------------------------------------------------------------ */

static void on_told(struct bell *b)
{
	struct overload *o = LIST_OWNER(b, struct overload, told);
	struct worker *w = LIST_OWNER(o, struct worker, over);

	w->cfg.overloaded(w->cfg.arg, w->cfg.index, (enum overload_step)atomic_load_explicit(&o->step, memory_order_relaxed));
}

static void step_to(struct worker *w, enum overload_step step)
{
	struct overload *o = &w->over;

	atomic_store_explicit(&o->step, (uint8_t)step, memory_order_relaxed);
	w->blocks.keep = step ? KEEP_SPARE : WORKER_KEEP_BLOCKS;
	w->blocks.tight = step >= OVERLOAD_SHRINK;
	if (step)
		block_pool_trim(&w->blocks);
	if (w->cfg.overloaded)
		bell_ring(w->cfg.control, &o->told);
}

static void on_grew(struct bell *b)
{
	struct overload *o = LIST_OWNER(b, struct overload, grown);
	struct worker *w = LIST_OWNER(o, struct worker, over);

	w->cfg.grew(w->cfg.arg);
}

/* A crowd takes a small container's memory within a tenth of a second: control looks when there is something to see. */
static void watch_growth(struct worker *w)
{
	struct overload *o = &w->over;
	bool grew = w->blocks.out >= o->look_at;

	atomic_store_explicit(&w->over.clients, w->n_clients, memory_order_relaxed);
	if (!grew && w->blocks.out + 2 * LOOK_BYTES >= o->look_at)
		return;
	o->look_at = w->blocks.out + LOOK_BYTES;
	if (grew && w->cfg.grew)
		bell_ring(w->cfg.control, &o->grown);
}

static void weigh(struct worker *w)
{
	struct overload *o = &w->over;
	unsigned buffers = percent(w->blocks.out, w->blocks.max_bytes);
	unsigned descriptors = percent(o->fds, o->fds_max), memory = memory_load(w);

	atomic_store_explicit(&o->buffers, (uint8_t)buffers, memory_order_relaxed);
	atomic_store_explicit(&o->descriptors, (uint8_t)descriptors, memory_order_relaxed);
	memory = memory > buffers ? memory : buffers;
	o->by_memory = memory > descriptors;
	o->load = (uint8_t)(o->by_memory ? memory : descriptors);
	enum overload_step step = overload_next(o->step, o->load);
	if (step == o->step)
		return;
	step_to(w, step);
	apply(w);
	if (step && !timer_armed(&o->timer))
		timer_set(w->loop, &o->timer, loop_now(w->loop) + LOOK_AGAIN);
}

static void on_look(void *arg)
{
	struct worker *w = arg;

	probe_descriptors(&w->over);
	weigh(w);
	if (w->over.step == OVERLOAD_NONE)
		return;
	apply(w);
	timer_set(w->loop, &w->over.timer, loop_now(w->loop) + LOOK_AGAIN);
}

void overload_init(struct worker *w)
{
	struct rlimit r;

	timer_init(&w->over.timer, on_look, w);
	bell_init(&w->over.told, on_told);
	bell_init(&w->over.grown, on_grew);
	w->over.fds_max = UINT32_MAX;
	w->over.look_at = LOOK_BYTES;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur && r.rlim_cur < UINT32_MAX)
		w->over.fds_max = (uint32_t)r.rlim_cur;
}

void overload_end(struct worker *w)
{
	timer_clear(&w->over.timer);
}

void overload_saw(struct worker *w, int fd)
{
	struct overload *o = &w->over;

	if ((uint32_t)fd <= o->fds)
		return;
	o->fds = (uint32_t)fd;
	if ((uint64_t)o->fds * 100 >= (uint64_t)o->fds_max * rows[OVERLOAD_STOP].at)
		weigh(w); /* a batch of connections is not accepted to its end */
}

void overload_weigh(struct worker *w)
{
	const unsigned at = rows[OVERLOAD_SHRINK].at;

	watch_growth(w);
	if (w->over.step == OVERLOAD_NONE && (uint64_t)w->blocks.out * 100 < (uint64_t)w->blocks.max_bytes * at &&
	    (uint64_t)w->over.fds * 100 < (uint64_t)w->over.fds_max * at && memory_load(w) < at)
		return;
	if (w->over.step == OVERLOAD_NONE)
		probe_descriptors(&w->over);
	weigh(w);
}

/* --- for sidecars and requests ------------------------------------------------------------------------------------------------------ */

/* Than its share. */
static bool has_less(const struct wsidecar *sc, bool of_memory)
{
	const struct worker *w = sc->w;
	uint64_t weight = of_memory ? BUSY_WEIGHT : 0;
	uint64_t own = sc->n_clients + weight * sc->n_busy, all = w->n_clients + weight * worker_busy(w);

	return w->n_seated > 1 && own * w->n_seated < all;
}

bool overload_is_reserved(const struct wsidecar *sc)
{
	return sc->w->n_seated > 1 && !has_less(sc, true);
}

enum overload_step overload_of(const struct wsidecar *sc)
{
	const struct worker *w = sc->w;
	enum overload_step step = (enum overload_step)w->over.step;

	if (step == OVERLOAD_NONE || w->over.load >= OVERLOAD_SHARED)
		return step;
	return has_less(sc, w->over.by_memory) ? OVERLOAD_NONE : step;
}

enum priority { PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH };

static enum priority priority_of(const struct exchange *x)
{
	if (!x->req.first[FIELD_X_OUTRIDER_PRIORITY] || !forward_trusts(x))
		return PRIORITY_NORMAL;
	struct str v = field_value(head_get(&x->req, FIELD_X_OUTRIDER_PRIORITY));
	return str_ieq(v, STR("low")) ? PRIORITY_LOW : str_ieq(v, STR("high")) ? PRIORITY_HIGH : PRIORITY_NORMAL;
}

bool overload_sheds(struct exchange *x)
{
	enum overload_step step = overload_of(x->sc);

	if (step < OVERLOAD_SHED_LOW || priority_of(x) > (step == OVERLOAD_SHED_LOW ? PRIORITY_LOW : PRIORITY_NORMAL))
		return false;
	count(x->sc, COUNTER_SHED);
	if (x->upstream->mode != MODE_ON)
		count(x->sc, COUNTER_OBSERVED_SHED);
	return x->upstream->mode == MODE_ON;
}
