/* Which bytes may stand where in an HTTP/1 head: one table of classes (RFC 9110 section 5.6.2, RFC 3986),
 * and scans over runs of such bytes that take 16 at a time where the machine can. Private to http/.
 * Thread: pure, any. */
#ifndef OUTRIDER_HTTP_OCTETS_H
#define OUTRIDER_HTTP_OCTETS_H

#include "base/str.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { /* classes of a byte */
	OCTET_TOKEN = 1,      /* tchar: methods, names of fields */
	OCTET_TEXT = 2,       /* field values and reason phrases: HT, SP, visible, obs-text */
	OCTET_TARGET = 4,     /* request targets: visible ASCII without '#' */
	OCTET_HOST = 8,       /* names of hosts; the same set is RFC 3986's unreserved */
	OCTET_HEX = 16,       /* hexadecimal digits */
	OCTET_PATH_STOP = 32  /* what path_normalise() must look at: % \ . ? and bytes that no path has */
};

extern const uint8_t http_octets[256];

static inline bool octet_is(char c, unsigned classes)
{
	return (http_octets[(unsigned char)c] & classes) != 0;
}

/* The first byte of [p, end) that is not of the class; end when all are. */
static inline const char *octets_span(const char *p, const char *end, unsigned klass)
{
	while (p < end && octet_is(*p, klass))
		p++;
	return p;
}

static inline unsigned hex_value(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

#ifdef __SSE2__

/* One bit per byte that is no OCTET_TEXT. */
static inline unsigned octets_not_text(__m128i v)
{
	__m128i space = _mm_set1_epi8(0x20);
	__m128i low = _mm_cmpeq_epi8(_mm_max_epu8(v, space), v); /* ff where c >= 0x20, unsigned */
	__m128i ok = _mm_or_si128(low, _mm_cmpeq_epi8(v, _mm_set1_epi8('\t')));
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));

	return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(del, ok)) ^ 0xffffu;
}

/* One bit per byte that is no OCTET_TARGET. */
static inline unsigned octets_not_target(__m128i v)
{
	__m128i ok = _mm_cmpgt_epi8(v, _mm_set1_epi8(0x20)); /* signed: obs-text is negative */
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
	__m128i hash = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));

	return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(_mm_or_si128(del, hash), ok)) ^ 0xffffu;
}

/* One bit per byte that surely may stand in a name: letters, digits, '-', '_'. The rarer ones
 * are left to the table. */
static inline unsigned octets_common_name(__m128i v)
{
	__m128i fold = _mm_or_si128(v, _mm_set1_epi8(0x20));
	__m128i alpha = _mm_and_si128(_mm_cmpgt_epi8(fold, _mm_set1_epi8('a' - 1)),
				      _mm_cmplt_epi8(fold, _mm_set1_epi8('z' + 1)));
	__m128i digit = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('0' - 1)),
				      _mm_cmplt_epi8(v, _mm_set1_epi8('9' + 1)));
	__m128i dash = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('-')),
				    _mm_cmpeq_epi8(v, _mm_set1_epi8('_')));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(alpha, digit), dash));
}

static inline __m128i octets_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

#endif

/* The end of the run of text (field value bytes) that begins at p. */
static inline const char *octets_text(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		unsigned bad = octets_not_text(octets_load(p));
		if (bad)
			return p + __builtin_ctz(bad);
	}
#endif
	return octets_span(p, end, OCTET_TEXT);
}

/* The end of the run of request target bytes that begins at p. */
static inline const char *octets_target(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		unsigned bad = octets_not_target(octets_load(p));
		if (bad)
			return p + __builtin_ctz(bad);
	}
#endif
	return octets_span(p, end, OCTET_TARGET);
}

/* The end of the token that begins at p. */
static inline const char *octets_token(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		unsigned odd = octets_common_name(octets_load(p)) ^ 0xffffu;
		if (!odd)
			continue;
		p += __builtin_ctz(odd);
		break;
	}
#endif
	return octets_span(p, end, OCTET_TOKEN);
}

#endif
