/* Request heads. The input is what a client sends; limits are tight when it begins with a byte 0x80..0xff, which is taken
 * off (no request begins so). */
#include "fuzz_h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_h1 f = { .lim = fuzz_limits(0) };

	if (n > 0 && (data[0] & 0x80)) {
		f.lim = fuzz_limits(*data++);
		n--;
	}
	fuzz_h1_run(&f, (const char *)data, n);
	return 0;
}
