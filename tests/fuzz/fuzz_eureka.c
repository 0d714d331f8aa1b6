/* Registry eureka: whatever a server answers, it is refused with a reason, or its instances are whole and can be taken, as a full
 * answer and as a delta. */
#include "../../plugins/eureka_json.h"
#include "base/mem.h"
#include "fuzz.h"

static void check_one(const struct eureka_instance *i)
{
	const struct registry_endpoint *e = &i->endpoint;

	FUZZ_CHECK(i->app.n > 0 && i->key.n > i->app.n + 1 && i->key.p[i->app.n] == '/');
	FUZZ_CHECK(i->status < EUREKA_STATUSES && e->weight >= 1 && e->weight <= 10000 && e->n_meta <= REGISTRY_META_MAX);
	FUZZ_CHECK(!i->routable || (e->addr.len > 0 && addr_port(&e->addr) != 0 && !addr_is_any(&e->addr)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct eureka_answer a;
	struct eureka_apps apps;
	struct registry_endpoint *found = NULL;
	struct err err = { .text = "" };
	char hash[256], *copy = fuzz_copy(data, n);
	size_t count = 0;

	(void)eureka_has_meta(str_make(copy, n), "outrider.owner", "0123456789abcdef");
	eureka_apps_init(&apps, 1);
	for (int round = 0; round < 3; round++) {
		if (!eureka_read(str_make(copy, n), &a, &err)) {
			FUZZ_CHECK(err.text[0] != '\0' && a.n == 0);
			break;
		}
		for (size_t i = 0; i < a.n; i++)
			check_one(a.at[i]);
		FUZZ_CHECK(round == 1 ? eureka_apps_apply(&apps, &a) : eureka_apps_replace(&apps, &a, round == 2));
		eureka_answer_release(&a);
		eureka_apps_hash(&apps, hash);
		FUZZ_CHECK(eureka_apps_find(&apps, STR("quotes"), &found, &count) && (count > 0) == (found != NULL));
		(void)eureka_sum(found, count);
		mem_free(found);
	}
	eureka_apps_forget(&apps);
	eureka_apps_release(&apps);
	free(copy);
	return 0;
}
