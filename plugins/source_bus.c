/* `spring-bus:amqp://…`: a trigger. It holds no values; when Spring Cloud Bus says over RabbitMQ that this service shall read
 * its configuration again, it says so by an on_values without values.
 *
 *     WAITING ──pause──> OPENING ──wire──> TALKING ──session──> LISTENING ──event, settle──> on_values
 *        ^───────────────── lost ──────────────┴──────────────────┘
 *
 * Brokers are tried in turn, with a pause that grows and is half chance. Whatever happened while nobody listened is made good by
 * one refresh when the connection stands (again). No acknowledgements are sent (Spring's, on the exchange): they would claim a
 * refresh that has not happened yet, and nothing waits for them. */
#include "bus_session.h"
#include "bus_wire.h"

#include "base/mem.h"
#include "base/rng.h"
#include "plugin.h"

#define BUS_SETTLE (50 * USEC_MS) /* a config server that watches files sends bursts */
#define BUS_PAUSE_FIRST (500 * USEC_MS)
#define BUS_PAUSE_MAX (30 * USEC_SEC)
#define BUS_STABLE (30 * USEC_SEC) /* a connection that stood so long is no failed try */

struct source {
	struct loop *loop;
	struct source_events events;
	void *arg;
	struct bus_address *addresses; /* owned, wiped */
	unsigned address_count;
	char *username, *password, *ca, *exchange, *service, *profiles; /* owned */
	struct tls_client *tls;

	enum { BUS_WAITING, BUS_OPENING, BUS_TALKING, BUS_LISTENING } state;
	struct bus_wire wire;
	struct bus_session *session;
	struct timer pause, settle;
	struct rng rng;
	unsigned tries;  /* in a row that came to nothing */
	usec since;      /* LISTENING */
	struct err lost; /* what the wire knows of the end of a session; "": nothing */
	struct err trouble;
};

static const struct bus_address *current(const struct source *s)
{
	return &s->addresses[s->tries % s->address_count];
}

/* --- what control hears -------------------------------------------------------------------------------------------- */

static void set_trouble(struct source *s, const char *why)
{
	if (strcmp(s->trouble.text, why) == 0)
		return;
	err_set(&s->trouble, "%s", why);
	s->events.on_trouble(s->arg, s->trouble.text);
}

static void refresh_soon(struct source *s)
{
	if (!timer_armed(&s->settle))
		timer_set(s->loop, &s->settle, loop_now(s->loop) + BUS_SETTLE);
}

static void on_settled(void *arg)
{
	struct source *s = arg;
	s->events.on_values(s->arg, NULL, 0);
}

/* --- down and up again --------------------------------------------------------------------------------------------- */

static usec pause_of(struct source *s)
{
	usec p = BUS_PAUSE_FIRST;

	for (unsigned i = 1; i < s->tries && p < BUS_PAUSE_MAX; i++)
		p *= 2;
	p = p < BUS_PAUSE_MAX ? p : BUS_PAUSE_MAX;
	return p / 2 + rng_below(&s->rng, (uint32_t)(p / 2) + 1);
}

static void down(struct source *s, const char *why)
{
	struct err text;
	char name[BUS_NAME_MAX];

	bus_address_name(current(s), name);
	err_set(&text, "RabbitMQ at %s: %s; until it listens again changes are found by the poll", name, why);
	bus_wire_close(&s->wire);
	if (s->state == BUS_LISTENING && loop_now(s->loop) - s->since >= BUS_STABLE)
		s->tries = 0;
	s->tries++;
	s->state = BUS_WAITING;
	timer_set(s->loop, &s->pause, loop_now(s->loop) + pause_of(s));
	set_trouble(s, text.text);
}

static void on_pause(void *arg)
{
	struct source *s = arg;

	s->state = BUS_OPENING;
	s->lost.text[0] = '\0';
	bus_wire_open(&s->wire, current(s), s->tries / s->address_count);
}

/* --- session ------------------------------------------------------------------------------------------------------- */

static void on_ready(void *arg)
{
	struct source *s = arg;

	s->state = BUS_LISTENING;
	s->since = loop_now(s->loop);
	bus_wire_ready(&s->wire);
	set_trouble(s, "");
	refresh_soon(s);
}

static void on_refresh(void *arg)
{
	refresh_soon(arg);
}

static void on_end(void *arg, const char *why)
{
	struct source *s = arg;

	s->session = NULL;
	down(s, s->lost.text[0] != '\0' ? s->lost.text : why);
}

static const struct bus_session_events session_events = { on_ready, on_refresh, on_end };

/* --- wire ---------------------------------------------------------------------------------------------------------- */

static void on_up(void *arg, int fd)
{
	struct source *s = arg;
	const struct bus_address *a = current(s);
	struct err why;
	struct bus_session_config c = {
		.loop = s->loop,
		.to = a,
		.user = a->user[0] != '\0' ? a->user : s->username,
		.password = a->password[0] != '\0'
				    ? a->password
				    : s->password, /* a user in the URL, the password in a file */
		.exchange = s->exchange,
		.id = { str_of(s->service), str_of(s->profiles) },
	};

	s->state = BUS_TALKING;
	s->session = bus_session_start(&c, fd, &session_events, s, &why);
	if (!s->session)
		down(s, why.text);
}

