#include "config_files.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the list ------------------------------------------------------------------------------------------------------ */

void config_props_init(struct config_props *p)
{
	*p = (struct config_props){ .n = 0 };
	arena_init(&p->arena, CONFIG_MEMORY_MAX, NULL, 0);
}

void config_props_release(struct config_props *p)
{
	for (size_t i = 0; i < p->n; i++)
		explicit_bzero((void *)(uintptr_t)p->at[i].value.p, p->at[i].value.n);
	mem_free(p->at);
	if (p->arena.max)
		arena_release(&p->arena);
	*p = (struct config_props){ .n = 0 };
}

bool config_add(struct config_props *p, struct str key, struct str value, const char *name, size_t line, uint32_t set,
		struct err *err)
{
	if (p->n == SOURCE_PROPERTIES_MAX)
		return err_set(err, "%s:%zu: more than %u properties", name, line, SOURCE_PROPERTIES_MAX);
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;
		void *more = mem_resize(p->at, cap * sizeof(*p->at));
		if (!more)
			return err_set(err, "%s: out of memory", name);
		p->at = more;
		p->cap = cap;
	}
	struct source_property *to = &p->at[p->n];
	to->key = arena_str(&p->arena, key);
	to->value = arena_str(&p->arena, value.n ? value : STR(""));
	to->origin = str_of(arena_fmt(&p->arena, "file:%s:%zu", name, line));
	to->set = set;
	if (!to->key.p || !to->value.p || !to->origin.p)
		return err_set(err, "%s: out of memory", name);
	p->n++;
	return true;
}

/* --- documents ----------------------------------------------------------------------------------------------------- */

static bool names_profile(struct str profiles, struct str name)
{
	struct str piece;
	if (!str_trim(profiles).n)
		return str_eq(name, STR("default"));
	while (str_next(&profiles, ',', &piece))
		if (str_eq(piece, name))
			return true;
	return false;
}

bool config_active(const struct config_props *p, size_t from, struct str profiles)
{
	for (size_t i = from; i < p->n; i++) {
		struct str root = p->at[i].key;
		size_t list = str_find(root, '[');
		if (list != SIZE_MAX)
			root.n = list;
		if (!str_eq(root, STR("spring.config.activate.on-profile")) && !str_eq(root, STR("spring.profiles")))
			continue;
		struct str rest = p->at[i].value, piece;
		bool any = false;
		while (str_next(&rest, ',', &piece)) {
			bool not = piece.n && piece.p[0] == '!';
			if (not)
				piece = str_trim(str_make(piece.p + 1, piece.n - 1));
			any = any || names_profile(profiles, piece) != not;
		}
		if (any)
			return true;
		if (list == SIZE_MAX || i + 1 == p->n || !str_starts(p->at[i + 1].key, root))
			return false;
	}
	return true;
}

void config_end_document(struct config_props *p, size_t from, struct str profiles)
{
	if (!config_active(p, from, profiles))
		p->n = from;
}

static void reverse(struct source_property *at, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct source_property t = at[i];
		at[i] = at[n - 1 - i];
		at[n - 1 - i] = t;
	}
}

void config_strongest_first(struct config_props *p, size_t from, uint32_t first_set)
{
	if (p->sets - first_set < 2)
		return;
	if (p->n == from)
		return;
	reverse(p->at + from, p->n - from); /* documents, and what is in each, then the latter back */
	for (size_t i = from; i < p->n;) {
		size_t k = i;
		while (k < p->n && p->at[k].set == p->at[i].set)
			k++;
		reverse(p->at + i, k - i);
		i = k;
	}
	for (size_t i = from; i < p->n; i++)
		p->at[i].set = first_set + (p->sets - 1 - p->at[i].set);
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

int config_read_file(const char *path, const char *name, char **ret, size_t *n, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG))
		return 0;
	*ret = NULL;
	*n = 0;
	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set(err, "%s: %s", name, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		err_set(err, "%s: it is no file", name);
	} else if (st.st_size > (off_t)CONFIG_FILE_MAX) {
		err_set(err, "%s: it is longer than %u bytes", name, CONFIG_FILE_MAX);
	} else if (!(*ret = mem_alloc((size_t)st.st_size + 1))) {
		err_set(err, "%s: out of memory", name);
	}
	bool ok = *ret != NULL;
	while (ok && *n < (size_t)st.st_size) {
		ssize_t got = read(fd, *ret + *n, (size_t)st.st_size - *n);
		if (got == 0)
			break;
		ok = got > 0 || errno == EINTR || err_set(err, "%s: %s", name, strerror(errno));
		*n += got > 0 ? (size_t)got : 0;
	}
	if (fd >= 0)
		close(fd);
	if (!ok)
		mem_wipe_free(*ret, *n);
	return ok ? 1 : -1;
}

static const struct {
	const char *end;
	bool (*read)(struct config_props *p, struct str text, const char *name, struct str profiles, struct err *err);
} formats[] = {
	{ ".properties", config_read_properties },
	{ ".yml", config_read_yaml },
	{ ".yaml", config_read_yaml },
	{ ".json", config_read_yaml }, /* JSON is YAML */
};

static bool read_named(struct config_props *p, const char *dir, struct str base, struct str profile, struct str profiles,
		       struct err *err)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		char path[4096];
		char *mem;
		size_t n;
		int len = snprintf(path, sizeof(path), "%s/%.*s%s%.*s%s", dir, STR_ARG(base), profile.n ? "-" : "",
				   STR_ARG(profile), formats[i].end);
		if (len < 0 || (size_t)len >= sizeof(path))
			return err_set(err, "%s: the path is too long", dir);
		int found = config_read_file(path, path, &mem, &n, err);
		if (found < 0)
			return false;
		if (!found)
			continue;
		bool ok = formats[i].read(p, str_make(mem, n), path, profiles, err);
		mem_wipe_free(mem, n);
		if (!ok)
			return false;
	}
	return true;
}

/* A service's or profile's name becomes part of a path. */
static bool fits_path(struct str s)
{
	return s.n && s.n < 200 && s.p[0] != '.' && str_find(s, '/') == SIZE_MAX && str_find(s, '\0') == SIZE_MAX;
}

static bool read_level(struct config_props *p, const char *dir, struct str service, struct str profile,
		       struct str profiles, struct err *err)
{
	struct str shared = STR("application");
	if (fits_path(service) && !str_eq(service, shared) && !read_named(p, dir, service, profile, profiles, err))
		return false;
	return read_named(p, dir, shared, profile, profiles, err);
}

bool config_read_directory(struct config_props *p, const char *dir, struct str service, struct str profiles,
			   struct err *err)
{
	struct str list[SOURCE_PROFILES_MAX], rest = profiles, piece;
	size_t n = 0;
	struct stat st;

	if (stat(dir, &st) < 0)
		return err_set(err, "%s: %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, "%s: it is no directory", dir);
	while (str_next(&rest, ',', &piece)) {
		if (!piece.n)
			continue;
		if (n == SOURCE_PROFILES_MAX || !fits_path(piece))
			return err_set(err, "outrider.profile: more than %u profiles, or one that is no file name",
				       SOURCE_PROFILES_MAX);
		list[n++] = piece;
	}
	if (n == 0)
		list[n++] = STR("default");
	while (n-- > 0)
		if (!read_level(p, dir, service, list[n], profiles, err))
			return false;
	return read_level(p, dir, service, STR(""), profiles, err);
}
