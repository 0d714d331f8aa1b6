#include "attach/container.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/bounded_json.h"

#include <string.h>

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
	return s.n > 0;
}

/* --- JSON ---------------------------------------------------------------------------------------------------------- */

static struct str text_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsString(v) ? str_of(v->valuestring) : STR("");
}

/* "/var/run/docker/netns/1a2b3c4d5e6f": the folder is ours to know, the name the engine's to give. */
static struct str sandbox_name(struct str path)
{
	size_t slash = 0;
	for (size_t i = 0; i < path.n; i++)
		slash = path.p[i] == '/' ? i + 1 : slash;
	struct str name = str_make(path.p + slash, path.n - slash);
	bool known = is_hex(name) || str_eq(name, STR("default"));
	return known && name.n <= 32 ? name : STR("");
}

static size_t count_items(const cJSON *list)
{
	return (size_t)cJSON_GetArraySize(list);
}

/* "KEY=VALUE"; what has no '=' sets nothing. */
static bool take_env(struct container *c, const cJSON *list)
{
	const cJSON *item;
	size_t n = count_items(list);

	c->env = arena_alloc(&c->arena, (n + 1) * sizeof(*c->env));
	if (!c->env || n > CONTAINER_PAIRS_MAX)
		return false;
	cJSON_ArrayForEach(item, list) {
		struct str s = cJSON_IsString(item) ? str_of(item->valuestring) : STR("");
		size_t equals = str_find(s, '=');
		if (equals == SIZE_MAX || equals == 0)
			continue;
		struct container_pair *p = &c->env[c->n_env++];
		p->key = arena_str(&c->arena, str_make(s.p, equals));
		p->value = arena_str(&c->arena, str_make(s.p + equals + 1, s.n - equals - 1));
		if (!p->key.p || !p->value.p)
			return false;
	}
	return true;
}

static bool take_labels(struct container *c, const cJSON *labels)
{
	const cJSON *item;
	size_t n = count_items(labels);

	c->labels = arena_alloc(&c->arena, (n + 1) * sizeof(*c->labels));
	if (!c->labels || n > CONTAINER_PAIRS_MAX)
		return false;
	cJSON_ArrayForEach(item, labels) {
		struct container_pair *p = &c->labels[c->n_labels++];
		p->key = arena_str(&c->arena, str_of(item->string ? item->string : ""));
		p->value = arena_str(&c->arena, cJSON_IsString(item) ? str_of(item->valuestring) : STR(""));
		if (!p->key.p || !p->value.p)
			return false;
	}
	return true;
}

static bool take_networks(struct container *c, const cJSON *networks)
{
	const cJSON *item;

	c->networks = arena_alloc(&c->arena, CONTAINER_NETWORKS_MAX * sizeof(*c->networks));
	if (!c->networks)
		return false;
	cJSON_ArrayForEach(item, networks) {
		if (c->n_networks == CONTAINER_NETWORKS_MAX)
			break;
		struct container_network *w = &c->networks[c->n_networks++];
		w->name = arena_str(&c->arena, str_of(item->string ? item->string : ""));
		w->address = arena_str(&c->arena, text_of(item, "IPAddress"));
		w->address6 = arena_str(&c->arena, text_of(item, "GlobalIPv6Address"));
		if (!w->name.p || !w->address.p || !w->address6.p)
			return false;
	}
	return true;
}

static uint8_t state_of(const cJSON *state)
{
	struct str s = text_of(state, "Status");
	if (str_eq(s, STR("created")))
		return CONTAINER_CREATED;
	if (str_eq(s, STR("paused")))
		return CONTAINER_PAUSED;
	return str_eq(s, STR("running")) ? CONTAINER_RUNNING : CONTAINER_ENDED;
}

static void take_state(struct container *c, const cJSON *root, const cJSON *config)
{
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(root, "State");
	const cJSON *host = cJSON_GetObjectItemCaseSensitive(root, "HostConfig");
	struct str started = text_of(state, "StartedAt");

	c->state = state_of(state);
	c->terminal = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(config, "Tty"));
	c->log_driver = arena_str(&c->arena, text_of(cJSON_GetObjectItemCaseSensitive(host, "LogConfig"), "Type"));
	if (!clock_read_iso(started.p, started.n, &c->started)) /* "0001-01-01T00:00:00Z": not yet */
		c->started = 0;
}

