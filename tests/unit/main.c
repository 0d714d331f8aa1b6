/* Runs every suite of tests/unit: one for each test_<name>.c, found by the Makefile.
 *
 *     unit            all of them in one process
 *     unit NAME …     these, e.g. `unit net_resolve` for test_net_resolve.c
 *     unit --names    what there is, a line each: tests/check/suites.py gives each a process of its own
 *
 * CK_FORK=no runs all tests in one process (for a debugger). */
#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE(name) Suite *suite_##name(void);
#include "unit_suites.h"
#undef SUITE

static const struct {
	const char *name;
	Suite *(*make)(void);
} suites[] = {
#define SUITE(name) { #name, suite_##name },
#include "unit_suites.h"
#undef SUITE
};

#define SUITES (sizeof(suites) / sizeof(suites[0]))

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 1;
}

static int names(void)
{
	for (size_t i = 0; i < SUITES; i++)
		puts(suites[i].name);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN); /* as in the program: a peer that left shows as EPIPE */
	if (argc == 2 && !strcmp(argv[1], "--names"))
		return names();

	SRunner *runner = srunner_create(NULL);
	int added = 0;
	for (size_t i = 0; i < SUITES; i++) {
		if (!wanted(suites[i].name, argc, argv))
			continue;
		srunner_add_suite(runner, suites[i].make());
		added++;
	}
	srunner_run_all(runner, CK_ENV);

	int run = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (argc > 1 && added != argc - 1) {
		fprintf(stderr, "unit: no such suite; `unit --names` lists them\n");
		return EXIT_FAILURE;
	}
	printf("%d passed, %d failed, 0 skipped\n", run - failed, failed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
