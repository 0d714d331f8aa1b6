#include "control/beat.h"

static void on_mail(struct mail *m)
{
	struct beat *b = LIST_OWNER(m, struct beat, mail);
	/* Release: control may post the mail again once it sees this. */
	atomic_store_explicit(&b->answered, true, memory_order_release);
}

void beat_init(struct beat *b)
{
	*b = (struct beat){ .mail = { .fn = on_mail } };
	atomic_init(&b->answered, false);
}

bool beat_waits(const struct beat *b)
{
	return b->sent && !atomic_load_explicit(&b->answered, memory_order_acquire);
}

usec beat_silence(const struct beat *b, usec now)
{
	return beat_waits(b) && now > b->sent_at ? now - b->sent_at : 0;
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
