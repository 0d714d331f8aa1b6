/* What plug-ins implement. A plug-in is one file (pair) under plugins/ and one exported const struct, listed in
 * plugins/registry.c. It sees base/, net/, http/ and this file, never proxy/, control/ or attach/.
 *
 * Thread of everything here: the loop's (control). Nothing blocks: every wait is on the loop, what can only block sits on a
 * helper thread. On trouble the last values stand. */
#ifndef OUTRIDER_PLUGIN_H
#define OUTRIDER_PLUGIN_H

#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"
#include "net/resolve.h"

/* Options of the plug-in itself: "password" of plug-in redis is outrider.redis.password (or its _FILE). Its rows stand in
 * options.def. Asked during open(); the text is control's, copy it, wipe secrets with mem_wipe_free(). */
struct plugin_settings {
	struct str (*get)(const void *of, const char *plugin, const char *name); /* {NULL, 0}: unset */
	const void *of;
};
static inline struct str plugin_setting(const struct plugin_settings *s, const char *plugin, const char *name)
{
	return s->get ? s->get(s->of, plugin, name) : (struct str){ NULL, 0 };
}

/* --- sources ------------------------------------------------------------------------------------------------------- */
/* Sources say what options and properties a service has (outrider.config). One object per service and place:
 *
 *     control                                        plug-in
 *     ops->open(config, events, arg)   ───────────>  begins to read, returns at once
 *                                      <───────────  on_values: all it knows, each time that something changed
 *                                      <───────────  on_trouble: what is wrong, or "" when it was put right
 *     ops->refresh()                   ───────────>  read again soon
 *     ops->close()                     ───────────>  no callback after this */

#define SOURCE_PROPERTIES_MAX 65536u /* of all sets of one source */
#define SOURCE_PROFILES_MAX 16u

struct source_property {
	struct str key, value;
	struct str origin; /* for people: "file:/etc/outrider/application.yml:12"; never credentials */
	uint32_t set;      /* properties of one file, hash or answer have one number; the first set is the strongest */
};

struct source_config {
	struct loop *loop;
	struct netspace *ns;       /* where its connections are made */
	struct resolver *resolver; /* for names of peers */
	struct str address;        /* what follows "plugin:" in outrider.config; several by '|' */
	struct str service;        /* "application" when there is none */
	struct str profiles;       /* comma list, the last one wins; may be empty */
	usec poll;                 /* for what can only be asked again; jitter it by a tenth */
	struct plugin_settings settings;
};

struct source_events {
	/* All properties, sorted by set, strongest first. Valid during the call: the callee copies. Not inside open(). */
	void (*on_values)(void *arg, const struct source_property *at, size_t n);
	/* Called when it changes, not at every try; "" = all is well again. Names the place (file:line). */
	void (*on_trouble)(void *arg, const char *why);
};

struct source; /* the plug-in's own */

struct source_ops {
	const char *name; /* "file" */
	const char *help; /* one line: what its address looks like */
	/* Copies what it keeps of config, but for loop, ns and resolver. NULL and err: the address makes no sense, or memory
	 * is short. A peer or folder that is not there is no error but trouble. */
	struct source *(*open)(const struct source_config *config, const struct source_events *events, void *arg,
			       struct err *err);
	void (*refresh)(struct source *s);
	void (*close)(struct source *s); /* NULL is fine; not inside its callbacks */
	/* For `outrider check`: judges what can be judged without a network; NULL when there is nothing. Calls `say` for every
	 * problem ("file:line: cause; remedy"), `service` for every service and profile that it has values for. */
	bool (*check)(struct str address, void (*say)(void *arg, const char *problem),
		      void (*service)(void *arg, struct str service, struct str profile), void *arg);
	bool local;   /* needs no network: what is wrong with it when the agent starts is an error, not a wait */
	bool trigger; /* holds no values: its on_values (n = 0) only says that the others shall read again */
};

/* plugins/registry.c; NULL-terminated. */
extern const struct source_ops *const plugin_sources[];

