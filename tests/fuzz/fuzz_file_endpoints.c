/* Registry file: whatever stands in a list of instances, it is refused with a reason, or its endpoints are whole. */
#include "../../plugins/file_endpoints.h"
#include "fuzz.h"

static void check(const struct file_endpoints *f)
{
	size_t from, to;

	for (size_t i = 0; i < f->n; i++) {
		const struct registry_endpoint *e = &f->at[i].endpoint;
		FUZZ_CHECK(f->at[i].service.n > 0 && f->at[i].service.n <= 255);
		FUZZ_CHECK(e->addr.len > 0 && e->addr.sa.sa_family != AF_UNIX && !addr_is_any(&e->addr));
		FUZZ_CHECK(e->weight >= 1 && e->weight <= 10000 && e->state <= REGISTRY_STARTING);
		FUZZ_CHECK(e->n_meta <= REGISTRY_META_MAX);
		FUZZ_CHECK(file_endpoints_find(f, f->at[i].service, &from, &to) && from <= i && to > from);
		(void)file_endpoints_sum(f, from, to);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct file_endpoints f;
	struct err err = { .text = "" };
	char *copy = fuzz_copy(data, n);

	file_endpoints_init(&f);
	if (file_endpoints_parse(&f, str_make(copy, n), "f", STR("base"), &err)) {
		file_endpoints_sort(&f);
		check(&f);
	} else
		FUZZ_CHECK(err.text[0] != '\0');
	file_endpoints_release(&f);
	free(copy);
	return 0;
}
