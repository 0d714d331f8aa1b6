/* ${VARIABLE} in stack files, by the rules of docker/cli cli/compose/template: names are letters, digits and `_`; what follows
 * `-` or `?` goes up to the next `}`, nothing nests; anything else behind `$` is an error. */
#include "control/stack_yaml.h"

#include "base/text.h"

struct interpolation {
	struct text out;
	char *const *env;
	uint32_t line;
	yaml_say_fn say;
	void *arg;
};

const char *env_find(char *const *environ_, struct str name)
{
	for (; environ_ && *environ_; environ_++)
		if (strncmp(*environ_, name.p, name.n) == 0 && (*environ_)[name.n] == '=')
			return *environ_ + name.n + 1;
	return NULL;
}

static size_t name_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= 'A' && s.p[n] <= 'Z') ||
				  s.p[n] == '_' || (n > 0 && s.p[n] >= '0' && s.p[n] <= '9')))
		n++;
	return n;
}

static struct str rest_of(struct str s, size_t from)
{
	return str_make(s.p + from, s.n - from);
}

static void put_variable(struct interpolation *x, struct str name)
{
	const char *value = env_find(x->env, name);

	if (!value)
		x->say(x->arg, YAML_UNSET, x->line, name);
	else
		text_addz(&x->out, value);
}

/* NAME, NAME-default, NAME:-default, NAME?why, NAME:?why. false: none of them. */
static bool put_braced(struct interpolation *x, struct str inside)
{
	size_t n = name_length(inside);
	struct str name = str_make(inside.p, n), rest = rest_of(inside, n);
	bool colon = rest.n && rest.p[0] == ':';

	if (colon)
		rest = rest_of(rest, 1);
	if (n == 0 || (rest.n == 0 && colon))
		return false;
	if (rest.n == 0) {
		put_variable(x, name);
		return true;
	}
	if (rest.p[0] != '-' && rest.p[0] != '?')
		return false;
	const char *value = env_find(x->env, name);
	if (value && (*value || !colon))
		text_addz(&x->out, value);
	else if (rest.p[0] == '-')
		text_add(&x->out, rest_of(rest, 1));
	else
		x->say(x->arg, YAML_REQUIRED, x->line, inside);
	return true;
}

/* What stands at `s`, which begins with '$'; returns how many bytes were used. */
static size_t put_dollar(struct interpolation *x, struct str s)
{
	size_t n = name_length(rest_of(s, 1)), end = str_find(s, '}');

	if (s.n > 1 && s.p[1] == '$') {
		text_char(&x->out, '$');
		return 2;
	}
	if (n) {
		put_variable(x, str_make(s.p + 1, n));
		return 1 + n;
	}
	if (s.n > 1 && s.p[1] == '{' && end != SIZE_MAX && put_braced(x, str_make(s.p + 2, end - 2)))
		return end + 1;
	x->say(x->arg, YAML_FORMAT, x->line,
		str_make(s.p, end != SIZE_MAX && end < 80 ? end + 1
			      : s.n < 80                  ? s.n
							  : 80));
	text_char(&x->out, '$');
	return 1;
}

struct str stack_interpolate(struct arena *a, struct str raw, uint32_t line, char *const *environ_,
	yaml_say_fn say, void *arg, struct err *err)
{
	struct interpolation x = { .env = environ_, .line = line, .say = say, .arg = arg };
	struct str ret = { NULL, 0 };

	if (!memchr(raw.p, '$', raw.n)) {
		ret = arena_str(a, raw);
	} else {
		text_init(&x.out, STACK_VALUE_MAX);
		for (size_t i = 0; i < raw.n && !x.out.failed;) {
			if (raw.p[i] == '$') {
				i += put_dollar(&x, rest_of(raw, i));
				continue;
			}
			text_char(&x.out, raw.p[i++]);
		}
		if (!x.out.failed)
			ret = arena_str(a, x.out.n ? text_str(&x.out) : STR(""));
		text_release(&x.out);
	}
	if (!ret.p)
		err_set(err, "%u: out of memory, or a value of more than %u bytes", line, STACK_VALUE_MAX);
	return ret;
}
