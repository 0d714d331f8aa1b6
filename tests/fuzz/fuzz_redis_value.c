/* Registry redis: whatever others wrote as an instance, it is refused with a reason, or it is whole. */
#include "../../plugins/redis_value.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct redis_value v = { .tree = NULL };
	struct registry_endpoint e = { .weight = 0 };
	struct err err = { .text = "" };
	char *copy = fuzz_copy(data, n);

	if (redis_value_read(str_make(copy, n), &v, &e, &err)) {
		FUZZ_CHECK(e.addr.len > 0 && addr_port(&e.addr) != 0 && !addr_is_any(&e.addr));
		FUZZ_CHECK(e.weight >= 1 && e.weight <= 10000 && e.state <= REGISTRY_STARTING && e.n_meta <= REGISTRY_META_MAX);
		for (size_t i = 0; i < e.n_meta; i++)
			FUZZ_CHECK(e.meta[i].key.p && e.meta[i].value.p);
		redis_value_release(&v);
	} else
		FUZZ_CHECK(err.text[0] != '\0' && v.tree == NULL);
	redis_value_release(&v);
	free(copy);
	return 0;
}
