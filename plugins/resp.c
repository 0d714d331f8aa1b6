#include "resp.h"

#include "base/mem.h"

#include <hiredis/hiredis.h>

#define FIRST_CAP 64
#define KEPT_MAX (256u * 1024u) /* memory of a large reply is given back */

struct held { /* as resp_value, but the text may still move */
	enum resp_type type;
	size_t at, n;
	long long integer;
};

struct resp {
	redisReader *reader;
	struct resp_limits limits;
	struct held *held;
	struct resp_value *values; /* what the caller sees, as many as `cap` */
	size_t n, cap;
	struct text bytes;
	const char *refused; /* why a value was not taken; NULL: no memory */
};

/* --- what the reader calls; every one returns the same token, for nothing is built ------------------------------- */

static void *add(const redisReadTask *task, struct held value)
{
	struct resp *r = task->privdata;

	if (r->n >= r->limits.values) {
		r->refused = "more values than are accepted";
		return NULL;
	}
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : FIRST_CAP;
		struct held *more = mem_resize(r->held, cap * sizeof(*more));
		if (!more)
			return NULL;
		r->held = more;
		struct resp_value *values = mem_resize(r->values, cap * sizeof(*values));
		if (!values)
			return NULL;
		r->values = values;
		r->cap = cap;
	}
	r->held[r->n++] = value;
	return r;
}

static void *on_string(const redisReadTask *task, char *p, size_t n)
{
	struct resp *r = task->privdata;
	size_t at = r->bytes.n;

	if (n > r->limits.text || n > r->limits.bytes - at) {
		r->refused = "more bytes than are accepted";
		return NULL;
	}
	text_add(&r->bytes, str_make(p, n));
	if (r->bytes.failed)
		return NULL;
	enum resp_type type = task->type == REDIS_REPLY_STRING   ? RESP_TEXT
			      : task->type == REDIS_REPLY_STATUS ? RESP_STATUS
								 : RESP_ERROR;
	return add(task, (struct held){ .type = type, .at = at, .n = n });
}

static void *on_array(const redisReadTask *task, int count)
{
	struct resp *r = task->privdata;

	if (count < 0 || (size_t)count > r->limits.values) {
		r->refused = "an array longer than is accepted";
		return NULL;
	}
	return add(task, (struct held){ .type = RESP_ARRAY, .n = (size_t)count });
}

static void *on_integer(const redisReadTask *task, long long value)
{
	return add(task, (struct held){ .type = RESP_INTEGER, .integer = value });
}

static void *on_nil(const redisReadTask *task)
{
	return add(task, (struct held){ .type = RESP_NIL });
}

static void on_free(void *p)
{
	(void)p; /* the token */
}

/* hiredis wants it without const, and only reads it. */
static const redisReplyObjectFunctions functions = { on_string, on_array, on_integer, on_nil, on_free };

/* --- life ------------------------------------------------------------------------------------------------------------ */

struct resp *resp_new(const struct resp_limits *limits)
{
	struct resp *r = mem_zalloc(sizeof(*r));

	if (!r)
		return NULL;
	r->limits = *limits;
	text_init(&r->bytes, limits->bytes);
	resp_reset(r);
	if (r->reader)
		return r;
	resp_free(r);
	return NULL;
}

void resp_free(struct resp *r)
{
	if (!r)
		return;
	if (r->reader)
		redisReaderFree(r->reader);
	text_release(&r->bytes);
	mem_free(r->held);
	mem_free(r->values);
	mem_free(r);
}

static void forget(struct resp *r)
{
	r->n = 0;
	r->refused = NULL;
	if (r->bytes.cap > KEPT_MAX)
		text_release(&r->bytes);
	text_clear(&r->bytes);
}

void resp_reset(struct resp *r)
{
	if (r->reader)
		redisReaderFree(r->reader);
	r->reader = redisReaderCreateWithFunctions((redisReplyObjectFunctions *)(uintptr_t)&functions);
	if (r->reader)
		r->reader->privdata = r;
	forget(r);
}

/* --- replies ------------------------------------------------------------------------------------------------------------ */

bool resp_feed(struct resp *r, const void *p, size_t n)
{
	return r->reader && redisReaderFeed(r->reader, p, n) == REDIS_OK;
}

static void show(struct resp *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct held *h = &r->held[i];
		r->values[i] = (struct resp_value){ .type = h->type, .integer = h->integer };
		if (h->type == RESP_ARRAY)
			r->values[i].count = h->n;
		else if (h->type <= RESP_ERROR)
			r->values[i].text = str_make(r->bytes.p ? r->bytes.p + h->at : "", h->n);
	}
}

int resp_next(struct resp *r, const struct resp_value **ret, size_t *n, struct err *err)
{
	void *whole = NULL;

	if (!r->reader)
		return err_set(err, "no memory"), -1;
	if (r->reader->reply == NULL && r->reader->ridx == -1) /* the last one was complete */
		forget(r);
	if (redisReaderGetReply(r->reader, &whole) != REDIS_OK) {
		err_set(err, "%s",
			r->refused                        ? r->refused
			: r->reader->err == REDIS_ERR_OOM ? "no memory for the reply"
							  : "the peer does not speak the protocol of Redis");
		return -1;
	}
	if (!whole) {
		/* What is buffered is a part of one value: a line, or text whose length was announced. */
		if (r->reader->len - r->reader->pos > r->limits.text + 32)
			return err_set(err, "a value of more than %zu bytes", r->limits.text), -1;
		return 0;
	}
	show(r);
	*ret = r->values;
	*n = r->n;
	return 1;
}

void resp_command(struct text *out, const struct str *argv, size_t argc)
{
	const char *p[RESP_ARGS_MAX];
	size_t n[RESP_ARGS_MAX];
	char *bytes = NULL;

	if (argc > RESP_ARGS_MAX) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < argc; i++) {
		p[i] = argv[i].p ? argv[i].p : "";
		n[i] = argv[i].n;
	}
	int len = redisFormatCommandArgv(&bytes, (int)argc, p, n);
	if (len < 0)
		out->failed = true;
	else
		text_add(out, str_make(bytes, (size_t)len));
	redisFreeCommand(bytes);
}
