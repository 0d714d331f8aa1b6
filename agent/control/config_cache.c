/* The file of outrider.config-cache: the last answers of sources over the network, one JSON object per line.
 *
 *     {"outrider":"config-cache","service":"accountservice","profiles":"test"}
 *     {"source":"redis:redis:6379","set":1,"key":"log.level","value":"info","origin":"redis:redis:6379/outrider:config:…"}
 *
 * Written whole to a temporary file beside it (0600), then renamed: a reader sees the old one or the new one. Values that
 * look like secrets by their key are left out, for the file may lie on a volume that others read. */
#include "control/reload_int.h"

#include "base/json.h"
#include "base/mem.h"
#include "control/option_mask.h"
#include "net/task.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_MAX (16u << 20)
#define CACHE_PATIENCE (500 * USEC_MS) /* of the agent that stops, with a disk that is slow */
#define PATH_SIZE 4200

/* --- reading ----------------------------------------------------------------------------------------------------- */

struct loading {
	struct reload *r;
	struct arena arena; /* texts, until values_copy() */
	struct source_property *at[SOURCES_MAX];
	size_t n[SOURCES_MAX];
};

static const char *text_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsString(v) ? v->valuestring : NULL;
}

static bool same_owner(const struct reload *r, const cJSON *head)
{
	const char *what = text_of(head, "outrider"), *service = text_of(head, "service");
	const char *profiles = text_of(head, "profiles");
	return what && strcmp(what, "config-cache") == 0 && service && profiles &&
	       str_eq(str_of(service), options_text(r->cfg.start, OPT_SERVICE)) &&
	       str_eq(str_of(profiles), options_text(r->cfg.start, OPT_PROFILE));
}

static size_t place_of(const struct reload *r, const char *name)
{
	for (size_t i = 0; name && i < sources_count(r->sources); i++)
		if (strcmp(sources_view(r->sources, i).name, name) == 0)
			return i;
	return SIZE_MAX;
}

static bool take_line(struct loading *l, const cJSON *o)
{
	const char *key = text_of(o, "key"), *value = text_of(o, "value"), *origin = text_of(o, "origin");
	double set = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, "set"));
	size_t i = place_of(l->r, text_of(o, "source"));

	if (i == SIZE_MAX || !key || !value || !origin || !(set >= 0 && set <= UINT32_MAX) ||
		l->n[i] == SOURCE_PROPERTIES_MAX)
		return true; /* of a source that is no longer in the chain */
	if (l->n[i] % 256 == 0) {
		void *more = mem_resize(l->at[i], (l->n[i] + 256) * sizeof(*l->at[i]));
		if (!more)
			return false;
		l->at[i] = more;
	}
	struct source_property *p = &l->at[i][l->n[i]++];
	p->key = arena_str(&l->arena, str_of(key));
	p->value = arena_str(&l->arena, str_of(value));
	char *from = arena_fmt(&l->arena, "%s%s", origin, strstr(origin, " (cached)") ? "" : " (cached)");
	p->origin = str_of(from);
	p->set = (uint32_t)set;
	return p->key.p && p->value.p && from;
}

static bool take_text(struct loading *l, struct str all)
{
	struct str line;
	bool first = true, ok = true;
	while (ok && str_next(&all, '\n', &line)) {
		if (!line.n)
			continue;
		cJSON *o = cJSON_ParseWithLength(line.p, line.n);
		ok = cJSON_IsObject(o) && (first ? same_owner(l->r, o) : take_line(l, o));
		first = false;
		cJSON_Delete(o);
	}
	return ok;
}

static char *read_whole(const char *path, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *p = NULL;
	*n = 0;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)CACHE_MAX)
		p = mem_alloc((size_t)st.st_size + 1);
	while (p && *n < (size_t)st.st_size) {
		ssize_t got = read(fd, p + *n, (size_t)st.st_size - *n);
		if (got <= 0)
			break;
		*n += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	return p;
}

