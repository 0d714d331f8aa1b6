/* Answers of a config server: read or refused, within bounds; credentials of a source's name never come through. */
#include "../../plugins/read_json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = fuzz_copy(data, n);
	struct config_props p;
	struct spring_answer answer;
	struct err err = { "" };

	config_props_init(&p);
	bool ok = read_spring_json(&p, str_make(copy, n), &answer, &err);
	FUZZ_CHECK(ok || err.text[0] != '\0');
	FUZZ_CHECK(p.n <= SOURCE_PROPERTIES_MAX);
	for (size_t i = 0; ok && i < p.n; i++) {
		FUZZ_CHECK(p.at[i].key.n > 0 && p.at[i].key.n <= JSON_KEY_MAX);
		FUZZ_CHECK(str_starts(p.at[i].origin, STR("spring:")));
		FUZZ_CHECK(i == 0 || p.at[i].set >= p.at[i - 1].set);
	}
	config_props_release(&p);
	free(copy);
	return 0;
}
