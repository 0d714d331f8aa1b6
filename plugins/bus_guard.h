/* Looks at what a broker sends before librabbitmq does: the frames of AMQP 0-9-1, from their heads alone. Pure.
 *
 *     type (1)  channel (2)  size (4)  payload (size)  0xCE          big-endian
 *
 * librabbitmq 0.11 trusts a broker more than an agent may: of a frame shorter than its type must be it reads beyond the end,
 * for each channel number it keeps a buffer of a frame, and while it waits for an answer it queues everything else. So a frame
 * must be of a known type, on a channel that we opened, not longer than agreed nor shorter than its type must be; and until
 * the connection is set up, all of them together not more than BUS_GUARD_SETUP_MAX. */
#ifndef OUTRIDER_PLUGINS_BUS_GUARD_H
#define OUTRIDER_PLUGINS_BUS_GUARD_H

#include "base/err.h"
#include "base/str.h"

#define BUS_FRAME_MAX 16384u /* bytes with head and end; what we ask for in the handshake */
#define BUS_CHANNEL_MAX 2u   /* the highest number that we open */
#define BUS_GUARD_SETUP_MAX (1u << 20)

struct bus_guard { /* zeroed: a fresh connection */
	unsigned char head[7];
	unsigned head_n;
	size_t left;  /* bytes of the frame still to come, its end included */
	size_t total; /* bytes so far, while !ready */
	bool begun;
	bool ready; /* set by the owner: set up, from now on any amount */
};

/* The next bytes. false: err says what is wrong with them; they are to be thrown away with the connection. */
bool bus_guard_feed(struct bus_guard *g, const void *data, size_t n, struct err *err) MUST_CHECK;

#endif