/* --- registries ---------------------------------------------------------------------------------------------------- */
/* Registries say where the instances of a service are (outrider.registry), and may be told of the own one.
 *
 *     ops->open(config, events, arg)   ───────────>  returns at once
 *     ops->watch("quotes-service")     ───────────>  finds out, and goes on finding out
 *                                      <───────────  on_endpoints: the whole set, each time that it changed
 *                                      <───────────  on_gone: the registry said for sure that it knows no such service
 *     ops->unwatch("quotes-service")   ───────────>  nobody calls it any more
 *     ops->announce(instance)          ───────────>  registers, renews, says a new state; again on every change
 *     ops->withdraw(instance)          ───────────>  deregisters, unless a successor renewed it meanwhile
 *
 * A set that came out empty, or not at all (silence, an error), is no on_endpoints: control keeps the last good set for
 * a bounded time (outrider.registry-hold) from on_gone or trouble on. Sets are delivered without duplicates, in any order. */

#define REGISTRY_ENDPOINTS_MAX 16384u /* of one service */
#define REGISTRY_SERVICES_MAX 4096u   /* watched at a time */
#define REGISTRY_META_MAX 32u         /* pairs of one endpoint */

enum registry_state {
	REGISTRY_UP,
	REGISTRY_DOWN,    /* it is there and says of itself, or a check says, that it takes no requests */
	REGISTRY_STARTING /* the same, for it has just begun */
};

struct registry_meta {
	struct str key, value;
};

struct registry_endpoint {
	struct addr addr;    /* port 0: the registry knows addresses only (DNS); unmapped */
	struct str instance; /* the registry's id of it; may be empty. Equal id = the same instance under another address */
	struct str node, zone;
	uint32_t weight;     /* 1 to 10,000; 100 is the usual one */
	uint8_t state;       /* enum registry_state */
	const struct registry_meta *meta; /* version, stack, slot, … */
	size_t n_meta;
};

struct registry_instance { /* the own one, as others shall call it */
	struct str service, id; /* in node mode the task's or container's, else host name, service and port; never shared by two */
	struct addr addr;       /* port set; address 0.0.0.0 or ::, when outrider.advertise says none: the local one of the
				   connection to the registry */
	struct str node, zone;
	uint8_t state; /* enum registry_state */
	const struct registry_meta *meta;
	size_t n_meta;
	struct str health_url, status_url; /* of the handler; may be empty */
};

struct registry_config {
	struct loop *loop;
	struct netspace *ns;
	struct resolver *resolver; /* for names of peers */
	struct resolver *dns;      /* DNS only, never /etc/hosts: for names of services */
	struct str address;        /* what follows "plugin:"; several by '|' */
	usec poll;                 /* outrider.registry-poll; 0: the plug-in's own. Jitter it by a tenth */
	usec lease;                /* outrider.registry-lease: others forget an instance that said nothing for so long */
	struct plugin_settings settings;
};

struct registry_events {
	/* Texts are valid during the call. Not inside open() or watch(). */
	void (*on_endpoints)(void *arg, struct str service, const struct registry_endpoint *at, size_t n);
	void (*on_gone)(void *arg, struct str service);
	/* Called when it changes; "" = all is well again. */
	void (*on_trouble)(void *arg, const char *why);
};

struct registry; /* the plug-in's own */

struct registry_ops {
	const char *name; /* "eureka" */
	const char *help; /* one line: what its address looks like */
	struct registry *(*open)(const struct registry_config *config, const struct registry_events *events, void *arg,
				 struct err *err);
	/* false: no memory or more than REGISTRY_SERVICES_MAX. Watching again what is watched delivers the set again. */
	bool (*watch)(struct registry *r, struct str service);
	void (*unwatch)(struct registry *r, struct str service); /* of one not watched harmless */
	/* NULL: it takes no registrations. false: no memory. */
	bool (*announce)(struct registry *r, const struct registry_instance *self);
	/* done is called when the registry knows, or after 2 s; then or at close, whichever is first. */
	void (*withdraw)(struct registry *r, struct str id, void (*done)(void *arg), void *arg);
	void (*refresh)(struct registry *r); /* ask again soon */
	void (*close)(struct registry *r);   /* NULL is fine; not inside its callbacks */
	/* Asked while it is in trouble: does it answer all the same for this service, which is watched? For trouble may be of another one,
	 * or of the own registration. NULL: trouble is of all. */
	bool (*answers)(const struct registry *r, struct str service);
	bool lazy;  /* every question costs: it is asked only for services that are called, not for all that are named */
	bool names; /* can say for sure whether a name is a service (on_gone); files, Redis, Eureka, Consul, Docker can */
};

