/* The spec: what workers read and never write (DESIGN section 5). Built and freed by the control thread.
 *
 *     spec_sidecar ──> spec_listener[]   where it listens, and what a connection there means
 *                 ├──> spec_upstream*[]  shared between successive specs while unchanged
 *                 ├──> spec_route[]      edge only, longest prefix first
 *                 └──> limits, times, forwarding rules
 *
 * Every text lies in the arena of the part that holds it. `slot` numbers are dense, given out by control and
 * stable for an identity (sidecar: name; upstream: sidecar + name; endpoint: upstream + address), so that workers
 * keep their private parts (pool, counters) in arrays across specs. Counts are per spec; nothing here is atomic. */
#ifndef OUTRIDER_PROXY_SPEC_H
#define OUTRIDER_PROXY_SPEC_H

#include "base/arena.h"
#include "base/clock.h"
#include "http/h1.h"
#include "net/addr.h"
#include "plugin.h"
#include "proxy/balance_build.h"
#include "proxy/circuit.h"
#include "proxy/crowd.h"
#include "proxy/trace.h"

enum mode { MODE_ON, MODE_OBSERVE, MODE_OFF };

enum egress { EGRESS_ALLOW, EGRESS_LIST, EGRESS_DENY };

enum listener_kind {
	LISTEN_INBOUND,    /* 4143: everything goes to the own handler */
	LISTEN_OUTBOUND,   /* 4140: authority rules */
	LISTEN_PINNED,     /* this address is that upstream, HTTP */
	LISTEN_PINNED_TCP, /* the same, bytes */
	LISTEN_EDGE        /* routes by host and path */
};

enum upstream_kind {
	UPSTREAM_SERVICE, /* a named service */
	UPSTREAM_HANDLER, /* the own handler behind inbound */
	UPSTREAM_LOCAL,   /* localhost:port of this namespace, asked for through 4140 */
	UPSTREAM_EXTERNAL /* egress */
};

enum endpoint_agent { /* does an agent stand at the endpoint? */
	ENDPOINT_PLAIN,  /* its port is written, and it is no agent's: never asked */
	ENDPOINT_MAYBE,  /* port 4143, or none given: tried */
	ENDPOINT_AGENT,  /* it said hello, or its registry says so */
	ENDPOINT_ABSENT  /* none answered; tried again after a while */
};
#define AGENT_PORT 4143
#define HELLO_NONE "-" /* in place of what an agent says of itself: it was called, and there is none */
#define HELLO_MAX 512u /* bytes of what one agent says of itself */

enum hash_kind { HASH_CLIENT, HASH_HEADER, HASH_COOKIE, HASH_QUERY };

struct spec_endpoint {
	uint32_t slot;
	uint32_t generation; /* of the slot: another one than a worker's part has means another identity */
	struct addr addr;
	const char *text;                     /* "10.0.0.5:8080", as in /upstreams */
	uint8_t agent; /* enum endpoint_agent, as far as control knows */
	const struct registry_endpoint *info; /* what its registry says; NULL: it is written in the options */
};

#define STATUS_RANGES 4u

struct status_set {
	struct { /* none: both 0; the first that is none ends the list */
		uint16_t low, high;
	} at[STATUS_RANGES];
};
static inline bool status_in(const struct status_set *s, unsigned status)
{
	for (unsigned i = 0; i < STATUS_RANGES && s->at[i].low; i++)
		if (status >= s->at[i].low && status <= s->at[i].high)
			return true;
	return false;
}

enum retry_methods { RETRY_NONE, RETRY_SAFE, RETRY_IDEMPOTENT, RETRY_ALL };

struct spec_fault { /* all zero: none */
	usec delay;
	uint64_t throttle; /* bytes per second */
	uint8_t delay_percent, abort_percent, reset_percent, throttle_percent;
	uint16_t abort; /* status */
};

/* What a call to this upstream may cost and how it may be helped (options of scope upstream). Made in zeroed memory: two are compared
 * byte by byte. */
