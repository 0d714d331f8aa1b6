#include "redis_config.h"

#include "base/mem.h"

#define PREFIX "outrider:config"
#define SHARED "application"
#define KEY_MAX 300
#define HASHES_MAX (2u * (REDIS_PROFILES_MAX + 1u))

struct redis_config {
	struct loop *loop;
	const struct redis_config_events *events;
	void *arg;
	char *address_text, *service;
	struct redis_address addresses[REDIS_ADDRESSES_MAX];
	unsigned address_count;
	char hashes[HASHES_MAX][KEY_MAX];
	unsigned hash_count;
	struct tls_client *tls;
	struct redis_link data, news;
	struct timer timer; /* the next reading */
	struct rng rng;
	uint64_t seed;
	usec poll, empty_hold;

	struct redis_set set; /* being read */
	unsigned answers;     /* replies of this reading so far */
	bool reading, again, spoiled;
	usec began;     /* the last reading */
	bool known;     /* values were delivered */
	size_t known_n; /* fields of them */
	uint64_t known_sum[2];
	usec hold_until; /* all is empty: when to believe it; 0: not empty */
	struct err told;
};

/* --- a set of fields ---------------------------------------------------------------------------------------------- */

void redis_set_clear(struct redis_set *set)
{
	text_release(&set->bytes);
	mem_free(set->fields);
	*set = (struct redis_set){ .n = 0 };
}

static bool room(struct redis_set *set)
{
	if (set->n < set->cap)
		return true;
	size_t cap = set->cap ? 2 * set->cap : 64;
	struct redis_at *more = mem_resize(set->fields, cap * sizeof(*more));
	if (!more)
		return false;
	set->fields = more;
	set->cap = cap;
	return true;
}

bool redis_set_add(struct redis_set *set, unsigned hash, const struct resp_value *values, size_t n,
	uint64_t seed, struct err *err)
{
	if (n == 0 || values[0].type != RESP_ARRAY || values[0].count != n - 1 || values[0].count % 2 != 0)
		return err_set(err, "the answer is no hash");
	if (set->bytes.max == 0)
		text_init(&set->bytes, REDIS_TOTAL_MAX);
	for (size_t i = 1; i + 1 < n; i += 2) {
		struct str key = values[i].text, value = values[i + 1].text;
		if (values[i].type != RESP_TEXT || values[i + 1].type != RESP_TEXT)
			return err_set(err, "the answer is no hash");
		if (set->n >= REDIS_FIELDS_MAX)
			return err_set(err, "more than %u fields", REDIS_FIELDS_MAX);
		if (!room(set))
			return err_set(err, "no memory");
		set->fields[set->n++] = (struct redis_at){ set->bytes.n, key.n, value.n, hash };
		text_add(&set->bytes, key);
		text_add(&set->bytes, value);
		if (set->bytes.failed)
			return err_set(err, "more than %u bytes in all, or no memory", REDIS_TOTAL_MAX);
		uint64_t h = str_hash(key, seed + hash);
		set->sum[0] += str_hash(value, h);
		set->sum[1] += str_hash(value, h * 3 + 1) ^ h;
	}
	return true;
}

/* --- what the owner hears ----------------------------------------------------------------------------------------- */

static void tell(struct redis_config *c, const char *why)
{
	if (strcmp(c->told.text, why) == 0)
		return;
	err_set(&c->told, "%s", why);
	c->events->on_trouble(c->arg, c->told.text);
}

static void deliver(struct redis_config *c)
{
	struct redis_field *fields = mem_zarray(c->set.n ? c->set.n : 1, sizeof(*fields));

	if (!fields) {
		tell(c, "no memory for the values");
		return;
	}
	for (size_t i = 0; i < c->set.n; i++) {
		const struct redis_at *f = &c->set.fields[i];
		fields[i].key = str_make(c->set.bytes.p + f->at, f->key_n);
		fields[i].value = str_make(c->set.bytes.p + f->at + f->key_n, f->value_n);
		fields[i].hash = str_of(c->hashes[f->hash]);
		fields[i].rank = f->hash;
	}
	c->known = true;
	c->known_n = c->set.n;
	c->known_sum[0] = c->set.sum[0];
	c->known_sum[1] = c->set.sum[1];
	c->events->on_values(c->arg, fields, c->set.n);
	mem_free(fields);
}

/* Emptiness after values is more often an accident than a wish. true: keep the values still. */
static bool held(struct redis_config *c)
{
	usec now = loop_now(c->loop);

	if (c->set.n > 0 || !c->known || c->known_n == 0) {
		c->hold_until = 0;
		return false;
	}
	if (c->hold_until == 0)
		c->hold_until = now + c->empty_hold;
	if (now >= c->hold_until)
		return false;
	tell(c, "all its hashes are empty now: what stood there is kept for a while");
	return true;
}

/* --- reading ---------------------------------------------------------------------------------------------------------- */

