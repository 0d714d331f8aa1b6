#include "bus_guard.h"

#define FRAME_END 0xCE
#define AROUND 8u /* head and end */

enum { FRAME_METHOD = 1, FRAME_HEADER = 2, FRAME_BODY = 3, FRAME_HEARTBEAT = 8 };

/* Sizes of a payload by type; 0 for both: no such type. */
static const struct {
	size_t min, max;
} sizes[9] = {
	[FRAME_METHOD] = { 4, BUS_FRAME_MAX - AROUND },  /* class, method */
	[FRAME_HEADER] = { 14, BUS_FRAME_MAX - AROUND }, /* class, weight, length of the body, flags */
	[FRAME_BODY] = { 0, BUS_FRAME_MAX - AROUND },
	[FRAME_HEARTBEAT] = { 0, 0 },
};

static bool judge_first(unsigned char c, struct err *err)
{
	if (c == FRAME_METHOD)
		return true;
	if (c == 'A')
		return err_set(err, "it does not speak AMQP 0-9-1: is this RabbitMQ?");
	if (c == 0x15)
		return err_set(err, "it speaks TLS: write amqps://");
	return err_set(err, "what answers there does not speak AMQP: is this the port of RabbitMQ (5672)?");
}

static bool judge_head(struct bus_guard *g, struct err *err)
{
	const unsigned char *h = g->head;
	unsigned type = h[0], channel = (unsigned)h[1] << 8 | h[2];
	size_t size = (size_t)h[3] << 24 | (size_t)h[4] << 16 | (size_t)h[5] << 8 | h[6];

	bool known = type == FRAME_HEARTBEAT || (type < 9 && sizes[type].max > 0);
	if (!known || size < sizes[type].min || size > sizes[type].max || channel > BUS_CHANNEL_MAX)
		return err_set(err, "it sends a frame that makes no sense (type %u, channel %u, %zu bytes)",
			type, channel, size);
	g->left = size + 1;
	g->head_n = 0;
	return true;
}

bool bus_guard_feed(struct bus_guard *g, const void *data, size_t n, struct err *err)
{
	const unsigned char *p = data;

	if (n > 0 && !g->begun && !judge_first(p[0], err))
		return false;
	g->begun = g->begun || n > 0;
	g->total = g->ready ? 0 : g->total + n;
	if (g->total > BUS_GUARD_SETUP_MAX)
		return err_set(err, "it sends more than was asked for");
	for (size_t at = 0; at < n;) {
		if (g->left == 0) {
			g->head[g->head_n++] = p[at++];
			if (g->head_n == sizeof(g->head) && !judge_head(g, err))
				return false;
			continue;
		}
		size_t step = n - at < g->left ? n - at : g->left;
		at += step;
		g->left -= step;
		if (g->left == 0 && p[at - 1] != FRAME_END)
			return err_set(err, "it sends a frame that does not end as it must");
	}
	return true;
}
