/* Registry consul: whatever stands in an answer, it is refused with a reason, or its endpoints are whole. */
#include "../../plugins/consul_health.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct file_endpoints f;
	struct err err = { .text = "" };
	char *copy = fuzz_copy(data, n);

	(void)consul_has_meta(str_make(copy, n), "outrider-owner", "0123456789abcdef");
	file_endpoints_init(&f);
	if (consul_health_read(&f, str_make(copy, n), STR("quotes"), &err)) {
		for (size_t i = 0; i < f.n; i++) {
			const struct registry_endpoint *e = &f.at[i].endpoint;
			FUZZ_CHECK(str_eq(f.at[i].service, STR("quotes")) && e->addr.len > 0 && addr_port(&e->addr) != 0);
			FUZZ_CHECK(!addr_is_any(&e->addr) && e->weight >= 1 && e->weight <= 10000 && e->n_meta <= REGISTRY_META_MAX);
			FUZZ_CHECK(e->state == REGISTRY_UP || e->state == REGISTRY_DOWN);
		}
		(void)file_endpoints_sum(&f, 0, f.n);
	} else
		FUZZ_CHECK(err.text[0] != '\0');
	file_endpoints_release(&f);
	free(copy);
	return 0;
}
