#include "control/app_env.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool app_owns(struct str key)
{
	return !str_starts(key, STR("outrider."));
}

/* --- names ---------------------------------------------------------------------------------------------------------- */

/* Variables by which programs, loaders and shells are made to run something else. */
static bool is_dangerous(struct str name)
{
	static const char *const starts[] = { "LD_", "DYLD_", "GLIBC_", "GCONV_", "MALLOC_", "BASH_", "OUTRIDER_",
		"NODE_OPTIONS", "PYTHON", "PERL", "RUBY", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS" };
	static const char *const names[] = { "PATH", "IFS", "ENV", "SHELL", "HOME", "USER", "TMPDIR", "HTTP_PROXY",
		"HTTPS_PROXY", "NO_PROXY", "ALL_PROXY" };
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (str_starts(name, str_of(starts[i])))
			return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_eq(name, str_of(names[i])))
			return true;
	return false;
}

bool app_env_name(struct text *t, struct str key)
{
	size_t from = t->n;
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];
		if (c >= 'a' && c <= 'z')
			text_char(t, (char)(c - 32));
		else if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')
			text_char(t, c);
		else if (c == '.' || c == '[')
			text_char(t, '_');
		else if (c != '-' && c != ']')
			return false;
	}
	if (t->failed || t->n == from || (t->p[from] >= '0' && t->p[from] <= '9'))
		return false;
	return !is_dangerous(str_make(t->p + from, t->n - from));
}

/* --- pages ---------------------------------------------------------------------------------------------------------- */

void app_print_env(struct text *t, const struct properties *p)
{
	for (size_t i = 0; i < p->n; i++) {
		size_t from = t->n;
		struct str v = p->at[i].value;
		if (!app_owns(p->at[i].key))
			continue;
		if (!app_env_name(t, p->at[i].key)) {
			if (t->p && !t->failed)
				t->p[t->n = from] = '\0';
			continue;
		}
		text_addz(t, "='");
		for (size_t k = 0; k < v.n; k++) {
			if (v.p[k] == '\'')
				text_addz(t, "'\\''");
			else
				text_char(t, v.p[k]);
		}
		text_addz(t, "'\n");
	}
}

static void put_escaped(struct text *t, struct str s, bool key)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '\n' || c == '\r' || c == '\t') {
			text_addz(t, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
			continue;
		}
		if (c == '\\' || (key && (c == '=' || c == ':' || c == ' ')) || (i == 0 && (c == ' ' || c == '#' || c == '!')))
			text_char(t, '\\');
		text_char(t, c);
	}
}

void app_print_properties(struct text *t, const struct properties *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (!app_owns(p->at[i].key))
			continue;
		put_escaped(t, p->at[i].key, true);
		text_char(t, '=');
		put_escaped(t, p->at[i].value, false);
		text_char(t, '\n');
	}
}

/* --- for the child ---------------------------------------------------------------------------------------------------- */

bool app_selects(struct str selection, struct str key, struct str *rest)
{
	struct str prefix = STR("prefix:");
	*rest = key;
	if (!selection.n || !app_owns(key))
		return false;
	if (str_eq(selection, STR("all")))
		return true;
	if (!str_starts(selection, prefix))
		return false;
	prefix = str_make(selection.p + prefix.n, selection.n - prefix.n);
	if (!str_starts(key, prefix) || key.n == prefix.n)
		return false;
	*rest = str_make(key.p + prefix.n, key.n - prefix.n);
	if (rest->p[0] == '.')
		*rest = str_make(rest->p + 1, rest->n - 1);
	return rest->n > 0;
}

char **app_environment(struct arena *a, const struct properties *p, struct str selection)
{
	char **out = arena_zalloc(a, (p->n + 1) * sizeof(*out));
	struct text name;
	size_t n = 0;
	bool ok = out != NULL;

	text_init(&name, PROPERTIES_KEY_MAX);
	for (size_t i = 0; ok && i < p->n; i++) {
		struct str rest;
		text_clear(&name);
		if (!app_selects(selection, p->at[i].key, &rest) || !app_env_name(&name, rest))
			continue;
		out[n] = arena_fmt(a, "%s=%.*s", text_z(&name), STR_ARG(p->at[i].value));
		ok = out[n++] != NULL;
	}
	text_release(&name);
	return ok ? out : NULL;
}

/* --- template --------------------------------------------------------------------------------------------------------- */

static bool read_template(const char *path, struct text *t, struct err *err)
{
	char buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n = -1;
	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(err, "%s: no regular file", path);
	}
	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		text_add(t, str_make(buf, (size_t)n));
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (fd < 0 || n < 0)
		return err_set(err, "%s: %s", path, strerror(error));
	return !t->failed || err_set(err, "%s: longer than %u bytes", path, APP_TEMPLATE_MAX);
}

static bool write_target(const char *path, struct str s, struct err *err)
{
	char temp[4200];
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
	err_set(err, "%s: %s", path, strerror(errno));
	(void)unlink(temp);
	return false;
}

bool app_template_write(const struct properties *p, struct str spec, char *const *environ_, struct err *err)
{
	char from[4096], to[4096];
	size_t colon = str_find(spec, ':');
	struct text in, out;

	if (colon == SIZE_MAX || !str_copy(str_make(spec.p, colon), from, sizeof(from)) ||
	    !str_copy(str_make(spec.p + colon + 1, spec.n - colon - 1), to, sizeof(to)) || !from[0] || !to[0])
		return err_set(err, "outrider.app-template: expected /path/of/template:/path/of/target");
	text_init(&in, APP_TEMPLATE_MAX);
	text_init(&out, APP_TEMPLATE_MAX);
	bool ok = read_template(from, &in, err) && (properties_expand(p, text_str(&in), environ_, &out, err) ||
						     err_prefix(err, "%s", from)) &&
		  write_target(to, out.n ? text_str(&out) : STR(""), err);
	text_release(&in);
	if (out.p)
		explicit_bzero(out.p, out.n);
	text_release(&out);
	return ok;
}
