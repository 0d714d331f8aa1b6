/* Where options come from at start: flags, environment, and files that hold secrets. */
#include "control/options_impl.h"

#include "base/mem.h"
#include "control/option_value.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- environment ------------------------------------------------------------------------------------------------------ */

bool options_add_env_as(struct options *o, char *const *environ_, enum option_layer layer, struct err *err)
{
	for (; *environ_; environ_++) {
		struct str all = str_of(*environ_);
		size_t eq = str_find(all, '=');
		struct option_input in = { .layer = layer, .form = KEY_ENV, .origin = STR("env") };

		if (eq == SIZE_MAX)
			continue;
		in.key = str_make(all.p, eq);
		in.value = str_make(all.p + eq + 1, all.n - eq - 1);
		if (key_strip(in.key, KEY_ENV, &in.name) && !options_put(o, &in, err))
			return false;
	}
	return true;
}

bool options_add_env(struct options *o, char *const *environ_, struct err *err)
{
	return options_add_env_as(o, environ_, LAYER_ENV, err);
}

/* --- flags ------------------------------------------------------------------------------------------------------------- */

static bool is_flag(const char *arg)
{
	return arg[0] == '-' && arg[1] == '-' && arg[2] != '\0';
}

/* A switch may stand alone: then what follows is not its value. */
static bool stands_alone(const struct options *o, struct str name, const char *next)
{
	struct option_key k;
	uint64_t v;

	if (!key_parse(&o->index, name, KEY_FLAG, &k) || option_row(k.id)->type != OPTION_BOOL)
		return false;
	return !next || !option_value_parse(option_row(k.id), str_of(next), &v, NULL);
}

/* One flag at argv[i]; *used is 1 or 2 arguments. */
static bool add_flag(struct options *o, const char *arg, const char *next, int *used, struct err *err)
{
	struct option_input in = { .layer = LAYER_FLAG, .form = KEY_FLAG, .origin = STR("flag") };
	struct str all = str_of(arg);
	size_t eq = str_find(all, '=');

	*used = 1;
	in.key = eq == SIZE_MAX ? all : str_make(all.p, eq);
	if (!key_strip(in.key, KEY_FLAG, &in.name))
		in.name = STR("");
	if (eq != SIZE_MAX) {
		in.value = str_make(all.p + eq + 1, all.n - eq - 1);
	} else if (stands_alone(o, in.name, next)) {
		in.value = STR("on");
	} else if (next && !(next[0] == '-' && next[1] == '-')) {
		in.value = str_of(next);
		*used = 2;
	}
	return options_put(o, &in, err);
}

bool options_add_flags(struct options *o, int argc, char **argv, int *ret_first_free, struct err *err)
{
	int i = 0, used;

	while (i < argc && is_flag(argv[i])) {
		if (!add_flag(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used, err))
			return false;
		i += used;
	}
	if (i < argc && argv[i][0] == '-' && argv[i][1] == '-' && argv[i][2] == '\0')
		i++;
	*ret_first_free = i;
	return true;
}

/* --- secrets in files ---------------------------------------------------------------------------------------------------- */

/* Reads until the end or until `cap` is full; -1 with errno. */
static ssize_t read_all(int fd, char *dst, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		ssize_t got = read(fd, dst + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

static bool open_regular(const char *path, int *ret, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(err, "the file cannot be read: %s", strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(err, "the path names no regular file");
	}
	*ret = fd;
	return true;
}

char *secret_read(const char *path, struct str *ret, size_t *ret_cap, struct err *err)
{
	size_t cap = OPTIONS_VALUE_MAX + 1;
	int fd = -1;

	if (!open_regular(path, &fd, err))
		return NULL;
	char *p = mem_alloc(cap);
	ssize_t n = p ? read_all(fd, p, cap) : -1;
	int error = errno;
	close(fd);
	if (n >= 0 && (size_t)n < cap) {
		*ret = str_make(p, (size_t)n);
		while (ret->n && (p[ret->n - 1] == '\n' || p[ret->n - 1] == '\r'))
			ret->n--;
		*ret_cap = cap;
		return p;
	}
	if (!p)
		err_set(err, "out of memory");
	else if (n < 0)
		err_set(err, "the file cannot be read: %s", strerror(error));
	else
		err_set(err, "the file is larger than %u bytes", OPTIONS_VALUE_MAX);
	mem_wipe_free(p, cap);
	return NULL;
}
