/* http/octets: the table of classes, computed again, and the scans over runs at every length and offset. */
#include "http/octets.h"

#include <check.h>

static unsigned classes_of(unsigned c)
{
	bool digit = c >= '0' && c <= '9', alpha = (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80;
	unsigned bits = 0;

	if (digit || alpha || (c && c < 0x80 && strchr("!#$%&'*+-.^_`|~", (int)c)))
		bits |= OCTET_TOKEN;
	if (c == '\t' || (c >= 0x20 && c != 0x7f))
		bits |= OCTET_TEXT;
	if (c > 0x20 && c < 0x7f && c != '#')
		bits |= OCTET_TARGET;
	if (digit || alpha || (c && c < 0x80 && strchr("-._~", (int)c)))
		bits |= OCTET_HOST;
	if (digit || (alpha && (c | 0x20) <= 'f'))
		bits |= OCTET_HEX;
	if (!(bits & OCTET_TARGET) || strchr("%\\.?", (int)c))
		bits |= OCTET_PATH_STOP;
	return bits;
}

START_TEST(table_is_what_the_grammar_says)
{
	for (unsigned c = 0; c < 256; c++)
		ck_assert_msg(http_octets[c] == classes_of(c), "byte %02x: %02x", c, http_octets[c]);
}
END_TEST

/* Every byte at every place of a run of up to 40: the scan stops exactly there, or not. */
static void stops(const char *(*scan)(const char *, const char *), unsigned klass, unsigned c)
{
	char buf[40];

	for (size_t n = 1; n <= sizeof(buf); n += 13) {
		for (size_t at = 0; at < n; at++) {
			memset(buf, 'a', sizeof(buf));
			buf[at] = (char)c;
			const char *want = buf + ((classes_of(c) & klass) ? n : at);
			ck_assert_msg(scan(buf, buf + n) == want, "byte %02x at %zu of %zu", c, at, n);
		}
	}
}

START_TEST(scans_stop_at_the_first_odd_byte)
{
	for (unsigned c = 0; c < 256; c++) {
		stops(octets_text, OCTET_TEXT, c);
		stops(octets_target, OCTET_TARGET, c);
		stops(octets_token, OCTET_TOKEN, c);
	}
}
END_TEST

Suite *suite_http_octets(void);
Suite *suite_http_octets(void)
{
	Suite *s = suite_create("http/octets");
	TCase *t = tcase_create("all");
	tcase_add_test(t, table_is_what_the_grammar_says);
	tcase_add_test(t, scans_stop_at_the_first_odd_byte);
	suite_add_tcase(s, t);
	return s;
}