size_t cache_read(struct reload *r, const char *path)
{
	struct loading l = { .r = r };
	size_t n, put = 0;
	char *p = read_whole(path, &n);

	if (!p)
		return 0;
	arena_init(&l.arena, 2 * CACHE_MAX, NULL, 0);
	bool ok = take_text(&l, str_make(p, n));
	for (size_t i = 0; i < SOURCES_MAX; i++) {
		struct source_values *v = ok && l.n[i] ? values_copy(l.at[i], l.n[i]) : NULL;
		if (v && !sources_view(r->sources, i).said) {
			sources_put_cached(r->sources, i, v);
			put++;
		} else {
			values_release(v);
		}
		mem_free(l.at[i]);
	}
	if (!ok)
		log_write(r->cfg.log, LEVEL_WARN, "config",
			"outrider.config-cache is not used: it is of another service or broken",
			LOG_FIELDS(log_text("path", path)));
	arena_release(&l.arena);
	mem_wipe_free(p, n);
	return put;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

struct writing { /* one run of the thread; owns all that it needs */
	struct task task;
	struct cache_writer *owner;
	char *path, *service, *profiles;
	size_t n;
	struct {
		char *name;
		struct source_values *values;
	} at[SOURCES_MAX];
	struct err err; /* "": written */
};

struct cache_writer {
	struct reload *r;
	struct writing *now; /* NULL: nobody writes */
	bool again;          /* there is something newer */
	bool failed;         /* the last did, and it was said */
};

static void put_head(const struct writing *w, struct text *t)
{
	struct json j = json_begin(t);
	json_object(&j);
	json_put_str(&j, "outrider", STR("config-cache"));
	json_put_str(&j, "service", str_of(w->service));
	json_put_str(&j, "profiles", str_of(w->profiles));
	json_end(&j);
	text_char(t, '\n');
}

static void put_values(struct text *t, const char *name, const struct source_values *v)
{
	for (size_t k = 0; k < v->n && !t->failed; k++) {
		const struct source_property *p = &v->at[k];
		if (mask_key_sounds_secret(p->key) || mask_holds_credentials(p->value))
			continue;
		struct json j = json_begin(t);
		json_object(&j);
		json_put_str(&j, "source", str_of(name));
		json_key(&j, "set");
		json_u64(&j, p->set);
		json_put_str(&j, "key", p->key);
		json_put_str(&j, "value", p->value);
		json_put_str(&j, "origin", p->origin);
		json_end(&j);
		text_char(t, '\n');
	}
}

static bool write_file(const char *path, struct str s, struct err *err)
{
	char temp[PATH_SIZE + 32];
	snprintf(temp, sizeof(temp), "%s.%ld.tmp", path, (long)getpid());
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0;
	for (size_t done = 0; ok && done < s.n;) {
		ssize_t n = write(fd, s.p + done, s.n - done);
		ok = n > 0 || (n < 0 && errno == EINTR);
		done += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		ok = close(fd) == 0 && ok;
	if (ok && rename(temp, path) == 0)
		return true;
	err_set(err, "%s", strerror(errno));
	if (fd >= 0)
		(void)unlink(temp);
	return false;
}

static void writing_run(struct task *task) /* the thread */
{
	struct writing *w = LIST_OWNER(task, struct writing, task);
	struct text t;

	text_init(&t, CACHE_MAX);
	put_head(w, &t);
	for (size_t i = 0; i < w->n; i++)
		put_values(&t, w->at[i].name, w->at[i].values);
	if (t.failed)
		err_set(&w->err, "memory is short, or it is longer than %u MiB", CACHE_MAX >> 20);
	else
		(void)write_file(w->path, text_str(&t), &w->err);
	if (t.p) /* a key need not say that its value is a secret */
		explicit_bzero(t.p, t.n);
	text_release(&t);
}

static void writing_free(struct writing *w)
{
	for (size_t i = 0; i < w->n; i++) {
		mem_free(w->at[i].name);
		values_release(w->at[i].values);
	}
	mem_free(w->path);
	mem_free(w->service);
	mem_free(w->profiles);
	mem_free(w);
}

static void writing_drop(struct task *task)
{
	writing_free(LIST_OWNER(task, struct writing, task));
}

static void begin_writing(struct cache_writer *c);

static void writing_done(struct task *task)
{
	struct writing *w = LIST_OWNER(task, struct writing, task);
	struct cache_writer *c = w->owner;

	c->now = NULL;
	if (w->err.text[0] && !c->failed)
		log_write(c->r->cfg.log, LEVEL_WARN, "config", "outrider.config-cache cannot be written",
			LOG_FIELDS(log_text("path", w->path), log_text("why", w->err.text)));
	c->failed = w->err.text[0] != '\0';
	writing_free(w);
	if (c->again)
		begin_writing(c);
}

static char *copy(struct str s)
{
	return mem_dup(s.p ? s.p : "", s.n);
}

static bool take_sources(struct writing *w, const struct reload *r)
{
	for (size_t i = 0; i < sources_count(r->sources); i++) {
		struct source_view view = sources_view(r->sources, i);
		if (view.ops->local || !view.n)
			continue;
		w->at[w->n].values = sources_take(r->sources, i);
		w->at[w->n].name = copy(str_of(view.name));
		if (!w->at[w->n++].name)
			return false;
	}
	return true;
}

static struct writing *writing_new(struct cache_writer *c)
{
	const struct reload *r = c->r;
	struct writing *w = mem_zalloc(sizeof(*w));

	if (!w)
		return NULL;
	w->task = (struct task){ .run = writing_run, .done = writing_done, .drop = writing_drop };
	w->owner = c;
	w->path = copy(options_text(r->cfg.start, OPT_CONFIG_CACHE));
	w->service = copy(options_text(r->cfg.start, OPT_SERVICE));
	w->profiles = copy(options_text(r->cfg.start, OPT_PROFILE));
	if (w->path && w->service && w->profiles && take_sources(w, r))
		return w;
	writing_free(w);
	return NULL;
}

static void begin_writing(struct cache_writer *c)
{
	struct writing *w = writing_new(c);

	c->again = false;
	if (w && task_start(c->r->cfg.loop, &w->task)) {
		c->now = w;
		return;
	}
	if (w)
		writing_free(w);
	log_write(c->r->cfg.log, LEVEL_WARN, "config",
		"outrider.config-cache cannot be written: memory or threads are short", NULL);
}

static bool worth_writing(const struct reload *r)
{
	for (size_t i = 0; i < sources_count(r->sources); i++) {
		struct source_view v = sources_view(r->sources, i);
		if (!v.ops->local && v.said && v.n)
			return true;
	}
	return false;
}

void cache_write(struct reload *r)
{
	if (!options_text(r->cfg.start, OPT_CONFIG_CACHE).n || !worth_writing(r))
		return;
	if (!r->writer) {
		r->writer = mem_zalloc(sizeof(*r->writer));
		if (!r->writer)
			return; /* the next change tries again */
		r->writer->r = r;
	}
	if (r->writer->now)
		r->writer->again = true;
	else
		begin_writing(r->writer);
}

void cache_writer_free(struct cache_writer *c)
{
	if (c && c->now)
		task_leave(&c->now->task, CACHE_PATIENCE);
	mem_free(c);
}
