/* Redis: whatever a server sends, replies stay within the limits, cut in any way they are the same, and a hash that is
 * taken has only its own bytes. The first byte says how the rest is cut. */
#include "../../plugins/redis_config.h"
#include "fuzz.h"

#include <stddef.h>

static const struct resp_limits limits = { 64, 256, 1024 };

static void check_reply(const struct resp_value *v, size_t n)
{
	size_t bytes = 0;

	FUZZ_CHECK(n >= 1 && n <= limits.values);
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(v[i].text.n <= limits.text && v[i].count <= limits.values);
		FUZZ_CHECK(v[i].text.n == 0 || v[i].type <= RESP_ERROR);
		for (size_t k = 0; k < v[i].text.n; k++)
			bytes += (unsigned char)v[i].text.p[k] + 1u; /* reads all */
	}
	FUZZ_CHECK(bytes <= limits.bytes * 256);
}

static void check_hash(struct redis_set *set, const struct resp_value *v, size_t n)
{
	size_t before = set->n, at = 0;
	struct err err;

	if (!redis_set_add(set, 0, v, n, 7, &err)) {
		FUZZ_CHECK(err.text[0] != '\0');
		return;
	}
	FUZZ_CHECK(set->n == before + (n - 1) / 2);
	for (size_t i = 0; i < set->n; i++) {
		FUZZ_CHECK(set->fields[i].at >= at);
		at = set->fields[i].at + set->fields[i].key_n + set->fields[i].value_n;
		FUZZ_CHECK(at <= set->bytes.n);
	}
}

/* Replies until more is needed or it is refused; the count, and whether it was refused. */
static size_t run(const char *p, size_t n, size_t step, bool *refused)
{
	struct redis_set set = { .n = 0 };
	struct resp *r = resp_new(&limits);
	const struct resp_value *v;
	size_t count = 0, values;
	struct err err;
	int what = 0;

	FUZZ_CHECK(r != NULL);
	for (size_t at = 0; at < n && what >= 0; at += step) {
		FUZZ_CHECK(resp_feed(r, p + at, n - at < step ? n - at : step));
		while ((what = resp_next(r, &v, &values, &err)) > 0) {
			count++;
			check_reply(v, values);
			check_hash(&set, v, values);
		}
	}
	*refused = what < 0;
	redis_set_clear(&set);
	resp_free(r);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	bool whole, pieces;

	if (n < 1)
		return 0;
	char *copy = fuzz_copy(data + 1, n - 1);
	size_t all = run(copy, n - 1, n, &whole), some = run(copy, n - 1, data[0] % 16u + 1u, &pieces);
	/* The bound on what is buffered of one value is coarse; all else is the same however the bytes came. */
	FUZZ_CHECK(whole != pieces || all == some);
	free(copy);
	return 0;
}
