/* What the fuzz targets share. Each tests/fuzz/fuzz_NAME.c is one libFuzzer target; it aborts when a property
 * does not hold. tests/unit/test_http_regressions.c runs the same code over the seeds and over what was once
 * found, so that `make check` needs no fuzzer; with FUZZ_STANDALONE a target is a program that takes files. */
#ifndef OUTRIDER_TESTS_FUZZ_H
#define OUTRIDER_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#if defined(__has_feature) && !defined(FUZZ_IN_UNIT)
#if __has_feature(address_sanitizer)
/* These targets free much: without a bound the quarantine alone passes the fuzzer's memory limit. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=16";
}
#endif
#endif

/* A property of the code under test. */
#define FUZZ_CHECK(cond)                                                                                     \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);            \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* A copy of exactly n bytes, so that a read beyond it is seen. Never NULL. */
static inline char *fuzz_copy(const void *data, size_t n)
{
	char *p = malloc(n ? n : 1);

	if (!p)
		abort();
	for (size_t i = 0; i < n; i++)
		p[i] = ((const char *)data)[i];
	return p;
}

#ifdef FUZZ_STANDALONE
int main(int argc, char **argv)
{
	static uint8_t buf[1 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		if (!f) {
			perror(argv[i]);
			return 1;
		}
		size_t n = fread(buf, 1, sizeof(buf), f);
		fclose(f);
		LLVMFuzzerTestOneInput(buf, n);
	}
	return 0;
}
#endif

#endif
