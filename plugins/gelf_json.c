#include "gelf_json.h"

#include "base/json.h"
#include "log_members.h"

#define FIELDS_MAX 128u
#define NAME_MAX_BYTES 128u
#define SHORT_MAX 1024u

struct fields { /* names that are there */
	struct json *j;
	unsigned n;
	uint64_t seen[FIELDS_MAX]; /* hashes */
};

static uint8_t severity(uint8_t level)
{
	static const uint8_t of[LEVEL_COUNT] = { [LEVEL_ERROR] = 3, [LEVEL_WARN] = 4, [LEVEL_INFO] = 6, [LEVEL_DEBUG] = 7 };

	return level < LEVEL_COUNT ? of[level] : 6;
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

static uint64_t hash(const char *z)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *z; z++)
		h = (h ^ (unsigned char)*z) * 0x100000001b3u;
	return h;
}

/* Opens the field "_name". false: there is one of that name, or there are too many. */
static bool begin_field(struct fields *f, struct str name)
{
	char z[NAME_MAX_BYTES];
	size_t n = 0;

	z[n++] = '_';
	for (size_t i = 0; i < name.n && n < sizeof(z) - 3; i++)
		z[n++] = is_name_byte(name.p[i]) ? name.p[i] : '_';
	z[n] = '\0';
	if (n == 1)
		return false;
	if (strcmp(z, "_id") == 0) {
		z[n++] = '_';
		z[n] = '\0';
	}
	uint64_t h = hash(z);
	for (unsigned i = 0; i < f->n; i++)
		if (f->seen[i] == h)
			return false;
	if (f->n == FIELDS_MAX)
		return false;
	f->seen[f->n++] = h;
	json_key(f->j, z);
	return true;
}

static void put(struct fields *f, const char *name, struct str s)
{
	if (s.n && begin_field(f, str_of(name)))
		json_str(f->j, s);
}

static void put_member(struct fields *f, const struct log_member *m)
{
	bool null = m->type == LOG_MEMBER_WORD && str_eq(m->value, STR("null"));

	if (null || !begin_field(f, m->key))
		return;
	if (m->type == LOG_MEMBER_STRING && !log_member_is_clean(m->value)) {
		struct text plain;
		text_init(&plain, m->value.n);
		log_member_unescape(&plain, m->value);
		json_str(f->j, text_str(&plain));
		text_release(&plain);
	} else if (m->type == LOG_MEMBER_STRING || m->type == LOG_MEMBER_NUMBER) {
		const char *quote = m->type == LOG_MEMBER_STRING ? "\"" : "";
		f->j->after_key = false;
		text_addz(f->j->t, quote);
		text_add(f->j->t, m->value);
		text_addz(f->j->t, quote);
	} else {
		json_str(f->j, m->value);
	}
}

static void put_own(struct fields *f, const struct log_record *r)
{
	static const struct str kinds[LOG_KINDS] = { { "agent", 5 }, { "access", 6 }, { "app", 3 } };

	put(f, "kind", kinds[r->kind < LOG_KINDS ? r->kind : 0]);
	put(f, "subsystem", r->subsystem);
	put(f, "service", r->service);
	put(f, "stack", r->stack);
	put(f, "slot", r->slot);
	put(f, "task", r->task);
	put(f, "node", r->node);
	if (r->stream)
		put(f, "stream", r->stream == LOG_STREAM_STDERR ? STR("stderr") : STR("stdout"));
	put(f, "trace_id", r->trace_id);
	put(f, "span_id", r->span_id);
}

/* Not in the middle of a character of UTF-8. */
static struct str cut(struct str s, size_t max)
{
	if (s.n <= max)
		return s;
	while (max && ((unsigned char)s.p[max] & 0xc0) == 0x80)
		max--;
	return str_make(s.p, max);
}

static void put_message(struct json *j, struct str m)
{
	size_t end = str_find(m, '\n');
	struct str head = cut(str_trim(end == SIZE_MAX ? m : str_make(m.p, end)), SHORT_MAX);

	if (!head.n)
		head = str_trim(cut(str_trim(m), SHORT_MAX));
	json_key(j, "short_message");
	json_str(j, head.n ? head : STR("-"));
	if (head.n != m.n && m.n) {
		json_key(j, "full_message");
		json_str(j, m);
	}
}

static void write(struct text *t, const struct log_record *r, const struct sink_identity *self, struct str members, size_t message_max)
{
	struct json j = json_begin(t);
	struct fields f = { .j = &j };
	struct log_member m;
	struct str message = cut(r->message, message_max);

	text_clear(t);
	json_object(&j);
	json_key(&j, "version");
	json_strz(&j, "1.1");
	json_key(&j, "host");
	json_str(&j, r->node.n ? r->node : str_of(self->host));
	put_message(&j, message);
	json_key(&j, "timestamp");
	text_fmt(t, "%llu.%03u", (unsigned long long)(r->wall / 1000000), (unsigned)(r->wall % 1000000 / 1000));
	j.after_key = false;
	json_key(&j, "level");
	json_u64(&j, severity(r->level));
	put_own(&f, r);
	if (members.n != r->members.n || message.n != r->message.n)
		put(&f, "truncated", STR("true"));
	while (log_member_next(&members, &m))
		put_member(&f, &m);
	json_end(&j);
}

void gelf_json(struct text *t, const struct log_record *r, const struct sink_identity *self, size_t longest)
{
	size_t max = r->message.n;

	write(t, r, self, r->members, max);
	if (!t->failed && t->n <= longest)
		return;
	write(t, r, self, STR(""), max);
	while (t->n > longest && max > 16) { /* escapes grow it: some rounds */
		max = max > longest ? longest : max / 2;
		write(t, r, self, STR(""), max);
	}
}
