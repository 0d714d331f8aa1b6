#include "http/field.h"

/* Names by a hash of length, first, middle and last byte, free of collisions: two rows that fell into one
 * slot would be a compile error (the initialiser is overridden). A row that is missing fails the unit test. */
#define HASH(len, first, mid, last) (((len) * 35 + (first) * 5 + (mid) * 7 + (last)) & 0xff)
#define ROW(len, first, mid, last, id) [HASH(len, first, mid, last)] = FIELD_##id

static const uint8_t slots[256] = {
	ROW(2, 'b', '3', '3', B3), /* b3 */
	ROW(2, 't', 'e', 'e', TE), /* te */
	ROW(3, 'a', 'g', 'e', AGE), /* age */
	ROW(3, 'v', 'i', 'a', VIA), /* via */
	ROW(4, 'd', 't', 'e', DATE), /* date */
	ROW(4, 'h', 's', 't', HOST), /* host */
	ROW(4, 'v', 'r', 'y', VARY), /* vary */
	ROW(6, 'c', 'k', 'e', COOKIE), /* cookie */
	ROW(6, 'e', 'e', 't', EXPECT), /* expect */
	ROW(6, 'o', 'g', 'n', ORIGIN), /* origin */
	ROW(6, 's', 'v', 'r', SERVER), /* server */
	ROW(7, 't', 'i', 'r', TRAILER), /* trailer */
	ROW(7, 'u', 'r', 'e', UPGRADE), /* upgrade */
	ROW(8, 'l', 't', 'n', LOCATION), /* location */
	ROW(9, 'f', 'a', 'd', FORWARDED), /* forwarded */
	ROW(10, 'c', 'c', 'n', CONNECTION), /* connection */
	ROW(10, 'k', 'a', 'e', KEEP_ALIVE), /* keep-alive */
	ROW(10, 's', 'o', 'e', SET_COOKIE), /* set-cookie */
	ROW(10, 's', 'c', 'n', SOAPACTION), /* soapaction */
	ROW(10, 't', 's', 'e', TRACESTATE), /* tracestate */
	ROW(10, 'u', 'a', 't', USER_AGENT), /* user-agent */
	ROW(10, 'x', 'f', 's', X_B3_FLAGS), /* x-b3-flags */
	ROW(10, 'x', 'r', 'r', X_OUTRIDER), /* x-outrider */
	ROW(11, 'r', '-', 'r', RETRY_AFTER), /* retry-after */
	ROW(11, 't', 'p', 't', TRACEPARENT), /* traceparent */
	ROW(11, 'x', 's', 'd', X_B3_SPANID), /* x-b3-spanid */
	ROW(12, 'c', 't', 'e', CONTENT_TYPE), /* content-type */
	ROW(12, 'x', 'a', 'd', X_B3_SAMPLED), /* x-b3-sampled */
	ROW(12, 'x', 'r', 'd', X_B3_TRACEID), /* x-b3-traceid */
	ROW(12, 'x', 'e', 'd', X_REQUEST_ID), /* x-request-id */
	ROW(13, 'a', 'i', 'n', AUTHORIZATION), /* authorization */
	ROW(13, 'c', 'c', 'l', CACHE_CONTROL), /* cache-control */
	ROW(14, 'c', '-', 'h', CONTENT_LENGTH), /* content-length */
	ROW(15, 'x', 'r', 'r', X_FORWARDED_FOR), /* x-forwarded-for */
	ROW(15, 'x', 'd', 'k', X_OUTRIDER_MARK), /* x-outrider-mark */
	ROW(16, 'p', 'n', 'n', PROXY_CONNECTION), /* proxy-connection */
	ROW(16, 'x', 'd', 't', X_FORWARDED_HOST), /* x-forwarded-host */
	ROW(16, 'x', 'e', 't', X_OUTRIDER_AGENT), /* x-outrider-agent */
	ROW(16, 'x', 'e', 'o', X_OUTRIDER_HELLO), /* x-outrider-hello */
	ROW(17, 't', '-', 'g', TRANSFER_ENCODING), /* transfer-encoding */
	ROW(17, 'x', 'e', 'd', X_B3_PARENTSPANID), /* x-b3-parentspanid */
	ROW(17, 'x', 'd', 'o', X_FORWARDED_PROTO), /* x-forwarded-proto */
	ROW(17, 'x', 'e', 'n', X_OUTRIDER_REASON), /* x-outrider-reason */
	ROW(18, 'p', 'h', 'e', PROXY_AUTHENTICATE), /* proxy-authenticate */
	ROW(18, 'x', 'r', 't', X_OUTRIDER_ATTEMPT), /* x-outrider-attempt */
	ROW(18, 'x', 'r', 's', X_OUTRIDER_RETRIES), /* x-outrider-retries */
	ROW(19, 'p', 'h', 'n', PROXY_AUTHORIZATION), /* proxy-authorization */
	ROW(19, 'x', 'r', 'y', X_OUTRIDER_PRIORITY), /* x-outrider-priority */
	ROW(22, 'x', 'd', 's', X_OUTRIDER_DEADLINE_MS), /* x-outrider-deadline-ms */
	ROW(25, 'p', 't', 'o', PROXY_AUTHENTICATION_INFO), /* proxy-authentication-info */
	ROW(30, 'x', 'd', 's', X_ENVOY_TIMEOUT), /* x-envoy-expected-rq-timeout-ms */
};

