/* /swarm/hystrix.stream: whatever another agent answers, it is refused with a reason, or its figures are such as can be added up, told as
 * events, and read again from what is written of them. */
#include "control/hystrix_sums.h"
#include "fuzz.h"
#include "http/bounded_json.h"

static bool read_into(struct hystrix_sums *s, struct str body)
{
	const struct json_limits limits = { .bytes = 65536, .nodes = 20000, .depth = 32 };
	struct err err = { .text = "" };
	cJSON *tree = bounded_json_parse(body, &limits, &err);
	bool good = tree && hystrix_sums_read(s, tree, &err);

	FUZZ_CHECK(good || err.text[0] != '\0');
	cJSON_Delete(tree);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct hystrix_sums s, again;
	struct text t;
	unsigned seen = 0;
	char *copy = fuzz_copy(data, n);

	hystrix_sums_init(&s, 1);
	text_init(&t, 1 << 20);
	(void)read_into(&s, str_make(copy, n));
	(void)read_into(&s, str_make(copy, n)); /* twice: each is added to itself */
	for (const struct hystrix_figures *f = s.first; f; f = f->next, seen++) {
		FUZZ_CHECK(f->name.n && f->group.n && f->pool.n && f->v[HYSTRIX_HOSTS]);
		for (unsigned i = 0; i < HYSTRIX_FIGURES; i++)
			FUZZ_CHECK(f->v[i] <= INT64_MAX);
		hystrix_figures_events(&t, f, 1);
	}
	FUZZ_CHECK(seen == s.n && s.n <= HYSTRIX_SUMS_MAX);
	text_clear(&t);
	hystrix_sums_write(&t, &s);
	hystrix_sums_init(&again, 2);
	FUZZ_CHECK(!t.failed && (t.n > 65536 || read_into(&again, text_str(&t))));
	hystrix_sums_release(&again);
	text_release(&t);
	hystrix_sums_release(&s);
	free(copy);
	return 0;
}
