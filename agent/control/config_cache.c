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

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_MAX (16u << 20)
#define PATH_SIZE 4200

/* --- what is secret ---------------------------------------------------------------------------------------------- */

static bool looks_secret(struct str key)
{
	static const char *const words[] = { "password", "passwd", "secret", "token", "credential", "private", "apikey",
		"api-key", "api_key", "access-key", "access_key", "accesskey", "authorization", ".key", "-key", "_key" };
	char low[PROPERTIES_KEY_MAX + 1];
	size_t n = key.n < PROPERTIES_KEY_MAX ? key.n : PROPERTIES_KEY_MAX;

	for (size_t i = 0; i < n; i++)
		low[i] = key.p[i] >= 'A' && key.p[i] <= 'Z' ? (char)(key.p[i] + 32) : key.p[i];
	low[n] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(low, words[i]))
			return true;
	return false;
}

/* user:password@ within a URL. */
static bool holds_credentials(struct str value)
{
	const char *at = value.n ? memmem(value.p, value.n, "://", 3) : NULL;
	const char *end = at ? memchr(at, '@', value.n - (size_t)(at - value.p)) : NULL;
	return end && memchr(at + 3, ':', (size_t)(end - at) - 3) != NULL;
}

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
	const cJSON *set = cJSON_GetObjectItemCaseSensitive(o, "set");
	size_t i = place_of(l->r, text_of(o, "source"));

	if (i == SIZE_MAX || !key || !value || !origin || !cJSON_IsNumber(set) || l->n[i] == SOURCE_PROPERTIES_MAX)
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
	p->set = (uint32_t)set->valuedouble;
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
		log_write(r->cfg.log, LEVEL_WARN, "config", "outrider.config-cache is not used: it is of another service or broken",
			LOG_FIELDS(log_text("path", path)));
	arena_release(&l.arena);
	mem_wipe_free(p, n);
	return put;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

struct cache_writer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct text waiting; /* the next content */
	bool has, end, running;
	char path[PATH_SIZE];
};

static void write_file(const char *path, struct str s)
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
	if (!ok || rename(temp, path) != 0)
		(void)unlink(temp);
}

static void *write_thread(void *arg)
{
	struct cache_writer *w = arg;
	pthread_mutex_lock(&w->lock);
	while (!w->end || w->has) {
		if (!w->has) {
			pthread_cond_wait(&w->wake, &w->lock);
			continue;
		}
		struct text t = w->waiting;
		text_init(&w->waiting, CACHE_MAX);
		w->has = false;
		pthread_mutex_unlock(&w->lock);
		if (!t.failed)
			write_file(w->path, text_str(&t));
		text_release(&t);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static struct cache_writer *writer_new(struct str path)
{
	struct cache_writer *w = mem_zalloc(sizeof(*w));
	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	text_init(&w->waiting, CACHE_MAX);
	w->running = str_copy(path, w->path, sizeof(w->path)) && pthread_create(&w->thread, NULL, write_thread, w) == 0;
	if (w->running)
		return w;
	cache_writer_free(w);
	return NULL;
}

void cache_writer_free(struct cache_writer *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->end = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (w->running)
		pthread_join(w->thread, NULL);
	text_release(&w->waiting);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}

static void put_pair(struct json *j, const char *key, struct str value)
{
	json_key(j, key);
	json_str(j, value);
}

static void put_source(const struct reload *r, size_t i, struct text *t)
{
	struct source_view view = sources_view(r->sources, i);
	struct source_values *v = view.ops->local ? NULL : sources_take(r->sources, i);
	for (size_t k = 0; v && k < v->n; k++) {
		const struct source_property *p = &v->at[k];
		if (looks_secret(p->key) || holds_credentials(p->value))
			continue;
		struct json j = json_begin(t);
		json_object(&j);
		put_pair(&j, "source", str_of(view.name));
		json_key(&j, "set");
		json_u64(&j, p->set);
		put_pair(&j, "key", p->key);
		put_pair(&j, "value", p->value);
		put_pair(&j, "origin", p->origin);
		json_end(&j);
		text_char(t, '\n');
	}
	values_release(v);
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
	struct str path = options_text(r->cfg.start, OPT_CONFIG_CACHE);
	if (!path.n || !worth_writing(r))
		return;
	if (!r->writer)
		r->writer = writer_new(path);
	struct text t;
	text_init(&t, CACHE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	put_pair(&j, "outrider", STR("config-cache"));
	put_pair(&j, "service", options_text(r->cfg.start, OPT_SERVICE));
	put_pair(&j, "profiles", options_text(r->cfg.start, OPT_PROFILE));
	json_end(&j);
	text_char(&t, '\n');
	for (size_t i = 0; i < sources_count(r->sources); i++)
		put_source(r, i, &t);
	if (!r->writer || t.failed) {
		log_write(r->cfg.log, LEVEL_WARN, "config", "outrider.config-cache cannot be written: memory is short, or it is too long",
			NULL);
		text_release(&t);
		return;
	}
	pthread_mutex_lock(&r->writer->lock);
	text_release(&r->writer->waiting);
	r->writer->waiting = t;
	r->writer->has = true;
	pthread_cond_signal(&r->writer->wake);
	pthread_mutex_unlock(&r->writer->lock);
}
