#include "control/app_level.h"

#define WITHIN 160u /* bytes of a line where its level stands, if anywhere */

static const struct {
	struct str word;
	enum log_level level;
	bool text; /* means a level also where nobody says that it is one, in capitals or brackets */
} words[] = {
	{ { "error", 5 }, LEVEL_ERROR, true },
	{ { "warn", 4 }, LEVEL_WARN, true },
	{ { "warning", 7 }, LEVEL_WARN, true },
	{ { "info", 4 }, LEVEL_INFO, true },
	{ { "debug", 5 }, LEVEL_DEBUG, true },
	{ { "trace", 5 }, LEVEL_DEBUG, true },
	{ { "fatal", 5 }, LEVEL_ERROR, true },
	{ { "critical", 8 }, LEVEL_ERROR, true },
	{ { "crit", 4 }, LEVEL_ERROR, true },
	{ { "severe", 6 }, LEVEL_ERROR, true },
	{ { "panic", 5 }, LEVEL_ERROR, true },
	{ { "emerg", 5 }, LEVEL_ERROR, true },
	{ { "emergency", 9 }, LEVEL_ERROR, true },
	{ { "alert", 5 }, LEVEL_ERROR, true },
	{ { "notice", 6 }, LEVEL_INFO, true },
	{ { "err", 3 }, LEVEL_ERROR, true },
	{ { "dpanic", 6 }, LEVEL_ERROR, false },
	{ { "information", 11 }, LEVEL_INFO, false },
	{ { "informational", 13 }, LEVEL_INFO, false },
	{ { "config", 6 }, LEVEL_INFO, false },
	{ { "default", 7 }, LEVEL_INFO, false },
	{ { "verbose", 7 }, LEVEL_DEBUG, false },
	{ { "fine", 4 }, LEVEL_DEBUG, false },
	{ { "finer", 5 }, LEVEL_DEBUG, false },
	{ { "finest", 6 }, LEVEL_DEBUG, false },
};

static size_t row_of(struct str word)
{
	size_t i = 0;
	while (i < sizeof(words) / sizeof(words[0]) && !str_ieq(words[i].word, word))
		i++;
	return i;
}

static bool level_number(uint64_t n, enum log_level *ret)
{
	if (n >= 10 &&
		n <= 99) /* bunyan, pino: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal; Python counts alike */
		*ret = n >= 50 ? LEVEL_ERROR : n >= 40 ? LEVEL_WARN : n >= 30 ? LEVEL_INFO : LEVEL_DEBUG;
	else if (n <= 7) /* RFC 5424, table 2 */
		*ret = n <= 3 ? LEVEL_ERROR : n == 4 ? LEVEL_WARN : n <= 6 ? LEVEL_INFO : LEVEL_DEBUG;
	else
		return false;
	return true;
}

bool app_level_word(struct str word, enum log_level *ret)
{
	uint64_t n;

	if (str_u64(word, &n))
		return level_number(n, ret);
	size_t i = row_of(word);
	if (i == sizeof(words) / sizeof(words[0]))
		return false;
	*ret = words[i].level;
	return true;
}

static bool is_letter(char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_capital(struct str w)
{
	for (size_t i = 0; i < w.n; i++)
		if (w.p[i] < 'A' || w.p[i] > 'Z')
			return false;
	return true;
}

/* What stands at both sides of a word for it to be one: not part of a longer name, of a path, or of an address. */
static bool stands_alone(struct str line, size_t at, size_t n)
{
	static const char before[] = " \t[(|<:,;\"'", behind[] = " \t])|>:,;\"'";
	char b = at ? line.p[at - 1] : ' ', e = at + n < line.n ? line.p[at + n] : ' ';

	return b && e && strchr(before, b) && strchr(behind, e);
}

/* level=warn, "severity": "WARN" and the like: the word is a level whatever its case. */
static bool is_named(struct str line, size_t at)
{
	static const struct str names[] = { { "level", 5 }, { "severity", 8 }, { "lvl", 3 } };

	while (at && (line.p[at - 1] == '"' || line.p[at - 1] == '\''))
		at--;
	if (!at || line.p[at - 1] != '=')
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (at > names[i].n && str_ieq(str_make(line.p + at - 1 - names[i].n, names[i].n), names[i]))
			return true;
	return false;
}

static bool is_bracketed(struct str line, size_t at, size_t n)
{
	return at && line.p[at - 1] == '[' && at + n < line.n && line.p[at + n] == ']';
}

bool app_level_find(struct str line, enum log_level *ret)
{
	struct str s = str_make(line.p, line.n < WITHIN ? line.n : WITHIN);

	for (size_t at = 0, n; at < s.n; at += n ? n : 1) {
		n = 0;
		while (at + n < s.n && is_letter(s.p[at + n]))
			n++;
		struct str word = str_make(s.p + at, n);
		size_t i = n >= 3 && n <= 13 ? row_of(word) : sizeof(words) / sizeof(words[0]);
		if (i == sizeof(words) / sizeof(words[0]))
			continue;
		bool as_text = words[i].text &&
			       ((is_capital(word) && stands_alone(s, at, n)) || is_bracketed(s, at, n));
		if (!as_text && !is_named(s, at))
			continue;
		*ret = words[i].level;
		return true;
	}
	return false;
}
