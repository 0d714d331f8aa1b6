#include "control/hystrix_readers.h"

#include <string.h>

void hystrix_readers_init(struct hystrix_readers *s)
{
	*s = (struct hystrix_readers){ 0 };
	for (unsigned i = 0; i < HYSTRIX_READERS; i++)
		s->places[i] = (struct hystrix_place){ s, i };
}

static void on_gone(void *arg)
{
	const struct hystrix_place *p = arg;

	p->of->r[p->i] = NULL;
}

static void begin_stream(struct httpd_request *r)
{
	httpd_reply_header(r, "Cache-Control", "no-cache, no-store, max-age=0, must-revalidate");
	httpd_reply_header(r, "Pragma", "no-cache");
	httpd_stream_begin(r, 200, "text/event-stream;charset=UTF-8");
}

bool hystrix_readers_take(struct hystrix_readers *s, struct httpd_request *r)
{
	if (strcmp(httpd_method(r), "HEAD") == 0) { /* no stream follows: it takes no place */
		begin_stream(r);
		httpd_stream_end(r);
		return false;
	}
	for (unsigned i = 0; i < HYSTRIX_READERS; i++) {
		if (s->r[i])
			continue;
		s->r[i] = r;
		httpd_on_gone(r, on_gone, &s->places[i]);
		begin_stream(r);
		return true;
	}
	httpd_reply(r, 503, "text/plain; charset=utf-8", STR("MaxConcurrentConnections reached\n"));
	return false;
}

void hystrix_readers_send(struct hystrix_readers *s, struct str events)
{
	for (unsigned i = 0; i < HYSTRIX_READERS; i++)
		if (s->r[i] && !httpd_stream_send(s->r[i], events))
			s->r[i] = NULL; /* too slow, or gone */
}

bool hystrix_readers_any(const struct hystrix_readers *s)
{
	for (unsigned i = 0; i < HYSTRIX_READERS; i++)
		if (s->r[i])
			return true;
	return false;
}
