/* Options of an upstream to what calls of it may cost and how they are helped: limits, breaker, bulkhead, retries, fallback. */
#include "control/build_int.h"

#include "control/option_fields.h"
#include "control/option_value.h"

static struct status_set statuses(const struct options *o, struct str name, enum option_id id)
{
	struct status_set set;

	if (!option_status_set(options_of_text(o, name, id), &set))
		memset(&set, 0, sizeof(set));
	return set;
}

static void fill_breaker(struct spec_policy *p, const struct options *o, struct str name, bool observe)
{
	struct breaker_policy *b = &p->breaker;

	b->on = options_of_bool(o, name, OPT_BREAKER);
	b->observe = observe;
	b->force = (uint8_t)options_of_u64(o, name, OPT_BREAKER_FORCE);
	b->error_percent = (uint8_t)options_of_u64(o, name, OPT_BREAKER_ERROR_THRESHOLD);
	b->probes = (uint8_t)options_of_u64(o, name, OPT_BREAKER_PROBES);
	b->volume = (uint32_t)options_of_u64(o, name, OPT_BREAKER_VOLUME);
	b->bucket = options_of_duration(o, name, OPT_BREAKER_WINDOW) / WINDOW_BUCKETS;
	b->sleep = options_of_duration(o, name, OPT_BREAKER_SLEEP_WINDOW);
	p->failures = statuses(o, name, OPT_BREAKER_STATUSES);
}

static void fill_retry(struct spec_policy *p, const struct options *o, struct str name, bool observe)
{
	p->retry_tries = (uint8_t)options_of_u64(o, name, OPT_RETRY_TRIES);
	p->retry_statuses = statuses(o, name, OPT_RETRY_STATUSES);
	p->retry_methods = (uint8_t)options_of_u64(o, name, OPT_RETRY_METHODS);
	p->retry_body = (uint32_t)options_of_u64(o, name, OPT_RETRY_BODY);
	p->retry_backoff = options_of_duration(o, name, OPT_RETRY_BACKOFF);
	p->budget.percent = (uint8_t)options_of_u64(o, name, OPT_RETRY_BUDGET);
	p->budget.per_second = (uint32_t)options_of_u64(o, name, OPT_RETRY_BUDGET_FLOOR);
	p->budget.bucket = p->breaker.bucket;
	p->budget.on = !str_ieq(options_of_text(o, name, OPT_RETRY_BUDGET), STR("off")) && !observe; /* 0% is the floor alone */
}

static void fill_bulkhead(struct spec_policy *p, const struct options *o, struct str name)
{
	p->bulkhead.max = (uint32_t)options_of_u64(o, name, OPT_BULKHEAD_MAX);
	p->bulkhead.queue = (uint32_t)options_of_u64(o, name, OPT_BULKHEAD_QUEUE);
	p->bulkhead.queue_time = options_of_duration(o, name, OPT_BULKHEAD_QUEUE_TIME);
	p->bulkhead.adaptive = options_of_bool(o, name, OPT_BULKHEAD_ADAPTIVE);
}

/* What the own handler is given is said by options of the sidecar. */
static void fill_handler(struct spec_policy *p, const struct options *o)
{
	p->bulkhead.max = (uint32_t)options_u64(o, OPT_LIMIT_CONCURRENT);
	p->bulkhead.queue = (uint32_t)options_u64(o, OPT_LIMIT_CONCURRENT_QUEUE);
	p->bulkhead.queue_time = options_duration(o, OPT_LIMIT_CONCURRENT_TIME);
	p->bulkhead.adaptive = options_bool(o, OPT_LIMIT_ADAPTIVE);
	p->breaker.bucket = USEC_SEC;
}

static bool fill_fault(struct spec_upstream *u, const struct options *o, struct str name)
{
	struct spec_fault *f = &u->policy.fault;
	struct str header = options_of_text(o, name, OPT_FAULT_HEADER), value = STR("");
	size_t equals = str_find(header, '=');

	f->delay = options_of_duration(o, name, OPT_FAULT_DELAY);
	f->delay_percent = (uint8_t)options_of_u64(o, name, OPT_FAULT_DELAY_PERCENT);
	f->abort = (uint16_t)options_of_u64(o, name, OPT_FAULT_ABORT);
	f->abort_percent = (uint8_t)options_of_u64(o, name, OPT_FAULT_ABORT_PERCENT);
	f->throttle = options_of_u64(o, name, OPT_FAULT_THROTTLE);
	f->throttle_percent = (uint8_t)options_of_u64(o, name, OPT_FAULT_THROTTLE_PERCENT);
	f->reset_percent = (uint8_t)options_of_u64(o, name, OPT_FAULT_RESET_PERCENT);
	if (equals != SIZE_MAX) {
		value = str_make(header.p + equals + 1, header.n - equals - 1);
		header.n = equals;
	}
	u->fault_name = arena_str(&u->arena, header);
	u->fault_value = arena_str(&u->arena, value);
	return u->fault_name.p && u->fault_value.p;
}

