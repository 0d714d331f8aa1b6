#include "control/log_repeat.h"

#include "control/logs.h"

static void texts_of(const struct log_record *r, struct str t[5])
{
	t[0] = r->subsystem;
	t[1] = r->service;
	t[2] = r->task;
	t[3] = r->message;
	t[4] = r->members;
}

static uint64_t hash_of(const struct log_record *r)
{
	struct str t[5];
	uint64_t h = 0xcbf29ce484222325u ^ r->level;

	texts_of(r, t);
	for (unsigned i = 0; i < 5; i++) {
		for (size_t k = 0; k < t[i].n; k++)
			h = (h ^ (unsigned char)t[i].p[k]) * 0x100000001b3u;
		h = (h ^ 0x1ff) * 0x100000001b3u;
	}
	return h ? h : 1;
}

static bool is_same(const struct log_repeat_row *row, uint64_t hash, const struct log_record *r)
{
	struct str t[5];
	size_t at = 0;

	if (row->hash != hash || row->level != r->level || row->seat != r->seat)
		return false;
	texts_of(r, t);
	for (unsigned i = 0; i < 5; at += row->n[i++])
		if (!str_eq(t[i], str_make(row->texts.p + at, row->n[i])))
			return false;
	return true;
}

static void set(struct log_repeat_row *row, uint64_t hash, const struct log_record *r, usec now)
{
	struct str t[5];

	texts_of(r, t);
	text_clear(&row->texts);
	for (unsigned i = 0; i < 5; i++) {
		row->n[i] = (uint16_t)t[i].n;
		text_add(&row->texts, t[i]);
	}
	row->hash = row->texts.failed ? 0 : hash;
	row->began = now;
	row->wall = r->wall;
	row->seat = r->seat;
	row->level = r->level;
	row->seen = 1;
	row->held = 0;
}

/* A free row, else the eldest of which nothing is to be said. */
static struct log_repeat_row *place(struct log_repeat *q)
{
	struct log_repeat_row *best = NULL;

	for (unsigned i = 0; i < LOG_REPEAT_ROWS; i++) {
		struct log_repeat_row *row = &q->rows[i];
		if (!row->hash)
			return row;
		if (!row->held && (!best || row->began < best->began))
			best = row;
	}
	return best;
}

bool log_repeat_take(struct log_repeat *q, const struct log_record *r, usec now)
{
	size_t all = r->subsystem.n + r->service.n + r->task.n + r->message.n + r->members.n;
	uint64_t hash = hash_of(r);

	if (all > LOG_REPEAT_BYTES)
		return false;
	for (unsigned i = 0; i < LOG_REPEAT_ROWS; i++) {
		struct log_repeat_row *row = &q->rows[i];
		if (!is_same(row, hash, r))
			continue;
		if (!row->held && now >= row->began + LOGS_WINDOW) {
			row->began = now;
			row->seen = 0;
		}
		row->wall = r->wall;
		if (row->seen < LOGS_BURST) {
			row->seen++;
			return false;
		}
		row->held++;
		q->held++;
		return true;
	}
	struct log_repeat_row *row = place(q);
	if (row)
		set(row, hash, r, now);
	return false;
}

static void make(struct log_repeat *q, const struct log_repeat_row *row, struct log_record *ret)
{
	struct str t[5];
	size_t at = 0;

	for (unsigned i = 0; i < 5; at += row->n[i++])
		t[i] = str_make(row->texts.p + at, row->n[i]);
	text_clear(&q->members);
	text_add(&q->members, t[4]);
	text_fmt(&q->members, "%s\"repeated\":%u", t[4].n ? "," : "", row->held);
	*ret = (struct log_record){ .wall = row->wall, .seat = row->seat, .level = row->level, .kind = LOG_KIND_AGENT, .subsystem = t[0],
		.service = t[1], .task = t[2], .message = t[3], .members = q->members.failed ? STR("") : text_str(&q->members) };
}

bool log_repeat_due(struct log_repeat *q, usec now, struct log_record *ret)
{
	for (unsigned i = 0; i < LOG_REPEAT_ROWS; i++) {
		struct log_repeat_row *row = &q->rows[i];
		if (!row->hash || !row->held || (now != USEC_NEVER && now < row->began + LOGS_WINDOW))
			continue;
		make(q, row, ret);
		row->held = 0;
		row->began = now == USEC_NEVER ? row->began : now; /* goes on: of those in the next window none passes until it was quiet */
		return true;
	}
	return false;
}

usec log_repeat_next(const struct log_repeat *q)
{
	usec next = USEC_NEVER;

	for (unsigned i = 0; i < LOG_REPEAT_ROWS; i++)
		if (q->rows[i].held && q->rows[i].began + LOGS_WINDOW < next)
			next = q->rows[i].began + LOGS_WINDOW;
	return next;
}

void log_repeat_init(struct log_repeat *q)
{
	*q = (struct log_repeat){ .held = 0 };
	text_init(&q->members, LOG_REPEAT_BYTES + 32);
	for (unsigned i = 0; i < LOG_REPEAT_ROWS; i++)
		text_init(&q->rows[i].texts, LOG_REPEAT_BYTES);
}

void log_repeat_release(struct log_repeat *q)
{
	text_release(&q->members);
	for (unsigned i = 0; i < LOG_REPEAT_ROWS; i++)
		text_release(&q->rows[i].texts);
}