static void on_down(void *arg, const char *why)
{
	struct source *s = arg;

	if (s->session) /* it reads what came before, and then the end; its word is the last */
		err_set(&s->lost, "%s", why);
	else
		down(s, why);
}

static const struct bus_wire_events wire_events = { on_up, on_down };

/* --- the plug-in --------------------------------------------------------------------------------------------------- */

static void wipe(char *text)
{
	if (text)
		mem_wipe_free(text, strlen(text));
}

static void bus_close(struct source *s)
{
	if (!s)
		return;
	if (s->pause.fn) {
		timer_clear(&s->pause);
		timer_clear(&s->settle);
		bus_wire_stop(&s->wire);
		bus_session_stop(s->session);
		bus_wire_close(&s->wire);
	}
	tls_client_free(s->tls);
	if (s->addresses)
		mem_wipe_free(s->addresses, BUS_ADDRESSES_MAX * sizeof(*s->addresses));
	wipe(s->username);
	wipe(s->password);
	mem_free(s->ca);
	mem_free(s->exchange);
	mem_free(s->service);
	mem_free(s->profiles);
	mem_free(s);
}

/* Calls itself no callback: dst may be NULL, to judge only. */
static bool parse_addresses(
	struct str text, struct bus_address *dst, unsigned *n, bool *secure, struct err *err)
{
	struct str one;

	*n = 0;
	*secure = false;
	while (str_next(&text, '|', &one)) {
		if (*n == BUS_ADDRESSES_MAX)
			return err_set(err, "more than %u brokers", BUS_ADDRESSES_MAX);
		if (!bus_address_parse(one, &dst[*n], err))
			return false;
		*secure = *secure || dst[*n].secure;
		++*n;
	}
	return *n > 0 || err_set(err, "an address is missing: spring-bus:amqp://HOST");
}

static char *setting(const struct source_config *c, const char *name, const char *unset)
{
	struct str value = plugin_setting(&c->settings, "spring-bus", name);
	if (value.n == 0)
		value = str_of(unset);
	return mem_dup(value.p, value.n);
}

static bool copy_config(struct source *s, const struct source_config *c, struct err *err)
{
	s->addresses = mem_zarray(BUS_ADDRESSES_MAX, sizeof(*s->addresses));
	s->username = setting(c, "username", "guest");
	s->password = setting(c, "password", "guest");
	s->ca = setting(c, "ca", "");
	s->exchange = setting(c, "exchange", "springCloudBus");
	s->service = mem_dup(c->service.p ? c->service.p : "", c->service.n);
	s->profiles = mem_dup(c->profiles.p ? c->profiles.p : "", c->profiles.n);
	if (!s->addresses || !s->username || !s->password || !s->ca || !s->exchange || !s->service ||
		!s->profiles)
		return err_set(err, "out of memory");
	return strlen(s->exchange) <= BUS_EXCHANGE_MAX ||
	       err_set(err, "outrider.spring-bus.exchange is longer than %u bytes", BUS_EXCHANGE_MAX);
}

static bool set_up(struct source *s, const struct source_config *c, struct err *err)
{
	struct tls_client_config tls = { .ca_option = "outrider.spring-bus.ca" };
	bool secure;

	if (!copy_config(s, c, err) ||
		!parse_addresses(c->address, s->addresses, &s->address_count, &secure, err))
		return false;
	tls.ca = s->ca[0] != '\0' ? s->ca : NULL;
	if (secure && !(s->tls = tls_client_new(&tls, err)))
		return false;
	rng_seed_os(&s->rng);
	timer_init(&s->pause, on_pause, s);
	timer_init(&s->settle, on_settled, s);
	bus_wire_init(&s->wire, c->loop, c->ns, c->resolver, &wire_events, s);
	s->wire.tls = s->tls;
	return true;
}

static struct source *bus_open(
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
	if (!set_up(s, c, err)) {
		bus_close(s);
		return NULL;
	}
	timer_set(s->loop, &s->pause, 0); /* the next turn: no callback inside open() */
	return s;
}

/* There is nothing to be read. */
static void bus_refresh(struct source *s)
{
	(void)s;
}

static bool bus_check(struct str address, void (*say)(void *arg, const char *problem),
	void (*service)(void *arg, struct str service, struct str profile), void *arg)
{
	struct bus_address *list = mem_zarray(BUS_ADDRESSES_MAX, sizeof(*list));
	struct err err = { .text = "out of memory" };
	unsigned n;
	bool secure, ok = list && parse_addresses(address, list, &n, &secure, &err);

	(void)service;
	if (!ok)
		say(arg, err.text);
	if (list)
		mem_wipe_free(list, BUS_ADDRESSES_MAX * sizeof(*list));
	return ok;
}

extern const struct source_ops source_bus;
const struct source_ops source_bus = {
	.name = "spring-bus",
	.help = "spring-bus:amqp://[user:password@]HOST[:PORT][/VHOST], or amqps: Spring Cloud Bus over "
		"RabbitMQ says when the other "
		"sources shall read again",
	.open = bus_open,
	.refresh = bus_refresh,
	.close = bus_close,
	.check = bus_check,
	.trigger = true,
};