#define NAME_MAX_BYTES 32

static const struct {
	uint8_t n;
	char z[NAME_MAX_BYTES];
} names[FIELD_IDS] = {
#define X(id, name) [FIELD_##id] = { sizeof(name) - 1, name },
	HTTP_FIELDS(X)
#undef X
};

/* Is the token at p this lower-case name? OR 0x20 folds letters and leaves '-' and digits alone; no
 * other tchar becomes one of them. */
static bool token_is(const char *p, const char *lower, size_t n)
{
	const uint64_t blanks = 0x2020202020202020u;
	uint64_t a, b;

	if (n < sizeof(a)) {
		for (size_t i = 0; i < n; i++) {
			if ((p[i] | 0x20) != lower[i])
				return false;
		}
		return true;
	}
	for (size_t i = 0;; i += sizeof(a)) {
		if (i + sizeof(a) > n)
			i = n - sizeof(a); /* the last eight may overlap those before */
		memcpy(&a, p + i, sizeof(a));
		memcpy(&b, lower + i, sizeof(b));
		if ((a | blanks) != b)
			return false;
		if (i + sizeof(a) == n)
			return true;
	}
}

enum field_id field_lookup_token(const char *p, size_t n)
{
	if (n == 0 || n >= NAME_MAX_BYTES)
		return FIELD_OTHER;
	unsigned first = (unsigned char)p[0] | 0x20u;
	unsigned mid = (unsigned char)p[n / 2] | 0x20u;
	unsigned last = (unsigned char)p[n - 1] | 0x20u;
	unsigned id = slots[HASH((unsigned)n, first, mid, last)];

	if (names[id].n != n || !token_is(p, names[id].z, n))
		return FIELD_OTHER;
	return (enum field_id)id;
}

enum field_id field_lookup(struct str name)
{
	if (name.n == 0 || octets_span(name.p, name.p + name.n, OCTET_TOKEN) != name.p + name.n)
		return FIELD_OTHER;
	return field_lookup_token(name.p, name.n);
}

struct str field_id_name(enum field_id id)
{
	unsigned i = (unsigned)id;

	if (i >= FIELD_IDS)
		i = FIELD_OTHER;
	return str_make(names[i].z, names[i].n);
}

enum http_method method_lookup(struct str m)
{
	static const struct {
		char z[8];
		uint8_t n, method;
	} rows[] = {
		{ "GET", 3, METHOD_GET },         { "POST", 4, METHOD_POST },     { "PUT", 3, METHOD_PUT },
		{ "HEAD", 4, METHOD_HEAD },       { "DELETE", 6, METHOD_DELETE }, { "PATCH", 5, METHOD_PATCH },
		{ "OPTIONS", 7, METHOD_OPTIONS }, { "TRACE", 5, METHOD_TRACE },   { "CONNECT", 7, METHOD_CONNECT },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (m.n == rows[i].n && memcmp(m.p, rows[i].z, m.n) == 0)
			return (enum http_method)rows[i].method;
	}
	return METHOD_OTHER;
}

bool method_idempotent(enum http_method m)
{
	const unsigned safe = 1u << METHOD_GET | 1u << METHOD_HEAD | 1u << METHOD_PUT | 1u << METHOD_DELETE |
			      1u << METHOD_OPTIONS | 1u << METHOD_TRACE;

	return (unsigned)m < 32 && (safe >> (unsigned)m & 1) != 0;
}
