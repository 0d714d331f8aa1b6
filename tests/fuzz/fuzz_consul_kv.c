/* Consul: whatever stands in an answer, it is refused with a reason, or its properties have keys, lie in the sets they may
 * have, in their order, and hold no NUL. */
#include "../../plugins/consul_kv.h"
#include "fuzz.h"

static const struct consul_names names = { { "config", 6 }, { "shop", 4 }, { "test,eu", 7 },
	{ "http://c:8500", 13 } };

static void check(const struct config_props *p)
{
	uint32_t set = 0;

	FUZZ_CHECK(p->sets == 3);
	for (size_t i = 0; i < p->n; i++) {
		const struct source_property *at = &p->at[i];
		FUZZ_CHECK(at->set >= set && at->set < p->sets);
		set = at->set;
		FUZZ_CHECK(at->key.n > 0 && !memchr(at->key.p, '/', at->key.n) &&
			   !memchr(at->key.p, '\0', at->key.n));
		FUZZ_CHECK(at->value.n == 0 || !memchr(at->value.p, '\0', at->value.n));
		FUZZ_CHECK(str_starts(at->origin, STR("consul:http://c:8500/config/shop")));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config_props p;
	struct err err = { .text = "" };
	char *copy = fuzz_copy(data, n);

	config_props_init(&p);
	if (consul_kv_read(&p, str_make(copy, n), &names, &err))
		check(&p);
	else
		FUZZ_CHECK(err.text[0] != '\0');
	config_props_release(&p);
	free(copy);
	return 0;
}
