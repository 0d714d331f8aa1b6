#include "control/log_tail.h"

#include "base/mem.h"
#include "control/admin.h"
#include "control/log_json.h"
#include "net/timer.h"

#define EVENT_MAX (HTTPD_OUTPUT_MAX / 2)

struct reader {
	struct log_tail *of;
	struct httpd_request *r; /* NULL: a free place */
	struct log_filter filter;
	unsigned sent; /* in this second */
	uint64_t dropped;
};

struct log_tail {
	struct loop *loop;
	struct text event;
	struct timer timer; /* every second while somebody reads */
	usec last_ping;
	bool giving; /* what a reader's end makes us log is not given again */
	struct reader readers[LOG_TAIL_READERS];
};

static void watch_readers(struct log_tail *t)
{
	bool any = false;

	for (unsigned i = 0; i < LOG_TAIL_READERS; i++)
		any = any || t->readers[i].r;
	if (!any)
		timer_clear(&t->timer);
	else if (!timer_armed(&t->timer))
		timer_set(t->loop, &t->timer, loop_touch(t->loop) + USEC_SEC);
}

static void send_event(struct log_tail *t, struct reader *to)
{
	if (t->event.failed)
		to->dropped++;
	else if (!httpd_stream_send(to->r, text_str(&t->event)))
		to->r = NULL; /* too slow, or gone */
}

static void tend(struct log_tail *t, struct reader *q, bool ping)
{
	text_clear(&t->event);
	if (q->dropped)
		text_fmt(&t->event, "event: dropped\ndata: {\"dropped\":%llu}\n\n", (unsigned long long)q->dropped);
	else if (ping)
		text_addz(&t->event, ": nothing else\n\n");
	q->sent = 0;
	q->dropped = 0;
	if (t->event.n)
		send_event(t, q);
}

static void on_second(void *arg)
{
	struct log_tail *t = arg;
	usec now = loop_touch(t->loop);
	bool ping = now >= t->last_ping + LOG_TAIL_PING;

	for (unsigned i = 0; i < LOG_TAIL_READERS; i++)
		if (t->readers[i].r)
			tend(t, &t->readers[i], ping);
	if (ping)
		t->last_ping = now;
	watch_readers(t);
}

static void make_event(struct log_tail *t, const struct log_record *r)
{
	text_clear(&t->event);
	text_addz(&t->event, "data: ");
	log_json_page(&t->event, r);
	text_addz(&t->event, "\n\n");
}

void log_tail_put(struct log_tail *t, const struct log_record *r)
{
	bool made = false;

	if (!timer_armed(&t->timer) || t->giving)
		return; /* nobody reads */
	t->giving = true;
	for (unsigned i = 0; i < LOG_TAIL_READERS; i++) {
		struct reader *q = &t->readers[i];
		if (!q->r || !log_filter_fits(&q->filter, r))
			continue;
		if (q->sent == LOG_TAIL_RATE) {
			q->dropped++;
			continue;
		}
		q->sent++;
		if (!made)
			make_event(t, r);
		made = true;
		send_event(t, q);
	}
	t->giving = false;
}

static void on_gone(void *arg)
{
	struct reader *q = arg;

	q->r = NULL;
	watch_readers(q->of);
}

/* One container of a node is to leave places for others, and all of them one for the node's own port. */
static bool has_place(const struct log_tail *t, uint64_t seat)
{
	unsigned of_seat = 0, of_seats = 0;

	for (unsigned i = 0; seat && i < LOG_TAIL_READERS; i++) {
		of_seats += t->readers[i].r && t->readers[i].filter.seat;
		of_seat += t->readers[i].r && t->readers[i].filter.seat == seat;
	}
	return of_seat < LOG_TAIL_OF_SEAT && of_seats < LOG_TAIL_READERS - 1;
}

void log_tail_serve(struct log_tail *t, struct httpd_request *r, const struct log_filter *f)
{
	for (unsigned i = 0; has_place(t, f->seat) && i < LOG_TAIL_READERS; i++) {
		struct reader *q = &t->readers[i];
		if (q->r)
			continue;
		*q = (struct reader){ .of = t, .r = r, .filter = *f };
		httpd_on_gone(r, on_gone, q);
		httpd_reply_header(r, "Cache-Control", "no-store");
		httpd_reply_header(r, "X-Content-Type-Options", "nosniff");
		httpd_stream_begin(r, 200, "text/event-stream; charset=utf-8");
		watch_readers(t);
		return;
	}
	admin_refuse(r, 503, "busy", "As many readers as may be are there already.", "End one of them; there may be ten.");
}

struct log_tail *log_tail_new(struct loop *l, struct err *err)
{
	struct log_tail *t = mem_zalloc(sizeof(*t));

	if (!t) {
		err_set(err, "/log/tail: out of memory");
		return NULL;
	}
	t->loop = l;
	text_init(&t->event, EVENT_MAX);
	timer_init(&t->timer, on_second, t);
	return t;
}

void log_tail_free(struct log_tail *t)
{
	if (!t)
		return;
	timer_clear(&t->timer);
	text_release(&t->event);
	mem_free(t);
}
