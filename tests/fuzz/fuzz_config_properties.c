/* Configuration files (properties): whatever the bytes, they are read or refused with the file's name, within bounds, and twice the
 * same. */
#include "../../plugins/config_files.h"
#include "fuzz.h"

static bool read(struct str s, struct config_props *p, struct err *err)
{
	config_props_init(p);
	return config_read_properties(p, s, "f", STR("test"), err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = fuzz_copy(data, n);
	struct config_props one, two;
	struct err err = { "" }, again = { "" };
	bool ok = read(str_make(copy, n), &one, &err);

	FUZZ_CHECK(ok == read(str_make(copy, n), &two, &again));
	FUZZ_CHECK(ok || (err.text[0] == 'f' && strcmp(err.text, again.text) == 0));
	FUZZ_CHECK(one.n == two.n && one.n <= SOURCE_PROPERTIES_MAX);
	for (size_t i = 0; ok && i < one.n; i++) {
		FUZZ_CHECK(one.at[i].key.n > 0 && str_eq(one.at[i].key, two.at[i].key));
		FUZZ_CHECK(str_eq(one.at[i].value, two.at[i].value) && str_starts(one.at[i].origin, STR("file:f:")));
		FUZZ_CHECK(i == 0 || one.at[i].set >= one.at[i - 1].set);
	}
	config_props_release(&one);
	config_props_release(&two);
	free(copy);
	return 0;
}
