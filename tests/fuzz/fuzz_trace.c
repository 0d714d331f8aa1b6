/* Trace fields of a request: whatever they say, what is read can be written, and read again as the same. */
#include "http/trace.h"

#include <stdlib.h>

static void again(const struct trace_context *t)
{
	char room[TRACE_WRITE_MAX];
	struct trace_context back;
	char *end = trace_write(t, TRACE_B3, room);

	if ((size_t)(end - room) > sizeof(room))
		abort();
	if (t->decision == TRACE_DEFER && !trace_has_ids(t))
		return;
	if (!trace_read_b3(str_make(room + 4, (size_t)(end - room) - 6), &back) || back.lo != t->lo || back.span != t->span || back.decision != t->decision)
		abort();
	if (trace_write(t, TRACE_KINDS, room) > room + sizeof(room))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str s = str_make((const char *)data, n);
	struct trace_context t;
	uint64_t hi, lo;

	if (trace_read_b3(s, &t))
		again(&t);
	if (trace_read_w3c(s, &t))
		again(&t);
	(void)trace_id_parse(s, &hi, &lo);
	return 0;
}
