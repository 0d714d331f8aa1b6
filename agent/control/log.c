#include "control/log.h"

#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <unistd.h>

#define LINE_MAX_BYTES (16u * 1024u)

static const char *const level_words[LEVEL_COUNT] = {
	[LEVEL_ERROR] = "error",
	[LEVEL_WARN] = "warn",
	[LEVEL_INFO] = "info",
	[LEVEL_DEBUG] = "debug",
};

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

void log_write(struct log *l, enum log_level level, const char *subsystem, const char *message,
	const struct log_field *fields)
{
	if (level > l->level)
		return;
	char now[25];
	clock_iso(clock_wall(), now);
	struct text t;
	text_init(&t, LINE_MAX_BYTES);
	struct json j = json_begin(&t);
	json_object(&j);
	json_key(&j, "time");
	json_strz(&j, now);
	json_key(&j, "level");
	json_strz(&j, log_level_word(level));
	json_key(&j, "subsystem");
	json_strz(&j, subsystem);
	json_key(&j, "message");
	json_strz(&j, message);
	if (l->service) {
		json_key(&j, "service");
		json_strz(&j, l->service);
	}
	if (l->task) {
		json_key(&j, "task");
		json_strz(&j, l->task);
	}
	for (const struct log_field *f = fields; f && f->type != LOG_END; f++)
		write_field(&j, f);
	json_end(&j);
	text_char(&t, '\n');
	if (!t.failed && write_all(l->fd, t.p, t.n))
		l->lines++;
	else
		l->lost++;
	text_release(&t);
}
