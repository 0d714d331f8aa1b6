/* Registry file: whatever stands in a list of instances, it is refused with a reason, or its endpoints are whole. */
#include "../../plugins/file_endpoints.h"
#include "../../plugins/file_plain.h"
#include "base/text.h"
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

/* What is read without the YAML parser is what that reads. */
static void check_plain(struct str text)
{
	struct file_endpoints plain, yaml;
	struct err err = { .text = "" };
	struct text marked;

	file_endpoints_init(&plain);
	file_endpoints_init(&yaml);
	if (file_plain_read(&plain, text)) {
		text_init(&marked, text.n + 8);
		text_addz(&marked, "---\n"); /* no plain form has that */
		text_add(&marked, text);
		FUZZ_CHECK(file_endpoints_parse(&yaml, text_str(&marked), "f", STR("base"), &err));
		FUZZ_CHECK(yaml.n == plain.n && file_endpoints_sum(&yaml, 0, yaml.n) == file_endpoints_sum(&plain, 0, plain.n));
		for (size_t i = 0; i < plain.n; i++)
			FUZZ_CHECK(str_eq(yaml.at[i].service, plain.at[i].service));
		text_release(&marked);
	}
	file_endpoints_release(&plain);
	file_endpoints_release(&yaml);
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
	check_plain(str_make(copy, n));
	file_endpoints_release(&f);
	free(copy);
	return 0;
}
