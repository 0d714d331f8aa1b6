/* Options to spec: who the sidecar is, and its rules that hold for every upstream. */
#include "control/build_int.h"

#include "base/mem.h"
#include "base/rng.h"
#include "control/option_value.h"

#include <unistd.h>

struct str build_lower(struct arena *a, struct str s)
{
	char *p = arena_z(a, s);

	for (size_t i = 0; p && i < s.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + 32);
	return str_make(p, p ? s.n : 0);
}

bool build_put_identity(struct build *b)
{
	struct spec_sidecar *s = b->s;
	struct str name = options_text(b->o, OPT_SERVICE);

	s->is_edge = b->q.command == COMMAND_EDGE;
	if (name.n == 0 && s->is_edge)
		name = STR("edge");
	s->service = build_lower(&s->arena, name);
	if (!s->service.p)
		return false;
	s->version = b->q.previous ? b->q.previous->version + 1 : 1;
	s->mode = (uint8_t)options_u64(b->o, OPT_MODE);
	s->slot = b->q.previous ? b->q.previous->slot : slots_sidecar(b->q.slots, b->q.identity.n ? b->q.identity : s->service);
	return s->slot != SLOT_NONE;
}

/* key=value for a hello: what has no place in its grammar becomes '_'. */
static void add_word(struct text *t, const char *key, struct str value)
{
	if (value.n == 0)
		return;
	text_fmt(t, "%s%s=", t->n ? ";" : "", key);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		text_char(t, c <= ' ' || c > '~' || c == ';' || c == '=' || c == ',' ? '_' : c);
	}
}

static struct str node_name(const struct build *b, char host[256])
{
	struct str node = options_text(b->o, OPT_NODE);

	host[255] = '\0';
	return node.n || gethostname(host, 255) != 0 ? node : str_of(host);
}

