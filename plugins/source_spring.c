/* `spring:URL|URL`: properties from a Spring Cloud Config Server, asked again and again (it tells of nothing by itself).
 *
 *     timer, refresh ──> ask ──> answer ──> read (a large one on a thread) ──> on_values, if they differ
 *                         │ any failure: the next address; 404 everywhere: the next label
 *                         └ none left: on_trouble, and again after a pause that grows
 *
 * A round begins at the address that answered last. A label counts as unknown when no address had it and one at least said
 * 404; a round whose addresses are all out of reach proves nothing, and the labels behind are not tried. While there is
 * trouble the last values stand; an answer that is suddenly empty is believed after SPRING_EMPTY_HOLD. */
#include "spring_ask.h"
#include "spring_read.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/unit.h"
#include "net/timer.h"

#define SPRING_URLS_MAX 8u
#define SPRING_LABELS_MAX 16u
#define SPRING_TIMEOUT (10 * USEC_SEC) /* unless outrider.spring.timeout says another */
#define SPRING_GAP (20 * USEC_MS)      /* between two rounds, however often a refresh is asked for */
#define SPRING_EMPTY_HOLD (60 * USEC_SEC)

struct place { /* an address of the server */
	struct http_url at;
	struct err why; /* of this round */
};

struct source {
	struct loop *loop;
	struct source_events events;
	void *arg;
	usec poll;
	struct spring_asker asker;
	char *application, *profiles, *labels_text, *user, *password, *token, *ca; /* owned */
	struct place places[SPRING_URLS_MAX];
	struct str labels[SPRING_LABELS_MAX]; /* into labels_text; without the option one empty label */
	size_t n_places, n_labels;
	struct timer timer;
	struct rng rng;

	/* the round */
	size_t label, tried, first; /* of labels; of places, from `first` on */
	bool running, again;        /* asked to run again meanwhile */
	bool unknown;               /* an address said 404 for this label */
	usec began;
	struct fetch *fetch;
	struct spring_reader reader;
	/* what is known */
	bool said;
	size_t known;    /* properties of the last values */
	uint64_t sum[2]; /* over them */
	uint64_t seed;
	usec empty_since; /* 0: not empty */
	char *state;      /* X-Config-State to send; NULL: none */
	unsigned failures;
	usec pause;
	struct err trouble;
};

static void run(struct source *s);

/* --- what the owner hears ------------------------------------------------------------------------------------------ */

static void set_trouble(struct source *s, const char *why)
{
	if (strcmp(s->trouble.text, why) == 0)
		return;
	err_set(&s->trouble, "%s", why);
	s->events.on_trouble(s->arg, s->trouble.text);
}

/* A change of any key, value or order of sets shows; origins alone do not count. */
static void sum_of(const struct source *s, const struct config_props *p, uint64_t sum[2])
{
	sum[0] = s->seed;
	sum[1] = p->n;
	for (size_t i = 0; i < p->n; i++) {
		sum[0] = str_hash(p->at[i].value, str_hash(p->at[i].key, sum[0] + p->at[i].set));
		sum[1] = str_hash(p->at[i].key, str_hash(p->at[i].value, sum[1] * 3 + 1));
	}
}

/* Emptiness after values is more often an accident of the server's repository than a wish. true: keep the values still. */
static bool held(struct source *s, size_t n)
{
	usec now = loop_touch(s->loop);

	if (n > 0 || s->known == 0) {
		s->empty_since = 0;
		return false;
	}
	if (!s->empty_since)
		s->empty_since = now;
	if (now >= s->empty_since + SPRING_EMPTY_HOLD)
		return false;
	struct err why;
	err_set(&why, "%s answers without any property now: what it said before is kept for a while",
		s->places[s->first].at.url);
	set_trouble(s, why.text);
	return true;
}

static void deliver(struct source *s, const struct config_props *p)
{
	uint64_t sum[2];

	if (held(s, p->n))
		return;
	set_trouble(s, "");
	sum_of(s, p, sum);
	if (s->said && sum[0] == s->sum[0] && sum[1] == s->sum[1])
		return;
	s->said = true;
	s->known = p->n;
	s->sum[0] = sum[0];
	s->sum[1] = sum[1];
	s->events.on_values(s->arg, p->at, p->n);
}

/* --- rounds -------------------------------------------------------------------------------------------------------- */

/* A tenth to either side, so that agents that started together do not ask together. */
static usec jittered(struct source *s, usec d)
{
	usec span = d / 5 < UINT32_MAX ? d / 5 : UINT32_MAX - 1;

	return d - span / 2 + rng_below(&s->rng, (uint32_t)span + 1);
}

