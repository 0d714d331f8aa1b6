/* The listening descriptors of one sidecar: one per listener and worker.
 *
 * TCP addresses get a SO_REUSEPORT socket per worker, so that the kernel spreads connections; a Unix socket cannot be
 * opened twice, its workers share one by dup(). A port that somebody else holds is an error even where
 * SO_REUSEPORT would let us share it: two agents would answer each other's callers by turns.
 * An IPv6 address on a machine without it is left out (fd -1, one warning) when an IPv4 listener of the same kind
 * is there: the defaults name [::1] beside 127.0.0.1.
 * Owner: the control thread; workers borrow the descriptors. */
#ifndef OUTRIDER_ATTACH_PORTS_H
#define OUTRIDER_ATTACH_PORTS_H

#include "base/err.h"
#include "control/log.h"
#include "proxy/spec.h"

struct ports {
	unsigned n_workers;
	struct netspace *ns; /* borrowed: where they listen; NULL: the agent's own */
	uint32_t n_listeners;
	int *fds;           /* [worker * n_listeners + listener]; -1 = none */
	struct addr *bound; /* [listener]: with the port that the kernel chose for port 0 */
};

/* false: nothing is open; err names the address and the remedy. */
bool ports_open(struct ports *p, struct netspace *ns, const struct spec_sidecar *spec, unsigned n_workers, struct log *log,
	struct err *err) MUST_CHECK;
/* The ports of `spec`, which follows `had_spec`: addresses that both have keep their descriptors, others are opened. false: err,
 * nothing has changed. Afterwards both hold the common ones: ports_forget() one of them before it is closed. */
bool ports_follow(struct ports *p, const struct spec_sidecar *spec, const struct ports *had,
	const struct spec_sidecar *had_spec, struct log *log, struct err *err) MUST_CHECK;
/* Takes out of `p` what `heir` has too. */
void ports_forget(struct ports *p, const struct ports *heir);
/* Closes those of inbound and edge listeners, so that late callers are refused at once instead of waiting in a queue
 * that nobody serves. Only when every worker has stopped accepting there. Idempotent. */
void ports_close_inbound(struct ports *p, const struct spec_sidecar *spec);
void ports_close(struct ports *p); /* a zeroed one is fine */
/* The same, of addresses that are given up: where a keeper has them for the container's life, it closes them, too. */
void ports_give_up(struct ports *p);
static inline const int *ports_of_worker(const struct ports *p, unsigned worker)
{
	return p->fds + (size_t)worker * p->n_listeners;
}
/* True for errors that mean "this machine has no such address or family". */
bool ports_error_is_absence(int error);

#endif