/* What replies say of the agent: a header's value, so odd bytes become '_'. */
bool build_put_agent(struct build *b)
{
	char host[256] = "";
	uint64_t mode = options_u64(b->o, OPT_FORWARD_AGENT);
	struct str node = node_name(b, host);
	bool says = mode == 1 || (mode == 0 && !b->s->is_edge);
	const char *text = !says ? "" : arena_fmt(&b->s->arena, "%.*s/%.*s%s%.*s", STR_ARG(node), STR_ARG(b->s->service), b->q.slot.n ? "." : "", STR_ARG(b->q.slot));

	if (!text)
		return false;
	b->s->agent = str_of(text);
	for (size_t i = 0; i < b->s->agent.n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			((char *)(uintptr_t)text)[i] = '_';
	return true;
}

/* What other agents are told (proxy/hello.h): the own metadata as they are written, then what we know. */
bool build_put_hello(struct build *b)
{
	struct str meta = options_text(b->o, OPT_META), item;
	char host[256] = "";
	struct str node = node_name(b, host);
	struct text t;

	if (b->s->is_edge)
		b->s->hello = STR("service=edge;v=1");
	if (b->s->is_edge)
		return true;
	text_init(&t, 8192); /* more than the options can say, so only memory can be short */
	add_word(&t, "service", b->s->service);
	add_word(&t, "stack", b->q.stack);
	add_word(&t, "slot", b->q.slot);
	add_word(&t, "node", node);
	add_word(&t, "zone", options_text(b->o, OPT_ZONE));
	add_word(&t, "v", STR("1"));
	size_t n = t.n;
	while (option_item_next(&meta, &item)) {
		size_t equals = str_find(item, '=');
		char key[64];
		if (equals != SIZE_MAX && str_copy(str_make(item.p, equals), key, sizeof(key)))
			add_word(&t, key, str_make(item.p + equals + 1, item.n - equals - 1));
		if (t.n <= HELLO_MAX) /* metadata that do not fit are left out; who we are never is */
			n = t.n;
		else
			b->s->hello_left++;
	}
	if (t.failed)
		b->s->hello = str_make(NULL, 0);
	else
		b->s->hello = n > HELLO_MAX ? STR("v=1") : arena_str(&b->s->arena, str_make(t.p, n));
	text_release(&t);
	return b->s->hello.p != NULL;
}

bool build_put_via(struct build *b)
{
	struct spec_forward *f = &b->s->forward;
	struct rng r;

	if (b->q.via.n || b->q.previous) {
		f->via = arena_str(&b->s->arena, b->q.via.n ? b->q.via : b->q.previous->forward.via);
	} else {
		rng_seed_os(&r);
		f->via = str_of(
			arena_fmt(&b->s->arena, "outrider-%016llx", (unsigned long long)rng_next(&r)));
	}
	return f->via.p != NULL;
}

bool build_put_limits(struct build *b)
{
	struct spec_limits *l = &b->s->limits;
	struct spec_times *t = &b->s->times;
	unsigned workers = options_workers(b->o);
	uint64_t connections = options_u64(b->o, OPT_LIMIT_CONNECTIONS);

	l->h1.head = (uint32_t)options_u64(b->o, OPT_LIMIT_HEAD);
	l->h1.line = (uint32_t)options_u64(b->o, OPT_LIMIT_REQUEST_LINE);
	l->h1.fields = (uint16_t)options_u64(b->o, OPT_LIMIT_FIELDS);
	l->body = options_u64(b->o, OPT_LIMIT_BODY);
	l->connections = (uint32_t)((connections + workers - 1) /
				    workers); /* each worker counts for itself */
	l->requests = (uint32_t)options_u64(b->o, OPT_LIMIT_REQUESTS);
	l->client = (uint32_t)options_u64(b->o, OPT_LIMIT_CLIENT_CONCURRENT);
	l->last_good = options_u64(b->o, OPT_LIMIT_LAST_GOOD);
	b->s->crowd = slots_crowd(b->q.slots, b->s->slot);
	b->s->replies = slots_replies(b->q.slots, b->s->slot);
	t->head = options_duration(b->o, OPT_TIMEOUT_HEAD);
	t->idle = options_duration(b->o, OPT_TIMEOUT_IDLE);
	return true;
}

struct cidrs {
	struct cidr *at; /* NULL: only counted */
	uint32_t n;
};

static bool add_cidr(void *arg, const struct cidr *c)
{
	struct cidrs *list = arg;

	if (list->at)
		list->at[list->n] = *c;
	list->n++;
	return true;
}

static bool each_cidr(struct str list, struct cidrs *to)
{
	struct str item;

	while (option_item_next(&list, &item))
		if (!option_cidr_item(item, add_cidr, to, NULL))
			return false;
	return true;
}

bool build_put_forward(struct build *b)
{
	static const struct {
		enum option_id id;
		uint8_t bit;
	} fields[] = {
		{ OPT_FORWARD_FOR, FORWARD_FOR },
		{ OPT_FORWARD_PROTO, FORWARD_PROTO },
		{ OPT_FORWARD_HOST, FORWARD_HOST },
		{ OPT_FORWARD_REQUEST_ID, FORWARD_REQUEST_ID },
		{ OPT_FORWARD_VIA, FORWARD_VIA },
	};
	struct spec_forward *f = &b->s->forward;
	struct str trusted = options_text(b->o, OPT_TRUSTED_PEERS);
	struct cidrs list = { NULL, 0 };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (options_bool(b->o, fields[i].id))
			f->set |= fields[i].bit;
	if (str_ieq(trusted, STR("auto")))
		trusted = b->s->is_edge ? STR("none") : STR("private");
	if (!each_cidr(trusted, &list))
		return false;
	list.at = arena_zalloc(&b->s->arena, (list.n + 1) * sizeof(*list.at));
	if (!list.at)
		return false;
	list.n = 0;
	if (!each_cidr(trusted, &list))
		return false;
	f->trusted = list.at;
	f->n_trusted = list.n;
	return true;
}

bool build_put_egress(struct build *b)
{
	struct spec_sidecar *s = b->s;
	struct str list = options_text(b->o, OPT_EGRESS_LIST), count = list, item;
	uint32_t n = 0;

	s->egress = (uint8_t)options_u64(b->o, OPT_EGRESS);
	while (option_item_next(&count, &item))
		n++;
	s->egress_list = arena_zalloc(&s->arena, (n + 1) * sizeof(*s->egress_list));
	if (!s->egress_list)
		return false;
	while (option_item_next(&list, &item)) {
		struct str host = build_lower(&s->arena, item);
		if (!host.p)
			return false;
		s->egress_list[s->n_egress_list++] = host;
	}
	return true;
}

bool build_put_own(struct build *b)
{
	struct spec_sidecar *s = b->s;
	struct addr mine[BUILD_OWN_MAX];
	const struct addr *from = b->q.own;
	size_t n = from ? b->q.n_own : addr_own(mine, BUILD_OWN_MAX);

	if (!from)
		from = mine;
	s->own = arena_zalloc(&s->arena, (n + 1) * sizeof(*s->own));
	if (!s->own)
		return false;
	if (n)
		memcpy(s->own, from, n * sizeof(*s->own));
	s->n_own = (uint32_t)n;
	return true;
}
