#include "control/beat.h"

static void on_mail(struct mail *m)
{
	struct beat *b = LIST_OWNER(m, struct beat, mail);
	usec now = clock_now();
	atomic_store_explicit(&b->lag, now > b->sent_at ? now - b->sent_at : 0, memory_order_relaxed);
	/* Release: control may post the mail again once it sees this. */
	atomic_store_explicit(&b->answered, true, memory_order_release);
}

void beat_init(struct beat *b)
{
	*b = (struct beat){ .mail = { .fn = on_mail } };
	atomic_init(&b->answered, false);
	atomic_init(&b->lag, 0);
}

bool beat_waits(const struct beat *b)
{
	return b->sent && !atomic_load_explicit(&b->answered, memory_order_acquire);
}

usec beat_silence(const struct beat *b, usec now)
{
	return beat_waits(b) && now > b->sent_at ? now - b->sent_at : 0;
}

usec beat_lag(const struct beat *b, usec now)
{
	usec last = atomic_load_explicit(&b->lag, memory_order_relaxed), silent = beat_silence(b, now);

	return silent > last ? silent : last;
}

bool beat_alive(const struct beat *b, usec now)
{
	return beat_silence(b, now) < BEAT_LIMIT;
}

void beat_send(struct beat *b, struct loop *worker, usec now)
{
	if (beat_waits(b))
		return;
	atomic_store_explicit(&b->answered, false, memory_order_relaxed);
	b->sent = true;
	b->sent_at = now;
	loop_post(worker, &b->mail);
}