static bool take(struct container *c, const cJSON *root)
{
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(root, "Config");
	const cJSON *net = cJSON_GetObjectItemCaseSensitive(root, "NetworkSettings");
	struct str name = text_of(root, "Name");

	c->id = arena_str(&c->arena, text_of(root, "Id"));
	c->name = arena_str(&c->arena, name.n && name.p[0] == '/' ? str_make(name.p + 1, name.n - 1) : name);
	c->image = arena_str(&c->arena, text_of(config, "Image"));
	c->hostname = arena_str(&c->arena, text_of(config, "Hostname"));
	c->sandbox = arena_str(&c->arena, sandbox_name(text_of(net, "SandboxKey")));
	c->network_mode = arena_str(&c->arena, text_of(cJSON_GetObjectItemCaseSensitive(root, "HostConfig"), "NetworkMode"));
	c->entry = arena_str(&c->arena, text_of(root, "Path"));
	take_state(c, root, config);
	return c->id.p && c->name.p && c->image.p && c->hostname.p && c->sandbox.p && c->network_mode.p && c->entry.p && c->log_driver.p &&
	       take_env(c, cJSON_GetObjectItemCaseSensitive(config, "Env")) &&
	       take_labels(c, cJSON_GetObjectItemCaseSensitive(config, "Labels")) &&
	       take_networks(c, cJSON_GetObjectItemCaseSensitive(net, "Networks"));
}

bool container_read(struct container *c, struct str body, struct err *err)
{
	static const struct json_limits limits = { CONTAINER_BYTES_MAX, 65536, 32 };
	cJSON *root = bounded_json_parse_foreign(body, &limits, err);

	*c = (struct container){ .id = STR("") };
	if (!root)
		return false;
	arena_init(&c->arena, CONTAINER_BYTES_MAX * 2, NULL, 0);
	bool ok = take(c, root);
	if (ok && (c->id.n != CONTAINER_ID_LENGTH || !is_hex(c->id)))
		ok = err_set(err, "the engine's answer has no id of a container");
	else if (!ok)
		err_set(err, "the engine says more of a container than is taken, or memory is short");
	cJSON_Delete(root);
	if (!ok)
		container_release(c);
	return ok;
}

void container_release(struct container *c)
{
	if (c->arena.max)
		arena_release(&c->arena);
	*c = (struct container){ .id = { NULL, 0 } };
}

/* --- what it says ---------------------------------------------------------------------------------------------------- */

static struct str find(const struct container_pair *at, size_t n, const char *key)
{
	for (size_t i = n; i-- > 0;) /* of two equal variables the last one counts */
		if (str_eq(at[i].key, str_of(key)))
			return at[i].value;
	return (struct str){ NULL, 0 };
}

struct str container_label(const struct container *c, const char *key)
{
	return find(c->labels, c->n_labels, key);
}

struct str container_env(const struct container *c, const char *key)
{
	return find(c->env, c->n_env, key);
}

static bool ends_with_name(struct str path, struct str name)
{
	return path.n >= name.n && str_eq(str_make(path.p + path.n - name.n, name.n), name) &&
	       (path.n == name.n || path.p[path.n - name.n - 1] == '/');
}

static bool is_listed(struct str list, struct str name)
{
	struct str piece;

	while (name.n && str_next(&list, ',', &piece))
		if (str_eq(piece, name))
			return true;
	return false;
}

static bool is_on_one_of(const struct container *c, struct str list)
{
	for (size_t i = 0; i < c->n_networks; i++)
		if (is_listed(list, c->networks[i].name))
			return true;
	return false;
}

enum said { SAID_NOTHING, SAID_ON, SAID_NONSENSE, SAID_OFF };

/* The words that options know, and `outrider check`. */
static enum said read_switch(struct str s)
{
	if (!s.p)
		return SAID_NOTHING;
	if (str_ieq(s, STR("true")) || str_ieq(s, STR("on")))
		return SAID_ON;
	return str_ieq(s, STR("false")) || str_ieq(s, STR("off")) ? SAID_OFF : SAID_NONSENSE;
}

/* The one that is more careful counts, of label and variable. */
static enum said enabled(const struct container *c)
{
	enum said label = read_switch(container_label(c, "outrider.enable")), env = read_switch(container_env(c, "OUTRIDER_ENABLE"));
	return label > env ? label : env;
}

bool container_opts_in(const struct container *c, const struct container_rule *rule, const char **why)
{
	enum said said = enabled(c);
	bool asks = container_env(c, "OUTRIDER_PORT").n || container_label(c, "outrider.port").n || said == SAID_ON;

	*why = NULL;
	if (said == SAID_NONSENSE)
		*why = "its label outrider.enable (or variable OUTRIDER_ENABLE) is neither true nor false, on nor off: write one of them";
	if (said >= SAID_NONSENSE || (!rule->all && !asks))
		return false;
	if (rule->stacks.n && !is_listed(rule->stacks, container_label(c, "com.docker.stack.namespace"))) {
		*why = asks ? "its stack is not among those of outrider.expose.stacks" : NULL;
		return false;
	}
	if (rule->networks.n && !is_on_one_of(c, rule->networks)) { /* one that is only being made may yet join */
		*why = asks && c->state != CONTAINER_CREATED ? "none of its networks is among those of outrider.expose.networks" : NULL;
		return false;
	}
	if (ends_with_name(c->entry, STR("outrider")))
		*why = "its entry point is outrider itself: it has its agent";
	else if (str_eq(c->network_mode, STR("host")))
		*why = "it stands in the host's network namespace, which many share; run `outrider sidecar` beside it";
	else if (str_starts(c->network_mode, STR("container:")))
		*why = "it stands in the network namespace of another container, whose sidecar serves it";
	else if (str_eq(c->network_mode, STR("none")))
		*why = "it has no network";
	return *why == NULL;
}