static void plan(struct redis_config *c)
{
	usec now = loop_now(c->loop),
	     next = now + c->poll - c->poll / 10 + rng_below(&c->rng, (uint32_t)(c->poll / 5) + 1);

	if (c->again)
		next = c->began + REDIS_READ_GAP;
	else if (c->hold_until > now && c->hold_until < next)
		next = c->hold_until;
	timer_set(c->loop, &c->timer, next);
}

static void finish(struct redis_config *c)
{
	c->reading = false;
	redis_link_fine(&c->data);
	if (!c->spoiled && !held(c)) {
		bool same = c->known && c->known_n == c->set.n && c->known_sum[0] == c->set.sum[0] &&
			    c->known_sum[1] == c->set.sum[1];
		tell(c, "");
		if (!same)
			deliver(c);
	}
	redis_set_clear(&c->set);
	plan(c);
}

static void begin(void *arg)
{
	struct redis_config *c = arg;
	bool sent = true;

	if (c->reading || c->data.state != REDIS_READY)
		return; /* finish() sees `again`; the connection begins when it stands */
	c->again = false;
	c->reading = true;
	c->spoiled = false;
	c->answers = 0;
	c->began = loop_now(c->loop);
	for (unsigned i = 0; i < c->hash_count && sent; i++) {
		struct str argv[2] = { STR("HGETALL"), str_of(c->hashes[i]) };
		sent = redis_link_send(&c->data, argv, 2);
	}
}

void redis_config_refresh(struct redis_config *c)
{
	c->again = true;
	if (!c->reading && c->data.state == REDIS_READY)
		timer_set(c->loop, &c->timer, c->began + REDIS_READ_GAP);
}

static void data_ready(void *arg)
{
	begin(arg);
}

static void data_reply(void *arg, const struct resp_value *v, size_t n)
{
	struct redis_config *c = arg;
	struct err why;

	if (!c->reading || c->answers >= c->hash_count) {
		redis_link_drop(&c->data, "it answers what was not asked");
		return;
	}
	bool good = v->type == RESP_ERROR ? err_set(&why, "it says: %.*s",
						    (int)(v->text.n < 200 ? v->text.n : 200), v->text.p)
					  : redis_set_add(&c->set, c->answers, v, n, c->seed, &why);
	if (!good && !c->spoiled) {
		err_prefix(&why, "hash %s", c->hashes[c->answers]);
		tell(c, why.text);
		c->spoiled = true;
	}
	if (++c->answers == c->hash_count)
		finish(c);
}

/* Another address, where there is one, for the next try. */
static void next_address(struct redis_config *c, struct redis_link *l, unsigned tries)
{
	l->to = &c->addresses[tries % c->address_count];
}

static void data_down(void *arg, const char *why, unsigned tries)
{
	struct redis_config *c = arg;

	c->reading = false;
	redis_set_clear(&c->set);
	timer_clear(&c->timer);
	tell(c, why);
	next_address(c, &c->data, tries); /* after what was told of this one */
}

/* --- notices ---------------------------------------------------------------------------------------------------------- */

static void news_ready(void *arg)
{
	struct redis_config *c = arg;
	char pattern[96];
	struct str channel[2] = { STR("SUBSCRIBE"), STR(PREFIX) },
		   events[2] = { STR("PSUBSCRIBE"), { pattern, 0 } };

	snprintf(pattern, sizeof(pattern), "__keyspace@%u__:" PREFIX ":*", c->news.to->db);
	events[1] = str_of(pattern);
	if (redis_link_send(&c->news, channel, 2))
		(void)redis_link_send(&c->news, events, 2);
}

static bool is_ours(const struct redis_config *c, struct str key)
{
	for (unsigned i = 0; i < c->hash_count; i++)
		if (str_eq(key, str_of(c->hashes[i])))
			return true;
	return false;
}

static void news_reply(void *arg, const struct resp_value *v, size_t n)
{
	struct redis_config *c = arg;
	struct str kind = n > 1 && v->type == RESP_ARRAY ? v[1].text : str_make(NULL, 0);

	if (str_eq(kind, STR("message")) && n == 4) {
		struct str who = str_trim(v[3].text);
		if (str_eq(who, STR("*")) || str_eq(who, STR(SHARED)) || str_eq(who, str_of(c->service)))
			redis_config_refresh(c);
	} else if (str_eq(kind, STR("pmessage")) && n == 5) {
		size_t colon = str_find(v[3].text, ':');
		if (colon != SIZE_MAX &&
			is_ours(c, str_make(v[3].text.p + colon + 1, v[3].text.n - colon - 1)))
			redis_config_refresh(c);
	} else if (str_eq(kind, STR("subscribe")) || str_eq(kind, STR("psubscribe"))) {
		redis_link_fine(&c->news);
		redis_config_refresh(c); /* what changed while nobody listened */
	}
	/* An error: this user may not subscribe. The poll is there. */
}

static void news_down(void *arg, const char *why, unsigned tries)
{
	struct redis_config *c = arg;

	(void)why; /* the other connection has the same to say */
	next_address(c, &c->news, tries);
}

static const struct redis_link_events data_events = { data_ready, data_reply, data_down };
static const struct redis_link_events news_events = { news_ready, news_reply, news_down };

