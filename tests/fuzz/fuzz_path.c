/* Paths: what was brought to one form stays as it is, begins with a slash, has no dot segment, and does not grow. */
#include "fuzz.h"
#include "http/h1.h"

static void no_dot_segments(struct str path)
{
	struct str rest = path, segment;
	size_t query = str_find(path, '?');

	if (query != SIZE_MAX)
		rest.n = query;
	FUZZ_CHECK(rest.n > 0 && rest.p[0] == '/');
	FUZZ_CHECK(str_find(rest, '\\') == SIZE_MAX && str_find(rest, '\0') == SIZE_MAX);
	while (rest.n > 0) {
		size_t slash = str_find(rest, '/');
		segment = str_make(rest.p, slash == SIZE_MAX ? rest.n : slash);
		FUZZ_CHECK(!str_eq(segment, STR(".")) && !str_eq(segment, STR("..")));
		FUZZ_CHECK(!str_starts(segment, STR(".;")) && !str_starts(segment, STR("..;")));
		rest = slash == SIZE_MAX ? str_make(NULL, 0) : str_make(rest.p + slash + 1, rest.n - slash - 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = fuzz_copy(data, n);
	struct str path = str_make(copy, n), once, twice;
	struct arena a;

	arena_init(&a, 1 << 22, NULL, 0);
	if (path_normalise(path, &a, &once)) {
		FUZZ_CHECK(once.n <= n);
		FUZZ_CHECK(once.p != copy || once.n == n);
		if (!str_eq(once, STR("*")))
			no_dot_segments(once);
		FUZZ_CHECK(path_normalise(once, &a, &twice));
		FUZZ_CHECK(twice.p == once.p && twice.n == once.n); /* nothing was copied again */
		size_t q = str_find(path, '?'), q1 = str_find(once, '?');
		FUZZ_CHECK((q == SIZE_MAX) == (q1 == SIZE_MAX));
		if (q != SIZE_MAX)
			FUZZ_CHECK(str_eq(str_make(path.p + q, n - q), str_make(once.p + q1, once.n - q1)));
	}
	arena_release(&a);
	free(copy);
	return 0;
}