static void end_round(struct source *s, usec pause)
{
	s->running = false;
	if (s->again)
		timer_set(s->loop, &s->timer, s->began + SPRING_GAP);
	else
		timer_set(s->loop, &s->timer, loop_touch(s->loop) + jittered(s, pause));
}

static void fail_round(struct source *s)
{
	struct text all;

	text_init(&all, ERR_MAX - 1);
	for (size_t i = 0; i < s->n_places && !all.failed; i++)
		text_fmt(&all, "%s%s", i ? "; " : "", s->places[i].why.text);
	set_trouble(s, text_z(&all));
	text_release(&all);
	s->pause = spring_pause(s->pause, ++s->failures, s->said, s->poll);
	end_round(s, s->pause);
}

static struct place *current(struct source *s)
{
	return &s->places[(s->first + s->tried) % s->n_places];
}

/* The address at hand failed (its `why` says how): the next one, or the next label. false: none is left. */
static bool advance(struct source *s)
{
	if (++s->tried < s->n_places)
		return true;
	s->tried = 0;
	if (!s->unknown || s->label + 1 >= s->n_labels)
		return false;
	s->unknown = false;
	s->label++;
	return true;
}

static void go_on(struct source *s)
{
	if (advance(s))
		run(s);
	else
		fail_round(s);
}

/* --- answers --------------------------------------------------------------------------------------------------------- */

/* Sent back as it came, so it must fit into a header. */
static void keep_state(struct source *s, struct str state)
{
	bool fits = state.n > 0 && state.n <= SPRING_STATE_MAX;

	for (size_t i = 0; i < state.n && fits; i++)
		fits = (unsigned char)state.p[i] >= ' ' && state.p[i] != 0x7f;
	mem_free(s->state);
	s->state = fits ? mem_dup(state.p, state.n) : NULL;
}

static void on_read(
	void *arg, const struct config_props *props, const struct spring_answer *answer, const char *why)
{
	struct source *s = arg;
	struct place *at = current(s);

	if (why) {
		err_set(&at->why, "%s: its answer cannot be used: %s", at->at.url, why);
		go_on(s);
		return;
	}
	s->first = (size_t)(at - s->places);
	s->failures = 0;
	keep_state(s, answer->state);
	deliver(s, props);
	end_round(s, s->poll);
}

static void on_reply(void *arg, const struct fetch_reply *reply)
{
	struct source *s = arg;
	struct place *at = current(s);

	s->fetch = NULL;
	if (spring_accept(&s->asker, &at->at, reply, &at->why)) {
		spring_read(&s->reader, reply->body);
		return;
	}
	s->unknown = s->unknown || reply->status == 404;
	go_on(s);
}

/* Asks the address and label at hand; those that cannot be asked are passed over. */
static void run(struct source *s)
{
	do {
		struct place *at = current(s);
		s->fetch = spring_ask(
			&s->asker, &at->at, s->labels[s->label], s->state, on_reply, s, &at->why);
		if (s->fetch)
			return;
	} while (advance(s));
	fail_round(s);
}

static void on_timer(void *arg)
{
	struct source *s = arg;

	s->running = true;
	s->again = s->unknown = false;
	s->label = s->tried = 0;
	s->began = loop_touch(s->loop);
	run(s);
}

static void spring_refresh(struct source *s)
{
	if (s->running) /* what is on its way may have been said before the change */
		s->again = true;
	else
		timer_set(s->loop, &s->timer, s->began + SPRING_GAP);
}

/* --- life -------------------------------------------------------------------------------------------------------------- */

static void wipe_text(char *z)
{
	mem_wipe_free(z, z ? strlen(z) : 0);
}

static void spring_close(struct source *s)
{
	if (!s)
		return;
	spring_reader_stop(&s->reader);
	if (s->fetch)
		fetch_cancel(s->fetch);
	fetcher_free(s->asker.fetcher);
	timer_clear(&s->timer);
	mem_free(s->application);
	mem_free(s->profiles);
	mem_free(s->labels_text);
	mem_free(s->ca);
	mem_free(s->state);
	wipe_text(s->user);
	wipe_text(s->password);
	wipe_text(s->token);
	mem_wipe_free(s, sizeof(*s)); /* its addresses hold passwords */
}