/* --- life ---------------------------------------------------------------------------------------------------------------- */

/* What the address itself says counts more. */
static bool add_credentials(struct redis_address *a, const struct redis_config_options *o, struct err *err)
{
	if (a->password[0] != '\0')
		return true;
	if (!str_copy(o->password, a->password, sizeof(a->password)) ||
		(a->user[0] == '\0' && !str_copy(o->username, a->user, sizeof(a->user))))
		return err_set(err, "the username is longer than %zu bytes or the password than %zu",
			sizeof(a->user) - 1, sizeof(a->password) - 1);
	return true;
}

static bool parse_addresses(struct redis_config *c, const struct redis_config_options *o, struct err *err)
{
	struct str rest = str_of(c->address_text), one;

	while (str_next(&rest, '|', &one)) {
		if (c->address_count == REDIS_ADDRESSES_MAX)
			return err_set(err, "more than %u addresses", REDIS_ADDRESSES_MAX);
		if (!redis_address_parse(one, &c->addresses[c->address_count], err) ||
			!add_credentials(&c->addresses[c->address_count], o, err))
			return false;
		c->address_count++;
	}
	return c->address_count > 0 || err_set(err, "an address is missing");
}

static void add_hash(struct redis_config *c, struct str name, struct str profile)
{
	snprintf(c->hashes[c->hash_count++], KEY_MAX, PREFIX ":%.*s%s%.*s", STR_ARG(name),
		profile.n ? ":" : "", STR_ARG(profile));
}

static bool name_hashes(struct redis_config *c, struct str profiles, struct err *err)
{
	struct str list[REDIS_PROFILES_MAX + 1], one;
	size_t n = 0;

	list[n++] = str_make(NULL, 0); /* for every profile: the weakest */
	while (str_next(&profiles, ',', &one)) {
		if (one.n == 0)
			continue;
		if (n > REDIS_PROFILES_MAX || one.n > 128)
			return err_set(err, "more than %u profiles, or one longer than 128 bytes",
				REDIS_PROFILES_MAX);
		list[n++] = one;
	}
	while (n-- > 0) {
		if (c->service[0] != '\0' && strcmp(c->service, SHARED) != 0)
			add_hash(c, str_of(c->service), list[n]);
		add_hash(c, STR(SHARED), list[n]);
	}
	return true;
}

static bool set_up(struct redis_config *c, const struct redis_config_options *o, struct err *err)
{
	static const struct resp_limits data_limits = { 2 * REDIS_FIELDS_MAX + 1, REDIS_VALUE_MAX,
		REDIS_TOTAL_MAX };
	static const struct resp_limits news_limits = { 16, 64 * 1024, 128 * 1024 };

	c->address_text = mem_dup(o->address.p, o->address.n);
	c->service = mem_dup(o->service.p, o->service.n);
	if (!c->address_text || !c->service)
		return err_set(err, "no memory");
	if (o->service.n > 128)
		return err_set(err, "a service's name longer than 128 bytes");
	if (!parse_addresses(c, o, err) || !name_hashes(c, o->profiles, err))
		return false;
	if (o->secure &&
		!(c->tls = tls_client_new(
			  &(struct tls_client_config){ .ca = o->ca, .ca_option = "outrider.redis.ca" }, err)))
		return false;
	struct redis_link_config lc = {
		.loop = o->loop, .ns = o->ns, .resolver = o->resolver, .tls = c->tls, .to = c->addresses
	};
	return redis_link_init(&c->data, &lc, &data_events, c, &data_limits, err) &&
	       redis_link_init(&c->news, &lc, &news_events, c, &news_limits, err);
}

struct redis_config *redis_config_new(const struct redis_config_options *options,
	const struct redis_config_events *events, void *arg, struct err *err)
{
	struct redis_config *c = mem_zalloc(sizeof(*c));

	if (!c) {
		err_set(err, "no memory");
		return NULL;
	}
	c->loop = options->loop;
	c->events = events;
	c->arg = arg;
	c->poll = options->poll ? options->poll : REDIS_POLL;
	c->empty_hold = options->empty_hold ? options->empty_hold : REDIS_EMPTY_HOLD;
	timer_init(&c->timer, begin, c);
	rng_seed_os(&c->rng);
	c->seed = rng_next(&c->rng);
	if (!set_up(c, options, err)) {
		redis_config_free(c);
		return NULL;
	}
	redis_link_open(&c->data);
	redis_link_open(&c->news);
	return c;
}

void redis_config_free(struct redis_config *c)
{
	if (!c)
		return;
	redis_link_release(&c->data);
	redis_link_release(&c->news);
	timer_clear(&c->timer);
	tls_client_free(c->tls);
	redis_set_clear(&c->set);
	if (c->address_text)
		mem_wipe_free(c->address_text, strlen(c->address_text));
	mem_free(c->service);
	mem_wipe_free(c, sizeof(*c)); /* it holds passwords */
}

const struct redis_address *redis_config_server(const struct redis_config *c)
{
	return c->data.to;
}