/* plugins/registry.c; NULL-terminated. */
extern const struct registry_ops *const plugin_registries[];

/* --- exporters ----------------------------------------------------------------------------------------------------- */
/* Exporters take spans elsewhere (outrider.trace). Control makes the spans of finished exchanges and hands them over in batches:
 *
 *     ops->open(config, events, arg)   ───────────>  returns at once
 *     ops->put(spans, n)               ───────────>  copies, queues within its bound, sends by size and time; what does not fit is dropped, counted
 *                                      <───────────  on_trouble: what is wrong, or "" when it was put right
 *     ops->counts()                    ───────────>  for /traces and metrics
 *     ops->flush(done)                 ───────────>  the agent leaves: sends what it has, within a second or so
 *     ops->close()                     ───────────>  no callback after this */

enum span_kind { SPAN_LOCAL, SPAN_SERVER, SPAN_CLIENT };

struct span_peer { /* who is at an end of it; service empty, or family 0: not known */
	struct str service; /* lower case */
	uint8_t family;     /* 0, 4 or 6 */
	uint8_t ip[16];
	uint16_t port;      /* 0: not known */
};

struct span_tag {
	const char *key; /* static */
	struct str value;
};

struct span_note { /* an event within it */
	uint64_t at; /* wall µs */
	const char *what; /* static */
};

#define SPAN_TAGS_MAX 24u
#define SPAN_NOTES_MAX 8u

struct span {
	uint64_t trace_hi, trace_lo; /* hi 0: an id of 64 bits */
	uint64_t id, parent;         /* parent 0: the root */
	uint8_t kind;                /* enum span_kind */
	bool debug, shared, failed;
	struct str name;             /* "get", "retry" */
	uint64_t started;            /* wall µs */
	uint64_t duration;           /* µs, at least 1 */
	struct span_peer local, remote;
	struct span_tag tags[SPAN_TAGS_MAX];
	struct span_note notes[SPAN_NOTES_MAX];
	uint8_t n_tags, n_notes;
};

struct exporter_config {
	struct loop *loop;
	struct netspace *ns;
	struct resolver *resolver;
	struct str address; /* what follows "plugin:"; several by '|' are tried in turn */
	struct plugin_settings settings;
};

struct exporter_events {
	void (*on_trouble)(void *arg, const char *why); /* when it changes; "" = all is well again */
};

struct exporter_counts { /* spans; produced = sent + dropped + queued */
	uint64_t produced, sent, queued;
	uint64_t dropped_full, dropped_refused, dropped_failed; /* no room; the collector said no; it could not be reached */
};

struct exporter; /* the plug-in's own */

struct exporter_ops {
	const char *name; /* "zipkin" */
	const char *help; /* one line: what its address looks like */
	struct exporter *(*open)(const struct exporter_config *config, const struct exporter_events *events, void *arg, struct err *err);
	/* Texts are valid during the call. Never fails: what cannot be kept is counted. */
	void (*put)(struct exporter *e, const struct span *spans, size_t n);
	struct exporter_counts (*counts)(const struct exporter *e);
	void (*flush)(struct exporter *e, void (*done)(void *arg), void *arg);
	void (*close)(struct exporter *e); /* NULL is fine; not inside its callbacks */
};

/* plugins/registry.c; NULL-terminated. */
extern const struct exporter_ops *const plugin_exporters[];

