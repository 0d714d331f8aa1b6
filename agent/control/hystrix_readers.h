/* Who reads a Hystrix stream: at most HYSTRIX_READERS of each, as Hystrix has it; one that falls behind by HTTPD_OUTPUT_MAX is dropped.
 * Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_HYSTRIX_READERS_H
#define OUTRIDER_CONTROL_HYSTRIX_READERS_H

#include "net/httpd.h"

#define HYSTRIX_READERS 5u

struct hystrix_readers {
	struct httpd_request *r[HYSTRIX_READERS]; /* NULL: a free place */
	struct hystrix_place {
		struct hystrix_readers *of;
		unsigned i;
	} places[HYSTRIX_READERS];
};

void hystrix_readers_init(struct hystrix_readers *s); /* it must not move afterwards */
/* Takes the request over as a stream and returns true. False: it was answered, for HEAD by the head alone, else by 503
 * "MaxConcurrentConnections reached". */
bool hystrix_readers_take(struct hystrix_readers *s, struct httpd_request *r) MUST_CHECK;
void hystrix_readers_send(struct hystrix_readers *s, struct str events);
bool hystrix_readers_any(const struct hystrix_readers *s);

#endif
