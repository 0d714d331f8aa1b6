/* A receiver of log records over a network: queue, names, connection, accounts. What the bytes mean is the sink's (GELF, syslog).
 *
 *     udp://host[:port]     a message is a datagram, or several (`cut`)
 *     tcp://host[:port]     a message holds its own framing; connected when there is something to send, and kept
 *     unix:/path            datagrams, as /dev/log takes them
 *
 * Never waits: what has no room in the queue is dropped (the newest) and counted. A connection that cannot be made, or breaks, is made anew
 * after a pause with jitter that grows from LOG_PEER_PAUSE to LOG_PEER_PAUSE_MAX; the message under way is sent again as a whole. Names are
 * asked again for each connection, and of udp every LOG_PEER_ASK. "Sent" means that the kernel has it: what a peer loses nobody can count.
 * produced = sent + queued + dropped, at every moment. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_LOG_PEER_H
#define OUTRIDER_PLUGINS_LOG_PEER_H

#include "log_address.h"
#include "plugin.h"

#define LOG_PEER_PAUSE (200 * USEC_MS)
#define LOG_PEER_PAUSE_MAX (30 * USEC_SEC)
#define LOG_PEER_ASK (30 * USEC_SEC)
#define LOG_PEER_OPEN (5 * USEC_SEC)   /* for a name and a connection */
#define LOG_PEER_STALL (60 * USEC_SEC) /* a tcp peer that takes nothing for so long is given up */
#define LOG_PEER_PIECE_HEAD 12u

struct log_peer_config {
	const struct sink_config *sink; /* read during the call */
	const struct sink_events *events;
	void *arg;
	uint16_t udp_port, tcp_port; /* where the address names none; 0: it must */
	bool unix_too;
	size_t datagram; /* bytes of one */
	/* The head of piece i of n of a message that is longer than `datagram`, LOG_PEER_PIECE_HEAD bytes; NULL: such messages are dropped. */
	void (*cut)(void *arg, uint64_t message, unsigned i, unsigned n, unsigned char head[LOG_PEER_PIECE_HEAD]);
	void *cut_arg;
	unsigned pieces_max;
};

struct log_peer;

/* NULL and err: the address makes no sense, or memory is short. */
struct log_peer *log_peer_new(const struct log_peer_config *config, struct err *err) MUST_CHECK;
enum log_peer_way log_peer_way(const struct log_peer *p);
size_t log_peer_longest(const struct log_peer *p); /* bytes that a message of datagrams may have; SIZE_MAX on tcp */
/* bytes: a whole message, copied. own: of the agent's own log (log_queue.h). */
void log_peer_put(struct log_peer *p, struct str bytes, bool own);
void log_peer_drop_long(struct log_peer *p); /* a message that could not be made */
void log_peer_drop_memory(struct log_peer *p);
struct sink_counts log_peer_counts(const struct log_peer *p);
void log_peer_flush(struct log_peer *p, void (*done)(void *arg), void *arg);
void log_peer_free(struct log_peer *p); /* NULL is fine */

#endif
