/* The engine's answer about a container, and its packed form: refused with a reason, or whole, and the same after packing. */
#include "attach/container.h"
#include "fuzz.h"

static void pack_and_unpack(const struct container *c)
{
	struct container again;
	struct text t, u;
	struct err err;

	text_init(&t, CONTAINER_BYTES_MAX * 4);
	text_init(&u, CONTAINER_BYTES_MAX * 4);
	container_pack(c, &t);
	if (!t.failed && container_unpack(&again, text_str(&t), &err)) {
		container_pack(&again, &u);
		FUZZ_CHECK(u.failed || str_eq(text_str(&t), text_str(&u)));
		container_release(&again);
	}
	text_release(&t);
	text_release(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct container c;
	struct err err = { .text = "" };
	const char *why;
	char *copy = fuzz_copy(data, n);

	if (container_read(&c, str_make(copy, n), &err)) {
		FUZZ_CHECK(c.id.n == CONTAINER_ID_LENGTH);
		(void)container_opts_in(&c, &(struct container_rule){ .all = true, .stacks = STR("a,b"), .networks = STR("n") }, &why);
		pack_and_unpack(&c);
		container_release(&c);
	} else {
		FUZZ_CHECK(err.text[0] != '\0');
	}
	if (container_unpack(&c, str_make(copy, n), &err))
		container_release(&c);
	free(copy);
	return 0;
}
