/* Authorities: what is accepted can be put together again, and is then read the same. */
#include "fuzz.h"
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = fuzz_copy(data, n), again[512];
	struct str host, host2;
	uint16_t port, port2;

	if (authority_split(str_make(copy, n), &host, &port)) {
		bool v6 = copy[0] == '[';
		FUZZ_CHECK(host.n > 0 && host.n <= 255 && host.p >= copy && host.p + host.n <= copy + n);
		for (size_t i = 0; i < host.n; i++) {
			unsigned char c = (unsigned char)host.p[i];
			FUZZ_CHECK(c > 0x20 && c < 0x7f && c != '@' && c != '/' && c != '%' && c != ',');
			FUZZ_CHECK(v6 || c != ':');
		}
		int len = snprintf(again, sizeof(again), v6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(host),
				   port ? (unsigned)port : 1u);
		FUZZ_CHECK(len > 0 && authority_split(str_make(again, (size_t)len), &host2, &port2));
		FUZZ_CHECK(str_eq(host, host2) && port2 == (port ? port : 1));
	}
	free(copy);
	return 0;
}
