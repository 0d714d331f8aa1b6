/* Reply heads. The input is what an origin sends; a first byte 0x80..0xff is taken off: it chooses limits and the
 * request's method (no reply begins so). */
#include "fuzz_h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const enum http_method methods[] = { METHOD_GET, METHOD_HEAD, METHOD_CONNECT, METHOD_POST };
	struct fuzz_h1 f = { .reply = true, .lim = fuzz_limits(0), .method = METHOD_GET };

	if (n > 0 && (data[0] & 0x80)) {
		f.method = methods[*data & 3];
		f.lim = fuzz_limits(*data++);
		n--;
	}
	fuzz_h1_run(&f, (const char *)data, n);
	return 0;
}