struct spec_policy {
	usec connect_timeout;    /* default 5 s */
	usec first_byte_timeout; /* 0 = off (default) */
	usec idle_timeout;       /* a pooled connection rests at most that long; default 60 s */
	uint32_t max_idle;       /* pooled connections per endpoint and worker; default 128 */
	uint32_t connect_tries;  /* endpoints tried when connecting fails; default 3 */
	usec endpoint_wait;      /* a request waits that long for the first endpoint; 0: not at all */
	usec try_timeout;        /* 0 = off (default): of an attempt until the head of its reply */
	usec request_timeout;    /* 0 = off (default): of the whole call */
	usec stall;              /* no byte moves while a body is under way and a peer is waited for; 0 = off (default) */
	usec tunnel_idle;        /* 0 = off (default) */
	struct breaker_policy breaker;
	struct status_set failures; /* statuses that the breaker counts as such */
	struct bulkhead_policy bulkhead;
	struct budget_policy budget;
	struct status_set retry_statuses;
	usec retry_backoff;      /* 0: at once */
	uint32_t retry_body;     /* bytes kept for another attempt; 0: a request with a body is sent once */
	uint8_t retry_tries;     /* attempts in all on replies of retry_statuses and try_timeout; default 2 */
	uint8_t retry_methods;   /* enum retry_methods */
	struct spec_fault fault;
	uint16_t fallback_status; /* 0: none */
	usec last_good;           /* a reply that old answers a failed GET; 0: none does */
	bool retry_safe; /* repeat GET, HEAD, OPTIONS without body once when the connection ends before a byte */
};

struct spec_upstream {
	uint32_t slot;
	uint32_t generation; /* of the slot, as in an endpoint */
	uint32_t refs; /* control thread only */
	struct arena arena;
	struct str name; /* lower case */
	struct str route; /* of a copy with a policy of its own for one route: its name; else empty */
	uint32_t own_slot; /* of such a copy: where its circuit stands; control's */
	uint8_t kind;    /* enum upstream_kind */
	uint8_t mode;    /* enum mode */
	uint16_t port;   /* HANDLER: its port; SERVICE: default port; 0 = none */
	struct addr
		handler; /* HANDLER with a fixed address (unix:, HOST:PORT); len 0: port at the address that the caller used, else 127.0.0.1 */
	struct spec_policy policy;
	uint32_t n_endpoints;
	struct spec_endpoint *endpoints; /* sorted by address when a registry tells them */
	const char *source;              /* who tells them: "eureka:http://…"; NULL: the options */
	struct balance_options balancing; /* what `balance` was built from, serial 0 */
	struct balance_spec balance;
	uint64_t met;         /* build_request.met when it was built */
	uint8_t hash_kind;    /* enum hash_kind: the key of RING_HASH */
	struct str hash_name; /* of the header, cookie or query parameter */
	struct str cookie;    /* sticky sessions: the cookie's name; empty: none */
	struct str subset;    /* outrider.upstream.<s>.subset as it was written */
	bool locality;
	bool called; /* a service that no option names: it was called and found */
	struct circuit *const *keyed; /* CIRCUIT_KEYS of them, for the breakers of single SOAP actions; NULL: none */
	const uint32_t *keyed_slots;  /* control's: where they stand; NULL: none */
	struct circuit *circuit; /* shared by all workers, keyed by slot, outlives the spec; NULL: neither breaker nor bulkhead */
	struct str fallback_body, fallback_type, fallback_upstream; /* the last: lower case; empty: none */
	struct str fallback_fields; /* lines of the head, each with its end */
	struct str fault_name, fault_value; /* header that a faulty call has; name empty: any call; value empty: any value */
	void *told;                      /* control's: keeps what `info` and `source` point to */
};

struct spec_route {
	struct str name;
	struct str host;    /* lower case; "" = any; "*.example.org" matches subdomains */
	struct str prefix;  /* begins with '/', matches whole path segments */
	bool strip;         /* remove the prefix before forwarding */
	struct str rewrite; /* replaces the prefix when not empty */
	struct spec_upstream *upstream;
	uint32_t part, generation; /* where its durations are counted: a slot as of an upstream, + 1; 0: nowhere */
	const struct sampler_policy *sampler; /* of traces that begin here; NULL: the sidecar's */
	struct spec_upstream *own; /* the same with a policy and a circuit for this route alone: slot, endpoints and pools are the upstream's.
				    * NULL: none of its options was said of this route */
};

