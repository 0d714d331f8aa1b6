#include "control/log.h"

#include "base/clock.h"
#include "base/json.h"
#include "control/log_json.h"
#include "control/logs.h"

#include <errno.h>
#include <unistd.h>

#define LINE_MAX_BYTES (16u * 1024u)

static const char *const level_words[LEVEL_COUNT] = {
	[LEVEL_ERROR] = "error",
	[LEVEL_WARN] = "warn",
	[LEVEL_INFO] = "info",
	[LEVEL_DEBUG] = "debug",
};

const char *const log_subsystems[] = { "admin", "balance", "circuit", "config", "discovery", "handler", "keeper", "log", "node", "overload",
	"process", "resilience", "trace", NULL };

void log_init(struct log *l, int fd, enum log_level level)
{
	*l = (struct log){ .fd = fd, .level = level };
}

const char *log_level_word(enum log_level level)
{
	return level < LEVEL_COUNT ? level_words[level] : "?";
}

bool log_level_parse(struct str word, enum log_level *ret)
{
	for (unsigned i = 0; i < LEVEL_COUNT; i++) {
		if (str_ieq(word, str_of(level_words[i]))) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static void write_field(struct json *j, const struct log_field *f)
{
	json_key(j, f->key);
	switch (f->type) {
	case LOG_TEXT:
		json_strz(j, f->text);
		break;
	case LOG_U64:
		json_u64(j, f->u64);
		break;
	case LOG_I64:
		json_i64(j, f->i64);
		break;
	case LOG_BOOL:
		json_bool(j, f->yes);
		break;
	case LOG_END:
		json_null(j);
		break;
	}
}

/* Members without their braces: a whole object is written, and its inside taken. */
static struct str write_members(struct text *t, const struct log_field *fields)
{
	struct json j = json_begin(t);

	json_object(&j);
	for (const struct log_field *f = fields; f && f->type != LOG_END; f++)
		write_field(&j, f);
	json_end(&j);
	return t->failed || t->n < 2 ? STR("") : str_make(t->p + 1, t->n - 2);
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static void write_line(struct log *l, const struct log_record *r)
{
	struct text t;

	text_init(&t, LINE_MAX_BYTES);
	log_json_line(&t, r);
	text_char(&t, '\n');
	if (!t.failed && write_all(l->fd, t.p, t.n))
		l->lines++;
	else
		l->lost++;
	text_release(&t);
}

static bool is_wanted(const struct log *l, enum log_level level, const char *subsystem)
{
	return l->hub ? logs_wants(l->hub, level, str_of(subsystem)) : level <= l->level;
}

void log_write(struct log *l, enum log_level level, const char *subsystem, const char *message, const struct log_field *fields)
{
	struct text members;

	if (!is_wanted(l, level, subsystem))
		return;
	text_init(&members, LINE_MAX_BYTES / 2);
	struct log_record r = {
		.wall = clock_wall(),
		.seat = l->seat,
		.level = (uint8_t)level,
		.kind = LOG_KIND_AGENT,
		.subsystem = str_of(subsystem),
		.service = l->service ? str_of(l->service) : STR(""),
		.task = l->task ? str_of(l->task) : STR(""),
		.message = str_of(message),
		.members = write_members(&members, fields),
	};
	if (members.failed) {
		l->lost++;
	} else if (l->hub && !logs_ended(l->hub)) {
		l->lines++;
		logs_put(l->hub, &r);
	} else {
		write_line(l, &r);
	}
	text_release(&members);
}
