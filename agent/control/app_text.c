#include "control/app_text.h"

#include "base/json.h"

#define ESC 0x1b
#define BEL 0x07
#define REPLACEMENT STR("\xef\xbf\xbd")

static unsigned char at(struct str s, size_t i)
{
	return i < s.n ? (unsigned char)s.p[i] : 0;
}

/* ESC [ parameters, intermediates, a final byte (ECMA-48 5.4). What is cut takes all that fits the form. */
static size_t csi_length(struct str s)
{
	size_t i = 2;

	while (at(s, i) >= 0x30 && at(s, i) <= 0x3f)
		i++;
	while (at(s, i) >= 0x20 && at(s, i) <= 0x2f)
		i++;
	return at(s, i) >= 0x40 && at(s, i) <= 0x7e ? i + 1 : i;
}

/* OSC, DCS, SOS, PM, APC: until ST (ESC \) or BEL. One without an end hides nothing: only its beginning is taken. */
static size_t string_length(struct str s)
{
	for (size_t i = 2; i < s.n; i++) {
		if (at(s, i) == BEL)
			return i + 1;
		if (at(s, i) == ESC)
			return at(s, i + 1) == '\\' ? i + 2 : 2;
	}
	return 2;
}

/* Bytes of the sequence that begins with the ESC at s. */
static size_t sequence_length(struct str s)
{
	size_t i = 1;

	switch (at(s, 1)) {
	case '[':
		return csi_length(s);
	case ']':
	case 'P':
	case 'X':
	case '^':
	case '_':
		return string_length(s);
	default:
		break;
	}
	while (at(s, i) >= 0x20 && at(s, i) <= 0x2f)
		i++;
	return at(s, i) >= 0x30 && at(s, i) <= 0x7e ? i + 1 : i;
}

static bool is_colour(struct str sequence)
{
	return sequence.n >= 3 && sequence.p[1] == '[' && sequence.p[sequence.n - 1] == 'm';
}

/* Length of the character at s when it may be shown as it is; 0: it may not. */
static size_t plain_length(struct str s)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n;

	if (c < 0x80)
		return (c >= 0x20 && c != 0x7f) || c == '\t';
	n = utf8_length(s.p, s.n);
	return n == 2 && c == 0xc2 && at(s, 1) < 0xa0 ? 0 : n; /* C1: U+0080 to U+009F */
}

/* Bytes of what is no plain character; what stands for it is added. */
static size_t clean_one(struct text *t, struct str s, bool colours)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c == ESC ? sequence_length(s) : 1;

	if (c == ESC) {
		if (colours && is_colour(str_make(s.p, n)))
			text_add(t, str_make(s.p, n));
		return n;
	}
	text_add(t, c == '\r' ? STR(" ") : REPLACEMENT);
	return c >= 0x80 && utf8_length(s.p, s.n) ? 2 : 1;
}

void app_text_clean(struct text *t, struct str s, bool colours)
{
	size_t from = 0, i = 0;

	while (i < s.n) {
		size_t n = plain_length(str_make(s.p + i, s.n - i));
		if (n) {
			i += n;
			continue;
		}
		text_add(t, str_make(s.p + from, i - from));
		i += clean_one(t, str_make(s.p + i, s.n - i), colours);
		from = i;
	}
	text_add(t, str_make(s.p + from, i - from));
}

bool app_text_is_clean(struct str s)
{
	for (size_t i = 0, n; i < s.n; i += n) {
		n = plain_length(str_make(s.p + i, s.n - i));
		if (!n)
			return false;
	}
	return true;
}