struct spec_listener {
	uint8_t kind; /* enum listener_kind */
	struct addr addr;
	struct spec_upstream *upstream; /* PINNED*, INBOUND; else NULL */
	const char *text;               /* address as text */
	bool optional; /* by default only: left out where the machine lacks the address's family */
};

struct spec_limits {
	struct h1_limits h1;  /* head 64 KiB, request line 32 KiB, 256 fields */
	uint64_t body;        /* bytes; 0 = off */
	uint32_t connections; /* per listener and worker; 0 = off */
	uint32_t requests;    /* per client connection; 0 = off */
	uint32_t client;      /* requests under way per client address; 0 = off */
	uint64_t last_good;   /* bytes that the last good replies may take */
};

struct spec_times {
	usec head;  /* a request's head, from its first byte; default 60 s */
	usec idle;  /* a client's connection between requests; default 600 s */
};

enum { /* spec_forward.set: which fields the agent adds or extends */
	FORWARD_FOR = 1,
	FORWARD_PROTO = 2,
	FORWARD_HOST = 4,
	FORWARD_REQUEST_ID = 8,
	FORWARD_VIA = 16
};

struct spec_forward {
	uint8_t set;
	uint32_t n_trusted;
	struct cidr *
		trusted; /* peers whose X-Forwarded-*, X-Request-Id are kept; others' are replaced. Default: every private,
	                          loopback and link-local range for sidecars, nobody for the edge */
	struct str via; /* what Via says of us: unique per sidecar, "outrider-<16 hex>"; the loop mark */
};

struct access_format;

struct spec_access { /* which exchanges the access log has */
	bool on;       /* failures and slow ones, and of the others so many */
	const struct access_format *format; /* control's (access_format.h); NULL: json */
	uint16_t share; /* of 10,000 */
	usec slow;     /* 0: none is slow */
};

struct spec_sidecar {
	uint32_t slot;
	uint32_t refs;    /* control thread only: one per holder */
	struct netspace *ns; /* where its connections are made (a reference); NULL: the agent's own */
	uint64_t version; /* grows by one per change */
	struct arena arena;
	struct str service; /* lower case; "edge" for an edge without a name */
	uint8_t mode;       /* enum mode */
	bool is_edge;
	struct spec_limits limits;
	struct spec_times times;
	struct spec_forward forward;
	struct spec_trace trace;
	struct spec_access access;
	struct str agent; /* "node/service.slot", as replies say it; empty: they do not */
	struct str hello; /* what we say of ourselves to other agents; at most HELLO_MAX */
	uint16_t hello_left; /* own metadata that found no room in it */
	bool discovers; /* names that no upstream has may be services all the same: ask control before egress */
	uint8_t egress; /* enum egress */
	uint32_t n_egress_list;
	struct str *egress_list; /* host names or "*.suffix", lower case */
	uint32_t n_own;          /* the agent's own addresses, for "localhost or an own address" */
	struct addr *own;
	uint32_t n_agent_ports; /* ports of 4140, 4143, 4191: never reached through the proxy */
	uint16_t *agent_ports;
	uint32_t n_listeners;
	struct spec_listener *listeners;
	uint32_t n_upstreams;
	struct spec_upstream **upstreams; /* sorted by name; services only */
	struct spec_upstream *handler, *local,
		*external; /* local, external are always there; handler when a port is set */
	struct crowd *crowd; /* shared by workers, outlives the spec */
	struct replies *replies; /* the same */
	struct slots *slots; /* control's */
	uint32_t n_routes;
	struct spec_route
		*routes; /* exact hosts, then *.suffixes, then any host; of each the longest prefix first */
};

/* Service with that name (any case; a final dot is ignored), or NULL. Binary search. */
struct spec_upstream *spec_find_upstream(const struct spec_sidecar *s, struct str name);

/* The upstreams, then the copies for routes: all that have a circuit but the handler. NULL: there are no more than i. */
struct spec_upstream *spec_policy_at(const struct spec_sidecar *s, uint32_t i);

/* Does the route take that host and normalised path (its query may follow)? */
bool spec_route_matches(const struct spec_route *r, struct str host, struct str path);

#endif
