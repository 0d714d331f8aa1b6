/* What one head costs to parse, in nanoseconds: the best of several rounds, for one thread. Not part of
 * the comparison with other proxies; it tells whether a change to agent/http/ made it slower.
 * Aims: the browser's head 350, the small ones 150. */
#include "base/clock.h"
#include "http/h1.h"

#include <stdio.h>

#define ROUNDS 25
#define LOOPS 20000

static const char browser[] =
	"GET /accounts/10000?expand=quote HTTP/1.1\r\n"
	"Host: accountservice.example.com:8080\r\n"
	"Connection: keep-alive\r\n"
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
	"Safari/537.36\r\n"
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
	"Accept-Encoding: gzip, deflate, br\r\n"
	"Referer: http://accountservice.example.com:8080/\r\n"
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
	"Cache-Control: max-age=0\r\n"
	"Upgrade-Insecure-Requests: 1\r\n"
	"\r\n";

static const char api[] = "GET /quote?strength=4 HTTP/1.1\r\n"
			  "Host: quotes-service:8080\r\n"
			  "User-Agent: Go-http-client/1.1\r\n"
			  "Accept: application/json\r\n"
			  "Accept-Encoding: gzip\r\n"
			  "X-Request-Id: 7f3b0c9a5d1e4f60\r\n"
			  "\r\n";

static const char reply[] = "HTTP/1.1 200 OK\r\n"
			    "Server: nginx/1.22.1\r\n"
			    "Date: Sat, 01 Feb 2025 12:00:00 GMT\r\n"
			    "Content-Type: application/json\r\n"
			    "Content-Length: 128\r\n"
			    "Connection: keep-alive\r\n"
			    "\r\n";

static const struct h1_limits limits = { .head = 65536, .line = 8192, .fields = 100 };

/* A clobber: the compiler must believe that the head is looked at. */
static void use(const void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

static void parse(const char *buf, size_t n, bool is_reply, struct head *h, struct arena *a)
{
	struct h1_parser p;

	h1_parser_init(&p);
	if (is_reply)
		h1_parse_response(&p, h, buf, n, &limits, METHOD_GET, a);
	else
		h1_parse_request(&p, h, buf, n, &limits, a);
	use(h);
}

static void measure(const char *what, const char *buf, size_t n, bool is_reply, unsigned aim)
{
	static struct head h;
	struct arena a;
	usec best = UINT64_MAX;

	arena_init(&a, 65536, NULL, 0);
	for (int round = 0; round < ROUNDS; round++) {
		usec start = clock_now();
		for (int i = 0; i < LOOPS; i++)
			parse(buf, n, is_reply, &h, &a);
		usec took = clock_now() - start;
		if (took < best)
			best = took;
	}
	printf("%-22s %4zu bytes  %2u fields  %6.1f ns  (aim %u)\n", what, n, (unsigned)h.n,
	       (double)best * 1000 / LOOPS, aim);
	arena_release(&a);
}

int main(void)
{
	measure("request, browser", browser, sizeof(browser) - 1, false, 350);
	measure("request, small", api, sizeof(api) - 1, false, 150);
	measure("reply, small", reply, sizeof(reply) - 1, true, 150);
	return 0;
}
