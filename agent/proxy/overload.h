/* The overload ladder: what a worker gives up, step by step, before it has no descriptor or memory left (docs/resilience.md).
 *
 *     load = the greatest of: buffers of limit.buffers, descriptors of RLIMIT_NOFILE, memory of the cgroup that is left to us
 *
 *     70 %  shrink    short queues, no spare buffers
 *     80 %  close     connections end with their reply, resting ones are closed
 *     85 %  shed-low  requests of priority low are answered 503 overload
 *     90 %  shed      all but those of priority high are
 *     95 %  stop      new connections stay in the kernel's queue
 *
 * A step is left HYSTERESIS below where it was entered. A sidecar that has less than its share of the worker's connections, and of what
 * is under way where memory is what is short, stands on none until SHARED: one that is flooded pays, its neighbours do not.
 * Descriptors are not counted: a new one has the lowest number that is
 * free (POSIX, accept), so its number is how many are open at least, and a probe tells when they are fewer again.
 *
 * Thread: the worker's; what is _Atomic may be read by any. */
#ifndef OUTRIDER_PROXY_OVERLOAD_H
#define OUTRIDER_PROXY_OVERLOAD_H

#include "net/loop.h"
#include "net/timer.h"

#include <stdbool.h>
#include <stdint.h>

enum overload_step {
	OVERLOAD_NONE,
	OVERLOAD_SHRINK,
	OVERLOAD_CLOSE,
	OVERLOAD_SHED_LOW,
	OVERLOAD_SHED,
	OVERLOAD_STOP,
	OVERLOAD_STEPS
};

#define OVERLOAD_HYSTERESIS 5
#define OVERLOAD_SHARED 98 /* percent: from here on nobody is spared */

struct worker;
struct wsidecar;
struct exchange;

struct overload {
	_Atomic uint8_t step;                 /* enum overload_step */
	_Atomic uint8_t buffers, descriptors; /* percent, as last weighed */
	uint8_t load;                         /* the greatest, percent */
	bool by_memory;                       /* it is that of buffers or of memory */
	uint32_t fds, fds_max;                /* highest descriptor seen since the last probe; the limit */
	struct timer timer;                   /* looks again while any step holds */
	struct bell told;                     /* control, of a change */
	size_t look_at;                       /* bytes of buffers that are out: then control is to look at memory anew */
	struct bell grown;
	_Atomic uint32_t clients;             /* connections of callers, as of the last turn */
};

const char *overload_word(enum overload_step s);

/* The step that a load in percent asks for, coming from `now`. Pure. */
enum overload_step overload_next(enum overload_step now, unsigned load);

void overload_init(struct worker *w);
void overload_end(struct worker *w); /* before the loop is freed */

/* A descriptor was opened for traffic. */
void overload_saw(struct worker *w, int fd);
/* Once per turn of the loop: some compares while there is no overload. */
void overload_weigh(struct worker *w);

/* The step that holds for this sidecar. */
enum overload_step overload_of(const struct wsidecar *sc);
/* The last RESERVED percent of the buffers are for sidecars that have less than their share: may this one not begin a request with them? */
#define OVERLOAD_RESERVED 5
bool overload_is_reserved(const struct wsidecar *sc);
/* Is x to be answered 503 overload now? Counts it; mode observe counts only. */
bool overload_sheds(struct exchange *x);

#endif
