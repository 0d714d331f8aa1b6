/* The fuzz targets of http/ over their seeds and over all inputs that once failed (tests/fuzz/seeds,
 * tests/fuzz/regression): a property that does not hold aborts the test. */
#define FUZZ_IN_UNIT
#include <check.h>
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET(name) int fuzz_one_##name(const uint8_t *data, size_t n)
TARGET(h1_request);
TARGET(h1_response);
TARGET(chunk);
TARGET(path);
TARGET(authority);

#define LLVMFuzzerTestOneInput fuzz_one_h1_request
#include "../fuzz/fuzz_h1_request.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_one_h1_response
#include "../fuzz/fuzz_h1_response.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_one_chunk
#include "../fuzz/fuzz_chunk.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_one_path
#include "../fuzz/fuzz_path.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_one_authority
#include "../fuzz/fuzz_authority.c"
#undef LLVMFuzzerTestOneInput

static const struct {
	const char *name;
	int (*one)(const uint8_t *data, size_t n);
	unsigned seeds; /* at least */
} targets[] = {
	{ "h1_request", fuzz_one_h1_request, 12 }, { "h1_response", fuzz_one_h1_response, 12 },
	{ "chunk", fuzz_one_chunk, 12 },           { "path", fuzz_one_path, 12 },
	{ "authority", fuzz_one_authority, 12 },
};

/* The folder of this file's neighbour, wherever the tests are started. */
static void folder_of(char *dst, size_t cap, const char *kind, const char *name)
{
	const char *slash = strrchr(__FILE__, '/');

	snprintf(dst, cap, "%.*s/../fuzz/%s/%s", (int)(slash - __FILE__), __FILE__, kind, name);
}

static unsigned run_folder(const char *folder, int (*one)(const uint8_t *data, size_t n))
{
	static uint8_t buf[1 << 17];
	DIR *dir = opendir(folder);
	unsigned count = 0;
	char path[1024];

	if (!dir)
		return 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		FILE *f = fopen(path, "rb");
		ck_assert_ptr_nonnull(f);
		size_t n = fread(buf, 1, sizeof(buf), f);
		fclose(f);
		one(buf, n);
		count++;
	}
	closedir(dir);
	return count;
}

START_TEST(seeds_and_regressions_hold)
{
	char folder[512];

	folder_of(folder, sizeof(folder), "seeds", targets[_i].name);
	ck_assert_uint_ge(run_folder(folder, targets[_i].one), targets[_i].seeds);
	folder_of(folder, sizeof(folder), "regression", targets[_i].name);
	run_folder(folder, targets[_i].one);
}
END_TEST

Suite *suite_http_regressions(void);
Suite *suite_http_regressions(void)
{
	Suite *s = suite_create("http/regressions");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, seeds_and_regressions_hold, 0, (int)(sizeof(targets) / sizeof(targets[0])));
	suite_add_tcase(s, t);
	return s;
}