static bool split_address(struct source *s, struct str address, struct err *err)
{
	struct str rest = address, one;
	struct err why;

	while (str_next(&rest, '|', &one)) {
		if (s->n_places == SPRING_URLS_MAX)
			return err_set(err, "more than %u addresses", SPRING_URLS_MAX);
		if (!http_url_parse(one, &s->places[s->n_places].at, &why))
			return err_set(err,
				"address %zu: %s; expected http://HOST:PORT, such as "
				"spring:http://configserver:8888",
				s->n_places + 1, why.text);
		s->n_places++;
	}
	return s->n_places > 0 ||
	       err_set(err, "an address is missing: expected spring:http://HOST:PORT, such as "
			    "spring:http://configserver:8888");
}

static bool split_labels(struct source *s, struct err *err)
{
	struct str rest = str_of(s->labels_text), one;

	while (str_next(&rest, ',', &one)) {
		if (!one.n)
			continue;
		if (s->n_labels == SPRING_LABELS_MAX)
			return err_set(err, "outrider.spring.label: more than %u labels", SPRING_LABELS_MAX);
		s->labels[s->n_labels++] = one;
	}
	if (!s->n_labels)
		s->n_labels = 1;
	return true;
}

/* A copy of one of the plug-in's options, NULL when unset. */
static bool setting(const struct source_config *c, const char *name, char **ret, struct err *err)
{
	struct str v = str_trim(plugin_setting(&c->settings, "spring", name));

	for (size_t i = 0; i < v.n; i++)
		if ((unsigned char)v.p[i] < ' ' || v.p[i] == 0x7f)
			return err_set(err,
				"outrider.spring.%s holds a line break or another control character", name);
	if (!v.n)
		return true;
	*ret = mem_dup(v.p, v.n);
	return *ret || err_set(err, "out of memory");
}

static bool take_settings(struct source *s, const struct source_config *c, struct err *err)
{
	struct str timeout = plugin_setting(&c->settings, "spring", "timeout");

	s->asker.timeout = SPRING_TIMEOUT;
	if (timeout.n && !duration_parse(timeout, &s->asker.timeout))
		return err_set(err, "outrider.spring.timeout is no duration such as 10s");
	return setting(c, "label", &s->labels_text, err) && setting(c, "username", &s->user, err) &&
	       setting(c, "password", &s->password, err) && setting(c, "token", &s->token, err) &&
	       setting(c, "ca", &s->ca, err) && split_labels(s, err);
}

static bool set_up(struct source *s, const struct source_config *c, struct err *err)
{
	struct str name = c->service.n ? c->service : STR("application");

	if (!split_address(s, c->address, err) || !take_settings(s, c, err))
		return false;
	s->application = mem_dup(name.p, name.n);
	s->profiles = mem_dup(c->profiles.p ? c->profiles.p : "", c->profiles.n);
	if (!s->application || !s->profiles)
		return err_set(err, "out of memory");
	s->asker.fetcher = fetcher_new(c->loop, c->resolver, c->ns, err);
	s->asker.application = s->application;
	s->asker.profiles = s->profiles;
	s->asker.user = s->user;
	s->asker.password = s->password;
	s->asker.token = s->token;
	s->asker.ca = s->ca;
	s->asker.labels = s->labels_text;
	return s->asker.fetcher != NULL;
}

static struct source *spring_open(
	const struct source_config *c, const struct source_events *events, void *arg, struct err *err)
{
	struct source *s = mem_zalloc(sizeof(*s));

	if (!s) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->loop = c->loop;
	s->events = *events;
	s->arg = arg;
	s->poll = c->poll ? c->poll : 30 * USEC_SEC;
	timer_init(&s->timer, on_timer, s);
	spring_reader_init(&s->reader, s->loop, on_read, s);
	rng_seed_os(&s->rng);
	s->seed = rng_next(&s->rng);
	if (!set_up(s, c, err)) {
		spring_close(s);
		return NULL;
	}
	timer_set(s->loop, &s->timer, loop_touch(s->loop));
	return s;
}

/* Without a network there is only the address to judge. */
static bool spring_check(struct str address, void (*say)(void *arg, const char *problem),
	void (*service)(void *arg, struct str service, struct str profile), void *arg)
{
	struct source *s = mem_zalloc(sizeof(*s));
	struct err err = { "out of memory" };
	bool ok = s && split_address(s, address, &err);

	(void)service;
	if (!ok)
		say(arg, err.text);
	if (s)
		mem_wipe_free(s, sizeof(*s));
	return ok;
}

extern const struct source_ops source_spring;
const struct source_ops source_spring = {
	.name = "spring",
	.help = "spring:http(s)://[USER:PASSWORD@]HOST:PORT, a Spring Cloud Config Server; several joined by "
		"|",
	.open = spring_open,
	.refresh = spring_refresh,
	.close = spring_close,
	.check = spring_check,
};