/* --- sinks --------------------------------------------------------------------------------------------------------- */
/* Sinks take log records elsewhere (outrider.log): the agent's own, those of the access log, and what services wrote. Control makes a
 * record and hands it to each:
 *
 *     ops->open(config, events, arg)   ───────────>  returns at once
 *     ops->put(record)                 ───────────>  copies, queues within its bound; what does not fit is dropped, counted
 *                                      <───────────  on_trouble: what is wrong, or "" when it was put right
 *     ops->counts()                    ───────────>  for /log, /doctor and metrics
 *     ops->reopen()                    ───────────>  the file was moved away: begin a new one
 *     ops->flush(done)                 ───────────>  the agent leaves: writes what it has, within a second or so
 *     ops->close()                     ───────────>  no callback after this */

enum log_level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG, LEVEL_COUNT };
enum log_kind { LOG_KIND_AGENT, LOG_KIND_ACCESS, LOG_KIND_APP, LOG_KINDS };
enum log_stream { LOG_STREAM_NONE, LOG_STREAM_STDOUT, LOG_STREAM_STDERR }; /* of an app record: where the service wrote it */

#define LOG_MESSAGE_MAX (1024u * 1024u) /* bytes; who makes a record cuts what is longer */
#define LOG_MEMBERS_MAX (256u * 1024u)

struct log_record {
	uint64_t wall;  /* µs since 1970: when it happened */
	uint64_t seat;  /* which sidecar it is of (telemetry_who.seat); 0: the agent itself */
	uint8_t level;  /* enum log_level */
	uint8_t kind;   /* enum log_kind */
	uint8_t stream; /* enum log_stream */
	struct str subsystem; /* "discovery"; of app records empty */
	struct str service, task, stack, slot, node; /* whose it is; empty: not known */
	struct str trace_id, span_id;                /* hexadecimal; empty: not known */
	struct str message;  /* as it is: any bytes, no end of line */
	struct str members;  /* ready-made members of a JSON object, without braces: "workers":2,"why":"x"; may be empty. None of the names above. */
	struct str json;     /* the whole as one line of JSON. Makers may leave it empty: then logs_put() makes it; sinks always get it */
	struct str line;     /* how json: and text: on stdout and stderr write it, where options say so (access.format); empty: as the sink does */
};

struct sink_identity { /* of the agent */
	const char *host;    /* the node's name, else the machine's; never empty. Its bytes may change: read it for every record */
	const char *version;
};

struct sink_config {
	struct loop *loop;
	struct netspace *ns;
	struct resolver *resolver;
	struct str address; /* what follows "plugin:" */
	size_t queue;       /* bytes of records that may wait: outrider.log.queue */
	struct plugin_settings settings;
	struct sink_identity identity;
};

struct sink_events {
	void (*on_trouble)(void *arg, const char *why); /* when it changes; "" = all is well again. Not inside open() */
};

struct sink_counts { /* records; produced = sent + queued + all that were dropped */
	uint64_t produced, sent, queued;
	uint64_t dropped_full, dropped_failed, dropped_long; /* no room; could not be written; longer than the sink can take */
};

struct sink; /* the plug-in's own */

struct sink_ops {
	const char *name; /* "gelf" */
	const char *help; /* one line: what its address looks like */
	/* NULL and err: the address makes no sense, or memory is short. A peer or folder that is not there is no error but trouble. */
	struct sink *(*open)(const struct sink_config *config, const struct sink_events *events, void *arg, struct err *err);
	/* Texts are valid during the call. Never blocks, never fails: what cannot be kept is counted. */
	void (*put)(struct sink *s, const struct log_record *r);
	struct sink_counts (*counts)(const struct sink *s);
	void (*reopen)(struct sink *s); /* NULL: there is nothing to open again */
	void (*flush)(struct sink *s, void (*done)(void *arg), void *arg); /* done may be called at once */
	void (*close)(struct sink *s); /* NULL is fine; not inside its callbacks */
	bool local; /* asks no names: its config has no resolver */
};

/* plugins/registry.c; NULL-terminated. */
extern const struct sink_ops *const plugin_sinks[];

#endif
