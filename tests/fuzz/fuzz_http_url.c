/* Addresses of HTTP peers: what is taken apart holds no credentials any more, and is the same when it is read again. */
#include "../../plugins/http_url.h"
#include "fuzz.h"

static void no_credentials(const struct http_url *u)
{
	const char *authority = strstr(u->url, "://") + 3;

	FUZZ_CHECK(memchr(authority, '@', strcspn(authority, "/")) == NULL);
	FUZZ_CHECK(authority[0] != '\0' && authority[0] != '/' && authority[0] != ':');
	for (const char *p = u->url; *p; p++)
		FUZZ_CHECK(*p > ' ' && *p < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = fuzz_copy(data, n);
	struct http_url one, two;
	struct err err = { "" };
	struct text t;

	if (http_url_parse(str_make(copy, n), &one, &err)) {
		no_credentials(&one);
		FUZZ_CHECK(
			strlen(one.user) < sizeof(one.user) && strlen(one.password) < sizeof(one.password));
		FUZZ_CHECK(http_url_parse(str_of(one.url), &two, &err));
		FUZZ_CHECK(strcmp(one.url, two.url) == 0 && !two.has_user && one.secure == two.secure);
	} else {
		FUZZ_CHECK(err.text[0] != '\0');
	}
	text_init(&t, 3 * n);
	http_url_encode(&t, str_make(copy, n), ",");
	FUZZ_CHECK(!t.failed && t.n >= n);
	for (size_t i = 0; i < t.n; i++)
		FUZZ_CHECK(strchr("-._~,%", t.p[i]) || (t.p[i] >= '0' && t.p[i] <= '9') ||
			   ((t.p[i] | 0x20) >= 'a' && (t.p[i] | 0x20) <= 'z'));
	text_release(&t);
	free(copy);
	return 0;
}
