#include "spring_read.h"

#include "base/mem.h"

#include <pthread.h>

struct spring_reading { /* owns all that the thread needs */
	struct mail mail;
	struct loop *loop;
	struct spring_reader *owner; /* NULL: stopped meanwhile; the loop's thread alone looks at it */
	char *body;
	size_t n;
	struct config_props props;
	struct spring_answer answer;
	struct err err;
	bool ok, joined;
	pthread_t thread;
};

static void reading_free(struct spring_reading *g)
{
	config_props_release(&g->props);
	mem_wipe_free(g->body, g->n);
	mem_free(g);
}

static void read_body(struct spring_reading *g, struct str body)
{
	config_props_init(&g->props);
	g->ok = read_spring_json(&g->props, body, &g->answer, &g->err);
}

static void tell(struct spring_reader *r, struct spring_reading *g)
{
	r->cb(r->arg, &g->props, &g->answer, g->ok ? NULL : g->err.text);
}

static void on_read(struct mail *m)
{
	struct spring_reading *g = LIST_OWNER(m, struct spring_reading, mail);
	struct spring_reader *r = g->owner;

	if (!g->joined)
		pthread_join(g->thread, NULL);
	if (r) {
		r->reading = NULL;
		tell(r, g);
	}
	reading_free(g);
}

static void *read_aside(void *arg)
{
	struct spring_reading *g = arg;

	read_body(g, str_make(g->body, g->n));
	loop_post(g->loop, &g->mail);
	return NULL;
}

static bool begin_thread(struct spring_reader *r, struct spring_reading *g, struct str body)
{
	g->body = mem_dup(body.p, body.n);
	g->n = body.n;
	g->mail.fn = on_read;
	g->loop = r->loop;
	g->owner = r;
	if (!g->body)
		return false;
	r->reading = g;
	if (pthread_create(&g->thread, NULL, read_aside, g) == 0)
		return true;
	r->reading = NULL;
	return false;
}

void spring_read(struct spring_reader *r, struct str body)
{
	struct spring_reading *g = mem_zalloc(sizeof(*g));

	if (g && body.n > SPRING_INLINE_MAX && begin_thread(r, g, body))
		return;
	if (g && body.n <= SPRING_INLINE_MAX) {
		read_body(g, body);
		tell(r, g);
	} else {
		r->cb(r->arg, NULL, NULL, "memory or threads are short");
	}
	if (g)
		reading_free(g);
}

void spring_reader_init(struct spring_reader *r, struct loop *loop, spring_read_cb cb, void *arg)
{
	*r = (struct spring_reader){ .loop = loop, .cb = cb, .arg = arg };
}

void spring_reader_stop(struct spring_reader *r)
{
	if (!r->reading)
		return;
	pthread_join(r->reading->thread, NULL);
	r->reading->joined = true;
	r->reading->owner = NULL;
	r->reading = NULL;
}
