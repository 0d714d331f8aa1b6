#include "control/option_mask.h"

#include "control/option_value.h"

#include <string.h>

#define KEY_LOOKED_AT 512u

/* --- keys ---------------------------------------------------------------------------------------------------------- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool mask_key_sounds_secret(struct str key)
{
	static const char *const words[] = { "password", "passwd", "secret", "token", "credential",
		"private-key", "private_key", "privatekey", "apikey", "api-key", "api_key", "accesskey",
		"access-key", "access_key", "authorization" };
	static const char *const ends[] = { ".key", "-key", "_key" };
	char low[KEY_LOOKED_AT + 1];
	size_t n = key.n < KEY_LOOKED_AT ? key.n : KEY_LOOKED_AT;

	for (size_t i = 0; i < n; i++)
		low[i] = lower(key.p[i]);
	low[n] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (memmem(low, n, words[i], strlen(words[i])))
			return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (str_ends(str_make(low, n), str_of(ends[i])))
			return true;
	return false;
}

/* --- values -------------------------------------------------------------------------------------------------------- */

/* Where the authority of a URL at `from` ends. */
static size_t authority_end(struct str s, size_t from)
{
	while (from < s.n && !strchr("/?#, \t\"'", s.p[from]))
		from++;
	return from;
}

bool mask_holds_credentials(struct str value)
{
	const char *at, *from = value.p, *end = value.p + value.n;

	while (value.n && (at = memmem(from, (size_t)(end - from), "://", 3))) {
		size_t begin = (size_t)(at - value.p) + 3, stop = authority_end(value, begin);
		if (memchr(value.p + begin, '@', stop - begin))
			return true;
		from = value.p + stop;
	}
	return false;
}

/* The first byte of what may be credentials: behind "//", else behind the plug-in's name. */
static size_t credentials_from(struct str piece, bool first)
{
	size_t colon = str_find(piece, ':');

	for (size_t i = 0; i + 1 < piece.n; i++)
		if (piece.p[i] == '/' && piece.p[i + 1] == '/')
			return i + 2;
	return first && colon != SIZE_MAX ? colon + 1 : 0;
}

void mask_address(struct text *t, struct str item)
{
	struct str rest = item, piece;

	for (bool first = true; str_next(&rest, '|', &piece); first = false) {
		size_t at = str_rfind(piece, '@'), from = credentials_from(piece, first);
		if (!first)
			text_char(t, '|');
		bool url = from > 1 && piece.p[from - 1] == '/';
		bool path = !url && from < piece.n && piece.p[from] == '/';
		if (at == SIZE_MAX || at < from || path) {
			text_add(t, piece);
			continue;
		}
		text_add(t, str_make(piece.p, from));
		text_addz(t, "***");
		text_add(t, str_make(piece.p + at, piece.n - at));
	}
}

/* outrider.admin.token-file, OUTRIDER_ADMIN_TOKEN_FILE: a path is no secret, and helps. */
static bool names_file(struct str key)
{
	return key.n >= 4 && str_ieq(str_make(key.p + key.n - 4, 4), STR("file"));
}

void mask_value(struct text *t, const struct option_row *row, struct str key, struct str value)
{
	struct str rest = value, item;

	if (row) {
		text_add(t, option_value_shown(row, value));
		return;
	}
	if (value.n && mask_key_sounds_secret(key) && !names_file(key)) {
		text_addz(t, "***");
		return;
	}
	if (str_find(value, '@') == SIZE_MAX) {
		text_add(t, value);
		return;
	}
	for (bool first = true; str_next(&rest, ',', &item); first = false) {
		if (!first)
			text_char(t, ',');
		mask_address(t, item);
	}
}
