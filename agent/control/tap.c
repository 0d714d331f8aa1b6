#include "control/tap.h"

#include "base/mem.h"
#include "control/access_format.h"
#include "control/admin.h"
#include "control/record_filter.h"
#include "net/timer.h"

struct reader {
	struct tap *of;
	struct httpd_request *r; /* NULL: a free place */
	uint64_t seat;
	struct record_filter filter;
	unsigned sent;           /* in this second */
	uint64_t dropped;
};

struct tap {
	struct loop *loop;
	_Atomic bool *wanted;
	struct line *line;
	struct timer timer; /* every second while somebody reads */
	usec last_ping;
	struct reader readers[TAP_READERS];
};

static bool any_reader(const struct tap *t)
{
	for (unsigned i = 0; i < TAP_READERS; i++)
		if (t->readers[i].r)
			return true;
	return false;
}

static void count_readers(struct tap *t)
{
	bool any = any_reader(t);

	atomic_store_explicit(t->wanted, any, memory_order_relaxed);
	if (!any)
		timer_clear(&t->timer);
	else if (!timer_armed(&t->timer))
		timer_set(t->loop, &t->timer, loop_touch(t->loop) + USEC_SEC);
}

static void send_line(struct tap *t, struct reader *to)
{
	if (!t->line->cut && !httpd_stream_send(to->r, line_str(t->line)))
		to->r = NULL; /* too slow, or gone */
}

static void on_second(void *arg)
{
	struct tap *t = arg;
	usec now = loop_touch(t->loop);
	bool ping = now >= t->last_ping + TAP_PING;

	for (unsigned i = 0; i < TAP_READERS; i++) {
		struct reader *q = &t->readers[i];
		if (!q->r)
			continue;
		line_clear(t->line);
		if (q->dropped) {
			line_add(t->line, STR("event: dropped\ndata: {\"dropped\":"));
			line_u64(t->line, q->dropped);
			line_add(t->line, STR("}\n\n"));
		} else if (ping) {
			line_add(t->line, STR(": nothing else\n\n"));
		}
		q->sent = 0;
		q->dropped = 0;
		if (t->line->n)
			send_line(t, q);
	}
	if (ping)
		t->last_ping = now;
	count_readers(t);
}

void tap_record(void *tap, const struct telemetry_who *who, const struct record *r, uint32_t n)
{
	struct tap *t = tap;
	bool made = false;

	(void)n;
	if (!timer_armed(&t->timer))
		return; /* nobody reads */
	for (unsigned i = 0; i < TAP_READERS; i++) {
		struct reader *q = &t->readers[i];
		if (!q->r || (q->seat && q->seat != who->seat) || !record_filter_fits(&q->filter, who, r))
			continue;
		if (q->sent == TAP_RATE) {
			q->dropped++;
			continue;
		}
		q->sent++;
		if (!made) {
			made = true;
			line_clear(t->line);
			line_add(t->line, STR("data: "));
			access_line_json(t->line, who, r);
			line_add(t->line, STR("\n\n"));
		}
		send_line(t, q);
	}
}

static void on_gone(void *arg)
{
	struct reader *q = arg;

	q->r = NULL;
	count_readers(q->of);
}

/* One container of a node is to leave places for others, and all of them one for the node's own port. */
static bool has_place(const struct tap *t, uint64_t seat)
{
	unsigned of_seat = 0, of_seats = 0;

	for (unsigned i = 0; seat && i < TAP_READERS; i++) {
		of_seats += t->readers[i].r && t->readers[i].seat;
		of_seat += t->readers[i].r && t->readers[i].seat == seat;
	}
	return of_seat < TAP_OF_SEAT && of_seats < TAP_READERS - 1;
}

void tap_serve(struct tap *t, struct httpd_request *r, uint64_t seat)
{
	struct record_filter f;
	const char *bad = record_filter_read(&f, r);

	if (bad) {
		admin_refuse(r, 400, "bad-filter", bad, "?service=&upstream=&route=&status=503|5xx|500-599&reason=WORD&path=/begin&method=&slow=500ms");
		return;
	}
	for (unsigned i = 0; has_place(t, seat) && i < TAP_READERS; i++) {
		struct reader *q = &t->readers[i];
		if (q->r)
			continue;
		*q = (struct reader){ .of = t, .r = r, .seat = seat, .filter = f };
		httpd_on_gone(r, on_gone, q);
		httpd_reply_header(r, "Cache-Control", "no-store");
		httpd_reply_header(r, "X-Content-Type-Options", "nosniff");
		httpd_stream_begin(r, 200, "text/event-stream; charset=utf-8");
		count_readers(t);
		return;
	}
	admin_refuse(r, 503, "busy", "As many readers as may be are there already.", "End one of them; there may be four, and of one container of a node one.");
}

struct tap *tap_new(struct loop *l, _Atomic bool *wanted, struct err *err)
{
	struct tap *t = mem_zalloc(sizeof(*t));
	struct line *line = line_new();

	if (!t || !line) {
		mem_free(t);
		line_free(line);
		err_set(err, "/tap: out of memory");
		return NULL;
	}
	*t = (struct tap){ .loop = l, .wanted = wanted, .line = line };
	timer_init(&t->timer, on_second, t);
	return t;
}

void tap_free(struct tap *t)
{
	if (!t)
		return;
	timer_clear(&t->timer);
	line_free(t->line);
	mem_free(t);
}
