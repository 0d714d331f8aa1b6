/* `syslog:udp://host:514`, `syslog:tcp://host:601`, `syslog:unix:/dev/log`: RFC 5424 (rfc5424.h). A datagram each (RFC 5426), on tcp with
 * octet counting (RFC 6587, section 3.4.1), which no message can break. Queue, connection and accounts are log_peer.h's. Thread: the loop's. */
#include "base/mem.h"
#include "log_peer.h"
#include "rfc5424.h"

#define UDP_PORT 514u
#define TCP_PORT 601u
#define LONGEST 8192u /* what rsyslog and syslog-ng take unless they are told otherwise */
#define LONGEST_MIN 480u
#define LONGEST_MAX 65000u
#define LOCAL0 16u
#define MESSAGE_MAX (8u * 1024u * 1024u)
#define KEPT (64u * 1024u)

struct sink {
	struct log_peer *peer;
	struct sink_identity identity;
	struct text text, framed;
	unsigned facility;
	size_t longest;
};

static void syslog_put(struct sink *s, const struct log_record *r)
{
	text_clear(&s->text);
	rfc5424_message(&s->text, r, &s->identity, s->facility, s->longest);
	struct str whole = text_str(&s->text);
	if (log_peer_way(s->peer) == LOG_PEER_TCP) {
		text_clear(&s->framed);
		text_u64(&s->framed, whole.n);
		text_char(&s->framed, ' ');
		text_add(&s->framed, whole);
		whole = text_str(&s->framed);
	}
	if (s->text.failed || s->framed.failed)
		log_peer_drop_memory(s->peer);
	else
		log_peer_put(s->peer, whole, r->kind == LOG_KIND_AGENT);
	if (s->text.cap > KEPT)
		text_release(&s->text);
}

static struct sink_counts syslog_counts(const struct sink *s)
{
	return log_peer_counts(s->peer);
}

static void syslog_flush(struct sink *s, void (*done)(void *arg), void *arg)
{
	log_peer_flush(s->peer, done, arg);
}

static void syslog_close(struct sink *s)
{
	if (!s)
		return;
	log_peer_free(s->peer);
	text_release(&s->text);
	text_release(&s->framed);
	mem_free(s);
}

static struct sink *syslog_open(const struct sink_config *c, const struct sink_events *events, void *arg, struct err *err)
{
	struct sink *s = mem_zalloc(sizeof(*s));
	struct str longest = plugin_setting(&c->settings, "syslog", "longest");
	uint64_t n = LONGEST;

	if (!s) {
		err_set(err, "out of memory");
		return NULL;
	}
	if (longest.n && (!str_u64(longest, &n) || n < LONGEST_MIN || n > LONGEST_MAX))
		n = LONGEST;
	const struct log_peer_config peer = { .sink = c, .events = events, .arg = arg, .udp_port = UDP_PORT, .tcp_port = TCP_PORT, .unix_too = true,
		.datagram = (size_t)n };
	s->longest = (size_t)n;
	s->identity = c->identity;
	s->facility = LOCAL0;
	(void)rfc5424_facility(plugin_setting(&c->settings, "syslog", "facility"), &s->facility);
	text_init(&s->text, MESSAGE_MAX);
	text_init(&s->framed, LONGEST_MAX + 16u);
	s->peer = log_peer_new(&peer, err);
	if (s->peer)
		return s;
	syslog_close(s);
	return NULL;
}

extern const struct sink_ops sink_syslog;

const struct sink_ops sink_syslog = {
	.name = "syslog",
	.help = "syslog:udp://host:514, syslog:tcp://host:601 or syslog:unix:/dev/log, as RFC 5424",
	.open = syslog_open,
	.put = syslog_put,
	.counts = syslog_counts,
	.flush = syslog_flush,
	.close = syslog_close,
};
