/* `gelf:udp://graylog:12201`, `gelf:tcp://logstash:12201`: GELF 1.1 for Graylog, Logstash, Fluentd and others (shared knowledge "gelf").
 *
 * udp: a message is one datagram of at most `outrider.gelf.chunk` bytes, else up to 128 chunks of it: 1E 0F, 8 bytes of id, number, count;
 * packed by gzip as a whole before when `outrider.gelf.gzip` is on. tcp: ended by a zero byte, never packed (a packed one may hold zero).
 * What is longer than 128 chunks is cut (gelf_json.h). Queue, connection and accounts are log_peer.h's. Thread: the loop's. */
#include "base/mem.h"
#include "base/rng.h"
#include "gelf_json.h"
#include "log_peer.h"

#include <zlib.h>

#define PORT 12201u
#define CHUNKS_MAX 128u
#define CHUNK 1420u /* what an overlay network's MTU carries unbroken; as Docker's own driver */
#define CHUNK_MIN 508u
#define CHUNK_MAX 65507u
#define TCP_MAX (8u * 1024u * 1024u) /* bytes of a message */
#define KEPT (64u * 1024u)
#define GZIP_WINDOW (15 + 16)
#define GZIP_LEVEL 1

struct sink {
	struct log_peer *peer;
	struct sink_identity identity;
	struct text text, packed; /* the message under way */
	uint32_t id;  /* of this process, in the ids of chunks */
	bool gzip;
	z_stream z;
	bool z_open;
};

/* The id must differ between messages of a sender, not only of this connection. */
static void cut(void *arg, uint64_t message, unsigned i, unsigned n, unsigned char head[LOG_PEER_PIECE_HEAD])
{
	const struct sink *s = arg;

	head[0] = 0x1e;
	head[1] = 0x0f;
	for (unsigned k = 0; k < 4; k++) {
		head[2 + k] = (unsigned char)(s->id >> (8 * k));
		head[6 + k] = (unsigned char)(message >> (8 * k));
	}
	head[10] = (unsigned char)i;
	head[11] = (unsigned char)n;
}

/* false: no memory; what is not packed is good, too. */
static bool pack(struct sink *s)
{
	if (!s->z_open) {
		s->z_open = deflateInit2(&s->z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK;
		if (!s->z_open)
			return false;
	} else {
		deflateReset(&s->z);
	}
	size_t room = deflateBound(&s->z, s->text.n);
	char *to = mem_alloc(room);
	if (!to)
		return false;
	s->z.next_in = (Bytef *)(uintptr_t)s->text.p;
	s->z.avail_in = (uInt)s->text.n;
	s->z.next_out = (Bytef *)to;
	s->z.avail_out = (uInt)room;
	bool good = deflate(&s->z, Z_FINISH) == Z_STREAM_END;
	text_clear(&s->packed);
	if (good)
		text_add(&s->packed, str_make(to, room - s->z.avail_out));
	mem_free(to);
	return good && !s->packed.failed;
}

static void shrink(struct text *t)
{
	if (t->cap > KEPT)
		text_release(t);
}

/* Packed, a message may be longer than what is sent as it is; what does not fit then is cut as if it were not packed. */
static void gelf_put(struct sink *s, const struct log_record *r)
{
	bool stream = log_peer_way(s->peer) == LOG_PEER_TCP;
	size_t longest = stream ? TCP_MAX : log_peer_longest(s->peer);

	text_clear(&s->text);
	gelf_json(&s->text, r, &s->identity, s->gzip ? TCP_MAX : longest);
	if (s->gzip && !s->text.failed && pack(s) && s->packed.n <= longest) {
		log_peer_put(s->peer, text_str(&s->packed), r->kind == LOG_KIND_AGENT);
	} else {
		if (s->gzip && s->text.n > longest)
			gelf_json(&s->text, r, &s->identity, longest);
		if (stream)
			text_char(&s->text, '\0');
		if (s->text.failed)
			log_peer_drop_memory(s->peer);
		else
			log_peer_put(s->peer, text_str(&s->text), r->kind == LOG_KIND_AGENT);
	}
	shrink(&s->text);
	shrink(&s->packed);
}

static struct sink_counts gelf_counts(const struct sink *s)
{
	return log_peer_counts(s->peer);
}

static void gelf_flush(struct sink *s, void (*done)(void *arg), void *arg)
{
	log_peer_flush(s->peer, done, arg);
}

static void gelf_close(struct sink *s)
{
	if (!s)
		return;
	log_peer_free(s->peer);
	if (s->z_open)
		deflateEnd(&s->z);
	text_release(&s->text);
	text_release(&s->packed);
	mem_free(s);
}

/* options.def judged its range. */
static size_t chunk_of(const struct sink_config *c)
{
	struct str s = plugin_setting(&c->settings, "gelf", "chunk");
	uint64_t n = CHUNK;

	return s.n && str_u64(s, &n) && n >= CHUNK_MIN && n <= CHUNK_MAX ? (size_t)n : CHUNK;
}

static bool is_on(struct str s)
{
	return str_ieq(s, STR("on")) || str_ieq(s, STR("true"));
}

static struct sink *gelf_open(const struct sink_config *c, const struct sink_events *events, void *arg, struct err *err)
{
	struct sink *s = mem_zalloc(sizeof(*s));
	struct rng rng;

	if (!s) {
		err_set(err, "out of memory");
		return NULL;
	}
	const struct log_peer_config peer = { .sink = c, .events = events, .arg = arg, .udp_port = PORT, .tcp_port = PORT, .datagram = chunk_of(c), .cut = cut,
		.cut_arg = s, .pieces_max = CHUNKS_MAX };
	rng_seed_os(&rng);
	s->id = (uint32_t)rng_next(&rng);
	s->identity = c->identity;
	text_init(&s->text, TCP_MAX + 16u);
	text_init(&s->packed, TCP_MAX);
	s->peer = log_peer_new(&peer, err);
	if (!s->peer) {
		gelf_close(s);
		return NULL;
	}
	s->gzip = log_peer_way(s->peer) == LOG_PEER_UDP && is_on(plugin_setting(&c->settings, "gelf", "gzip"));
	return s;
}

extern const struct sink_ops sink_gelf;

const struct sink_ops sink_gelf = {
	.name = "gelf",
	.help = "gelf:udp://graylog:12201 or gelf:tcp://logstash:12201",
	.open = gelf_open,
	.put = gelf_put,
	.counts = gelf_counts,
	.flush = gelf_flush,
	.close = gelf_close,
};
