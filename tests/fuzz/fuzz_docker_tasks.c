/* Registry docker: whatever an engine answers, it is refused with a reason, or its endpoints are whole. The input is cut at NULs
 * into the lists of services, tasks and nodes. */
#include "../../plugins/docker_tasks.h"
#include "fuzz.h"

static struct str next_list(struct str *rest)
{
	size_t end = str_find(*rest, '\0');
	struct str one = str_make(rest->p, end == SIZE_MAX ? rest->n : end);

	*rest = end == SIZE_MAX ? str_make(rest->p + rest->n, 0) : str_make(rest->p + end + 1, rest->n - end - 1);
	return one;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct file_endpoints f;
	struct err err = { .text = "" };
	char *copy = fuzz_copy(data, n);
	struct str rest = str_make(copy, n);
	struct docker_lists lists = { .n_networks = 0 };

	lists.services = next_list(&rest);
	lists.tasks = next_list(&rest);
	lists.nodes = next_list(&rest);
	file_endpoints_init(&f);
	if (docker_read(&f, &lists, &err)) {
		for (size_t i = 0; i < f.n; i++) {
			const struct registry_endpoint *e = &f.at[i].endpoint;
			FUZZ_CHECK(f.at[i].service.n > 0 && e->addr.len > 0 && !addr_is_any(&e->addr));
			FUZZ_CHECK(e->n_meta <= REGISTRY_META_MAX && addr_port(&e->addr) == 0);
		}
	} else
		FUZZ_CHECK(err.text[0] != '\0');
	file_endpoints_release(&f);
	free(copy);
	return 0;
}
