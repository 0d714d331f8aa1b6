/* Stack files: whatever the bytes are, judging ends, findings have a place in the file and print as lines and as JSON, and a file
 * beside itself is judged as well. */
#include "control/stack.h"
#include "fuzz.h"

#define PRINT_MAX (64u << 20)

static uint32_t count_lines(const char *p, size_t n)
{
	uint32_t lines = 1;

	/* All that YAML takes as the end of a line: at most one for each of these bytes. */
	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n' || p[i] == '\r' || (unsigned char)p[i] == 0x85 ||
			 (unsigned char)p[i] == 0xa8 || (unsigned char)p[i] == 0xa9;
	return lines;
}

static void check_findings(const struct findings *f, uint32_t lines)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *one = &f->at[i];
		FUZZ_CHECK(one->line <= lines + 1 && one->text.n > 0 && one->severity < SEVERITIES);
		for (size_t k = 0; k < one->text.n; k++)
			FUZZ_CHECK((unsigned char)one->text.p[k] >= ' ');
		FUZZ_CHECK(i == 0 || strcmp(one->file.p, f->at[i - 1].file.p) > 0 ||
			   one->line >= f->at[i - 1].line);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char tag[] = "TAG=1", port[] = "PORT=8080";
	char *env[] = { tag, port, NULL };
	char *copy = fuzz_copy(data, n);
	struct findings f;
	struct text t;

	findings_init(&f);
	text_init(&t, PRINT_MAX);
	struct stack *s = stack_new(&f, env);
	FUZZ_CHECK(s && stack_add(s, "a.yml", str_make(copy, n)) &&
		   stack_add(s, "b.yml", str_make(copy, n / 2)));
	FUZZ_CHECK(stack_judge(s));
	findings_sort(&f);
	if (memchr(copy, 0, n) == NULL) /* UTF-16 has other lines */
		check_findings(&f, count_lines(copy, n));
	findings_print(&f, &t);
	struct json j = json_begin(&t);
	json_object(&j);
	findings_print_json(&f, &j);
	json_end(&j);
	FUZZ_CHECK(!t.failed);
	text_release(&t);
	stack_free(s);
	findings_release(&f);
	free(copy);
	return 0;
}
