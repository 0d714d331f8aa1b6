#include "span_text.h"

#include "base/json.h"

/* --- numbers --------------------------------------------------------------------------------------------------------------- */

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354"
			    "5556575859606162636465666768697071727374757677787980818283848586878889909192939495969798"
			    "99";

char *span_put_u64(char *p, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	for (; v >= 100; v /= 100)
		memcpy(digits + (at -= 2), pairs + v % 100 * 2, 2);
	if (v >= 10)
		memcpy(digits + (at -= 2), pairs + v * 2, 2);
	else
		digits[--at] = (char)('0' + v);
	memcpy(p, digits + at, sizeof(digits) - at);
	return p + sizeof(digits) - at;
}

/* Eight digits at a time: each nibble into a byte of its own, then '0' or 'a' - 10 added to all of them at once. */
static uint64_t hex_of(uint32_t v)
{
	uint64_t x = v;

	x = ((x << 16) | x) & 0x0000ffff0000ffffu;
	x = ((x << 8) | x) & 0x00ff00ff00ff00ffu;
	x = ((x << 4) | x) & 0x0f0f0f0f0f0f0f0fu;
	uint64_t letters = ((x + 0x0606060606060606u) >> 4) & 0x0101010101010101u;
	return __builtin_bswap64(x + 0x3030303030303030u + letters * ('a' - '0' - 10));
}

char *span_put_hex(char *p, uint64_t v)
{
	uint64_t high = hex_of((uint32_t)(v >> 32)), low = hex_of((uint32_t)v);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	high = __builtin_bswap64(high);
	low = __builtin_bswap64(low);
#endif
	memcpy(p, &high, 8);
	memcpy(p + 8, &low, 8);
	return p + 16;
}

/* --- strings --------------------------------------------------------------------------------------------------------------- */

#define EACH(byte) (0x0101010101010101u * (byte))

/* Are the eight bytes at p of those that stand for themselves? A wrong no costs time only. */
static bool eight_plain(const char *p)
{
	uint64_t v, quote, slash;

	memcpy(&v, p, 8);
	quote = v ^ EACH('"');
	slash = v ^ EACH('\\');
	uint64_t low = (v - EACH(0x20u)) | (quote - EACH(1u)) | (slash - EACH(1u));
	return ((low | v) & EACH(0x80u)) == 0;
}

static char *put_escape(char *p, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = c ? strchr(from, c) : NULL;

	*p++ = '\\';
	if (at) {
		*p++ = to[at - from];
		return p;
	}
	p = SPAN_PUT(p, "u00");
	*p++ = hex[c >> 4];
	*p++ = hex[c & 15];
	return p;
}

static struct str cut(struct str s)
{
	if (s.n <= SPAN_VALUE_MAX)
		return s;
	size_t n = SPAN_VALUE_MAX;
	while (n > SPAN_VALUE_MAX - 4 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return str_make(s.p, n);
}

char *span_put_json(char *p, struct str s)
{
	s = cut(s);
	for (size_t at = 0; at < s.n;) {
		if (at + 8 <= s.n && eight_plain(s.p + at)) {
			memcpy(p, s.p + at, 8);
			p += 8;
			at += 8;
			continue;
		}
		unsigned char c = (unsigned char)s.p[at];
		if (c < 0x20 || c == '"' || c == '\\') {
			p = put_escape(p, c);
			at++;
			continue;
		}
		size_t n = c < 0x80 ? 1 : utf8_length(s.p + at, s.n - at);
		if (n == 0) {
			p = SPAN_PUT(p, "\xef\xbf\xbd");
			at++;
			continue;
		}
		memcpy(p, s.p + at, n);
		p += n;
		at += n;
	}
	return p;
}

/* --- addresses --------------------------------------------------------------------------------------------------------------- */

static char *put_v4(char *p, const uint8_t *ip)
{
	for (int i = 0; i < 4; i++) {
		if (i)
			*p++ = '.';
		p = span_put_u64(p, ip[i]);
	}
	return p;
}

static char *put_group(char *p, unsigned v)
{
	static const char hex[] = "0123456789abcdef";

	for (int shift = 12; shift >= 0; shift -= 4)
		if (shift == 0 || v >> shift)
			*p++ = hex[v >> shift & 15];
	return p;
}

/* The first of the longest runs of two and more groups that are zero: *from is 8 when there is none. */
static void longest_zeros(const unsigned group[8], int *from, int *n)
{
	*from = 8;
	*n = 1;
	for (int i = 0; i < 8; i++) {
		int k = 0;
		while (i + k < 8 && group[i + k] == 0)
			k++;
		if (k > *n) {
			*from = i;
			*n = k;
		}
	}
}

static char *put_v6(char *p, const uint8_t *ip)
{
	unsigned group[8];
	int from, n;

	for (int i = 0; i < 8; i++)
		group[i] = (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
	longest_zeros(group, &from, &n);
	for (int i = 0; i < 8; i++) {
		if (i == from) {
			p = SPAN_PUT(p, "::");
			i += n - 1;
			continue;
		}
		if (i && i != from + n)
			*p++ = ':';
		p = put_group(p, group[i]);
	}
	return p;
}

char *span_put_ip(char *p, const struct span_peer *peer)
{
	return peer->family == 6 ? put_v6(p, peer->ip) : put_v4(p, peer->ip);
}
