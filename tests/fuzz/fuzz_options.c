/* Options: lines of flags (--…), environment (OUTRIDER_…) and properties (outrider.…, in changing layers) never crash; options
 * that are good print as properties which, read again, give the same. */
#include "control/options.h"
#include "fuzz.h"

#define LINES_MAX 256
#define PRINT_MAX (32u << 20)

struct input {
	struct options *o;
	unsigned lines;
};

static bool set_property(struct options *o, struct str line, enum option_layer layer)
{
	size_t eq = str_find(line, '=');
	struct err err;

	if (eq == SIZE_MAX)
		return true;
	return options_set(o, layer, str_make(line.p, eq), str_make(line.p + eq + 1, line.n - eq - 1), STR("fuzz:1"), &err);
}

static void read_line(struct input *in, char *line)
{
	static const enum option_layer layers[] = { LAYER_SOURCE(0), LAYER_SOURCE(3), LAYER_LABEL, LAYER_CONTAINER_ENV,
						    LAYER_FLAG };
	char *one[] = { line, NULL };
	struct str s = str_of(line);
	int rest;
	struct err err;

	if (str_starts(s, STR("--")))
		FUZZ_CHECK(options_add_flags(in->o, 1, one, &rest, &err));
	else if (str_starts(s, STR("outrider.")))
		FUZZ_CHECK(set_property(in->o, s, layers[in->lines % 5]));
	else
		FUZZ_CHECK(options_add_env(in->o, one, &err));
}

static void read_again(const struct options *o)
{
	struct text a, b;
	struct options *again = options_new();
	struct str rest, line;
	struct err err = { "" };

	FUZZ_CHECK(again != NULL);
	text_init(&a, PRINT_MAX);
	text_init(&b, PRINT_MAX);
	options_print(o, &a, OPTIONS_PROPERTIES);
	FUZZ_CHECK(!a.failed);
	for (rest = text_str(&a); str_next(&rest, '\n', &line);)
		FUZZ_CHECK(set_property(again, line, LAYER_ENV));
	if (!options_check(again, COMMAND_ANY, &err)) {
		fprintf(stderr, "%s\n%s\n", text_z(&a), err.text);
		FUZZ_CHECK(!"what was printed is not good");
	}
	options_print(again, &b, OPTIONS_PROPERTIES);
	FUZZ_CHECK(str_eq(text_str(&a), text_str(&b)));
	FUZZ_CHECK(options_service_count(o) == options_service_count(again));
	text_release(&a);
	text_release(&b);
	options_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { .o = options_new() };
	char *copy = fuzz_copy(data, n), *line = malloc(n + 1);
	struct text t;
	struct err err = { "" };
	size_t from = 0;

	FUZZ_CHECK(in.o && line);
	for (size_t i = 0; i <= n && in.lines < LINES_MAX; i++) {
		if (i < n && copy[i] != '\n' && copy[i] != '\0')
			continue;
		if (i > from)
			memcpy(line, copy + from, i - from);
		line[i - from] = '\0';
		read_line(&in, line);
		from = i + 1;
		in.lines++;
	}
	bool good = options_check(in.o, COMMAND_ANY, &err);
	FUZZ_CHECK(good == (options_problem_total(in.o) == 0) && good == (err.text[0] == '\0'));
	text_init(&t, PRINT_MAX);
	options_print(in.o, &t, OPTIONS_JSON);
	options_print(in.o, &t, OPTIONS_TEXT);
	FUZZ_CHECK(!t.failed);
	text_release(&t);
	if (good)
		read_again(in.o);
	options_free(in.o);
	free(line);
	free(copy);
	return 0;
}
