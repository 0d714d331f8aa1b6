/* The log stream of a container engine, taken apart: whose bytes, and when they were written.
 *
 *     8 bytes (kind, 0, 0, 0, length big-endian), then a message; of a container with a terminal the messages alone ("raw")
 *     a message: "2026-11-23T04:05:06.789012345Z " (timestamps=1), then bytes; a long line comes as several messages
 *
 * A frame is not a line: what comes out are pieces for app_lines. Facts: shared knowledge "docker-swarm", section 2. A length may be any: nothing is
 * gathered but the stamp. A head that is none means that both no longer speak of the same: the stream is broken, and is to be opened anew.
 * Pure; owner: anybody; nothing to release. */
#ifndef OUTRIDER_CONTROL_APP_FRAMES_H
#define OUTRIDER_CONTROL_APP_FRAMES_H

#include "base/str.h"

#define APP_STAMP_MAX 40u

enum app_source { APP_STDOUT, APP_STDERR, APP_ENGINE /* what the engine itself says of it: trouble */ };

struct app_frames {
	bool raw;
	bool broken;
	bool stamping; /* bytes of a stamp are awaited */
	unsigned char head[8];
	unsigned n_head, n_stamp;
	enum app_source source;
	uint32_t left;  /* of the frame */
	uint64_t stamp; /* ns since 1970, of the present message; 0: it has none */
	char text[APP_STAMP_MAX];
};

struct app_piece {
	enum app_source source;
	uint64_t stamp;   /* ns since 1970; 0: not known */
	struct str bytes; /* in what was given, or in the app_frames until the next call */
};

void app_frames_init(struct app_frames *f, bool raw);
/* Takes bytes from *rest. true: a piece; ask again. false: more bytes are needed, or f->broken. */
bool app_frames_next(struct app_frames *f, struct str *rest, struct app_piece *ret);

#endif
