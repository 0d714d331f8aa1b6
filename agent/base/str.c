#include "base/str.h"

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* n bytes at a and b, ASCII case folded. */
static bool fold_eq(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (lower((unsigned char)a[i]) != lower((unsigned char)b[i]))
			return false;
	}
	return true;
}

bool str_ieq(struct str a, struct str b)
{
	return a.n == b.n && fold_eq(a.p, b.p, a.n);
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_make(s.p, prefix.n), prefix);
}

bool str_istarts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && fold_eq(s.p, prefix.p, prefix.n);
}

bool str_ends(struct str s, struct str suffix)
{
	/* An empty suffix is answered first: s.p may be NULL, and NULL + 0 is no arithmetic for C. */
	if (suffix.n == 0)
		return true;
	return s.n >= suffix.n && memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0;
}

struct str str_trim(struct str s)
{
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	while (s.n && is_blank(*s.p)) {
		s.p++;
		s.n--;
	}
	return s;
}

static bool is_host_byte(char c)
{
	unsigned char l = lower((unsigned char)c);
	return (l >= 'a' && l <= 'z') || (l >= '0' && l <= '9') || l == '-' || l == '_';
}

bool str_host_fits(struct str pattern, struct str host)
{
	if (!str_starts(pattern, STR("*.")))
		return pattern.n && str_ieq(pattern, host);
	if (pattern.n < 3 || host.n < pattern.n)
		return false;
	size_t below = host.n - (pattern.n - 1); /* bytes for the star */
	if (!fold_eq(host.p + below, pattern.p + 1, pattern.n - 1))
		return false;
	for (size_t i = 0; i < below; i++)
		if (!is_host_byte(host.p[i]) &&
			(host.p[i] != '.' || i == 0 || host.p[i - 1] == '.' || i + 1 == below))
			return false;
	return true;
}

/* A `rest` that has become {NULL, 0} is exhausted; one that is empty but has an address still holds the
 * empty piece behind a last separator. */
bool str_next(struct str *rest, char sep, struct str *piece)
{
	if (!rest->p)
		return false;

	size_t at = str_find(*rest, sep);
	if (at == SIZE_MAX) {
		*piece = str_trim(*rest);
		*rest = str_make(NULL, 0);
		return true;
	}
	*piece = str_trim(str_make(rest->p, at));
	*rest = str_make(rest->p + at + 1, rest->n - at - 1);
	return true;
}

size_t str_find(struct str s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t str_rfind(struct str s, char c)
{
	const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;
	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

bool str_u64(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(s.p[i] - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return true;
}

bool str_copy(struct str s, char *dst, size_t cap)
{
	size_t n = s.n < cap ? s.n : cap - 1;

	if (n)
		memcpy(dst, s.p, n);
	dst[n] = '\0';
	return n == s.n;
}

__extension__ typedef unsigned __int128 u128;

/* Both halves of a 128-bit product folded: every bit of a and b reaches every bit of the result. */
static uint64_t fold_mul(uint64_t a, uint64_t b)
{
	u128 m = (u128)a * b;
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t str_hash(struct str s, uint64_t seed)
{
	const uint64_t k1 = 0x9e3779b97f4a7c15u, k2 = 0xd1b54a32d192ed03u;
	uint64_t h = seed ^ fold_mul((uint64_t)s.n ^ k1, k2);
	size_t at = 0;

	while (at < s.n) {
		uint64_t word = 0;
		size_t n = s.n - at < sizeof(word) ? s.n - at : sizeof(word);
		memcpy(&word, s.p + at, n);
		h = fold_mul(h ^ word ^ k1, k2 ^ (h >> 32));
		at += n;
	}
	return fold_mul(h ^ k2, k1);
}