/* --- packing: texts that end in NUL, each behind a letter ------------------------------------------------------------- */

static const struct {
	char letter;
	size_t offset;
} texts[] = {
	{ 'i', offsetof(struct container, id) },
	{ 'n', offsetof(struct container, name) },
	{ 'm', offsetof(struct container, image) },
	{ 'h', offsetof(struct container, hostname) },
	{ 's', offsetof(struct container, sandbox) },
	{ 'w', offsetof(struct container, network_mode) },
	{ 'p', offsetof(struct container, entry) },
};

static void put(struct text *t, char letter, struct str s)
{
	text_char(t, letter);
	text_add(t, s);
	text_char(t, '\0');
}

void container_pack(const struct container *c, struct text *t)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		put(t, texts[i].letter, *(const struct str *)(const void *)((const char *)c + texts[i].offset));
	text_char(t, 't');
	text_char(t, (char)('0' + c->state));
	text_char(t, '\0');
	for (size_t i = 0; i < c->n_env; i++) {
		put(t, 'E', c->env[i].key);
		put(t, 'e', c->env[i].value);
	}
	for (size_t i = 0; i < c->n_labels; i++) {
		put(t, 'L', c->labels[i].key);
		put(t, 'l', c->labels[i].value);
	}
	for (size_t i = 0; i < c->n_networks; i++) {
		put(t, 'N', c->networks[i].name);
		put(t, 'a', c->networks[i].address);
		put(t, '6', c->networks[i].address6);
	}
}

/* A key makes a new pair, a value completes the last one. */
static bool unpack_one(struct container *c, char letter, struct str s)
{
	struct str *to = NULL;

	if ((letter == 'E' && c->n_env >= CONTAINER_PAIRS_MAX) || (letter == 'L' && c->n_labels >= CONTAINER_PAIRS_MAX) ||
		(letter == 'N' && c->n_networks >= CONTAINER_NETWORKS_MAX))
		return false;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].letter == letter)
			to = (struct str *)(void *)((char *)c + texts[i].offset);
	switch (letter) {
	case 't': c->state = (uint8_t)(s.n ? s.p[0] - '0' : 0); return c->state <= CONTAINER_ENDED;
	case 'E': to = &c->env[c->n_env++].key; break;
	case 'e': to = c->n_env ? &c->env[c->n_env - 1].value : NULL; break;
	case 'L': to = &c->labels[c->n_labels++].key; break;
	case 'l': to = c->n_labels ? &c->labels[c->n_labels - 1].value : NULL; break;
	case 'N': to = &c->networks[c->n_networks++].name; break;
	case 'a': to = c->n_networks ? &c->networks[c->n_networks - 1].address : NULL; break;
	case '6': to = c->n_networks ? &c->networks[c->n_networks - 1].address6 : NULL; break;
	default: break;
	}
	if (to)
		*to = s;
	return to != NULL;
}

/* The next text behind its letter; false: there is none. str_next() would trim it. */
static bool next_piece(struct str *rest, struct str *ret)
{
	size_t end = str_find(*rest, '\0');

	if (end == SIZE_MAX)
		return false;
	*ret = str_make(rest->p, end);
	*rest = str_make(rest->p + end + 1, rest->n - end - 1);
	return true;
}

static size_t count_letter(struct str bytes, char letter)
{
	struct str rest = bytes, piece;
	size_t n = 0;
	while (next_piece(&rest, &piece))
		n += piece.n && piece.p[0] == letter;
	return n;
}

static bool make_lists(struct container *c, struct str bytes)
{
	c->env = arena_zalloc(&c->arena, (count_letter(bytes, 'E') + 1) * sizeof(*c->env));
	c->labels = arena_zalloc(&c->arena, (count_letter(bytes, 'L') + 1) * sizeof(*c->labels));
	c->networks = arena_zalloc(&c->arena, (count_letter(bytes, 'N') + 1) * sizeof(*c->networks));
	return c->env && c->labels && c->networks;
}

bool container_unpack(struct container *c, struct str bytes, struct err *err)
{
	*c = (struct container){ .id = STR("") };
	if (bytes.n == 0 || bytes.n > CONTAINER_BYTES_MAX * 2 || bytes.p[bytes.n - 1] != '\0')
		return err_set(err, "a record of a container is cut");
	arena_init(&c->arena, CONTAINER_BYTES_MAX * 4, NULL, 0);
	struct str rest = arena_str(&c->arena, bytes), piece;
	bool ok = rest.p && make_lists(c, rest);
	while (ok && next_piece(&rest, &piece))
		ok = piece.n && unpack_one(c, piece.p[0], str_make(piece.p + 1, piece.n - 1));
	ok = ok && c->id.n == CONTAINER_ID_LENGTH;
	if (!ok) {
		err_set(err, "a record of a container makes no sense, or memory is short");
		container_release(c);
	}
	return ok;
}