/* "Name: value | Name: value" as lines of a head. */
static struct str fields_of(struct spec_upstream *u, struct str list)
{
	struct text t;

	text_init(&t, 2 * list.n + 16);
	struct str lines = option_fields(list, &t) ? arena_str(&u->arena, text_str(&t)) : str_make(NULL, 0);
	text_release(&t);
	return lines;
}

static bool fill_fallback(struct spec_upstream *u, const struct options *o, struct str name)
{
	struct str spare = options_of_text(o, name, OPT_FALLBACK_UPSTREAM);

	u->policy.fallback_status = (uint16_t)options_of_u64(o, name, OPT_FALLBACK_STATUS);
	u->policy.last_good = options_of_duration(o, name, OPT_FALLBACK_LAST_GOOD);
	u->fallback_body = arena_str(&u->arena, options_of_text(o, name, OPT_FALLBACK_BODY));
	u->fallback_fields = fields_of(u, options_of_text(o, name, OPT_FALLBACK_FIELDS));
	u->fallback_type = arena_str(&u->arena, options_of_text(o, name, OPT_FALLBACK_TYPE));
	u->fallback_upstream = build_lower(&u->arena, str_ieq(spare, STR("off")) ? STR("") : spare);
	return u->fallback_body.p && u->fallback_type.p && u->fallback_upstream.p && u->fallback_fields.p;
}

bool build_policy(struct spec_upstream *u, const struct options *o, struct str name)
{
	struct spec_policy *p = &u->policy;
	bool observe = u->mode == MODE_OBSERVE;

	p->connect_timeout = options_of_duration(o, name, OPT_TIMEOUT_CONNECT);
	p->first_byte_timeout = options_of_duration(o, name, OPT_TIMEOUT_FIRST_BYTE);
	p->idle_timeout = options_of_duration(o, name, OPT_POOL_IDLE);
	p->max_idle = (uint32_t)options_of_u64(o, name, OPT_POOL_MAX_IDLE);
	p->connect_tries = (uint32_t)options_of_u64(o, name, OPT_CONNECT_TRIES);
	p->endpoint_wait = options_of_duration(o, name, OPT_ENDPOINT_WAIT);
	p->retry_safe = options_of_bool(o, name, OPT_RETRY_SAFE);
	p->stall = options_of_duration(o, name, OPT_TIMEOUT_STALL);
	p->tunnel_idle = options_of_duration(o, name, OPT_TIMEOUT_TUNNEL_IDLE);
	p->bulkhead.observe = observe;
	if (u->kind == UPSTREAM_HANDLER)
		fill_handler(p, o);
	if (u->kind != UPSTREAM_SERVICE)
		return true;
	p->try_timeout = options_of_duration(o, name, OPT_TIMEOUT_TRY);
	p->request_timeout = options_of_duration(o, name, OPT_TIMEOUT_REQUEST);
	fill_breaker(p, o, name, observe);
	fill_retry(p, o, name, observe);
	fill_bulkhead(p, o, name);
	return fill_fallback(u, o, name) && (!options_bool(o, OPT_FAULTS) || fill_fault(u, o, name));
}

static bool same_texts(const struct spec_upstream *a, const struct spec_upstream *b)
{
	return str_eq(a->fallback_body, b->fallback_body) && str_eq(a->fallback_fields, b->fallback_fields) && str_eq(a->fallback_type, b->fallback_type) &&
	       str_eq(a->fallback_upstream, b->fallback_upstream) && str_eq(a->fault_name, b->fault_name) &&
	       str_eq(a->fault_value, b->fault_value);
}

/* They were made in zeroed memory, so that padding is equal, too. */
static bool same_bytes(const void *a, const void *b, size_t n)
{
	return memcmp(a, b, n) == 0;
}

bool build_policy_same(const struct spec_upstream *a, const struct spec_upstream *b)
{
	return same_bytes(&a->policy, &b->policy, sizeof(a->policy)) && same_texts(a, b);
}
