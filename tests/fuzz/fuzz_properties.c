/* Merged properties: lines of key=value, `|` alone begins the next set. Placeholders end, within bounds, and what was resolved
 * without one is the value itself. */
#include "control/properties.h"
#include "fuzz.h"

static void fill(struct properties *p, struct str text)
{
	struct str line;
	struct err err;
	properties_begin_set(p);
	while (str_next(&text, '\n', &line)) {
		size_t equals = str_find(line, '=');
		if (str_eq(line, STR("|")))
			properties_begin_set(p);
		else if (equals != SIZE_MAX &&
			 !properties_add(p, 0, str_make(line.p, equals), str_make(line.p + equals + 1, line.n - equals - 1), STR("f"), &err))
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char *environment[] = { "HOME=/root", "A_B=c", NULL };
	char *copy = fuzz_copy(data, n);
	struct properties p;
	struct err err = { "" };

	properties_init(&p, 1);
	fill(&p, str_make(copy, n));
	for (size_t i = 0; i < p.n && i < 64; i++) {
		bool ok = properties_resolve(&p, i, environment, &err);
		FUZZ_CHECK(ok || err.text[0] != '\0');
		FUZZ_CHECK(p.at[i].value.n <= PROPERTIES_VALUE_MAX);
		if (ok && (!p.at[i].raw.n || !memmem(p.at[i].raw.p, p.at[i].raw.n, "${", 2)))
			FUZZ_CHECK(str_eq(p.at[i].raw, p.at[i].value));
		properties_hash(&p, i);
		FUZZ_CHECK(properties_find(&p, p.at[i].key) == &p.at[i]);
	}
	properties_release(&p);
	free(copy);
	return 0;
}
