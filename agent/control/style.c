#include "control/style.h"

#include "base/json.h"

#include <stdlib.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --- the terminal ------------------------------------------------------------------------------------------------------ */

static bool is_set(const char *z)
{
	return z && z[0];
}

bool style_moves(const struct style_env *env)
{
	return is_set(env->term) && strcmp(env->term, "dumb") != 0;
}

static bool is_utf8(const struct style_env *env)
{
	const char *said = is_set(env->lc_all) ? env->lc_all : is_set(env->lc_ctype) ? env->lc_ctype : env->lang;

	return said && (strcasestr(said, "utf-8") || strcasestr(said, "utf8"));
}

struct style style_from(const struct style_env *env, bool terminal, unsigned width)
{
	return (struct style){
		.colour = terminal && style_moves(env) && !is_set(env->no_colour),
		.utf8 = is_utf8(env),
		.terminal = terminal,
		.width = terminal ? width : 0,
	};
}

struct style_env style_env(void)
{
	return (struct style_env){ getenv("TERM"), getenv("NO_COLOR"), getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG") };
}

struct style style_of(int fd)
{
	struct style_env env = style_env();
	struct winsize w = { 0 };
	bool terminal = isatty(fd) == 1;

	if (!terminal || ioctl(fd, TIOCGWINSZ, &w) != 0 || w.ws_col == 0)
		w.ws_col = 80;
	return style_from(&env, terminal, w.ws_col);
}

/* --- colour ------------------------------------------------------------------------------------------------------------ */

/* The sixteen colours that every terminal lets its user choose; none says black or white, so that both themes can be read. */
static const char *const codes[PAINTS] = {
	[PAINT_NONE] = "", [PAINT_BOLD] = "\033[1m", [PAINT_DIM] = "\033[2m", [PAINT_GOOD] = "\033[32m",
	[PAINT_WARN] = "\033[33m", [PAINT_BAD] = "\033[1;31m", [PAINT_HEAD] = "\033[1;4m", [PAINT_CURSOR] = "\033[7m",
};

void style_begin(struct text *t, const struct style *s, enum paint p)
{
	if (s->colour && p < PAINTS)
		text_addz(t, codes[p]);
}

void style_end(struct text *t, const struct style *s, enum paint p)
{
	if (s->colour && p != PAINT_NONE)
		text_addz(t, "\033[0m");
}

enum paint style_word(struct str word)
{
	static const struct {
		const char *word;
		enum paint paint;
	} rows[] = {
		{ "ok", PAINT_GOOD }, { "up", PAINT_GOOD }, { "closed", PAINT_GOOD }, { "serving", PAINT_GOOD }, { "healthy", PAINT_GOOD },
		{ "ready", PAINT_GOOD }, { "warn", PAINT_WARN }, { "draining", PAINT_WARN }, { "drained", PAINT_WARN }, { "half-open", PAINT_WARN },
		{ "forced-closed", PAINT_WARN }, { "starting", PAINT_WARN }, { "unknown", PAINT_WARN }, { "trial", PAINT_WARN }, { "fail", PAINT_BAD },
		{ "open", PAINT_BAD }, { "forced-open", PAINT_BAD }, { "down", PAINT_BAD }, { "ejected", PAINT_BAD }, { "trouble", PAINT_BAD },
		{ "unhealthy", PAINT_BAD }, { "failed", PAINT_BAD }, { "error", PAINT_BAD },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (str_eq(word, str_of(rows[i].word)))
			return rows[i].paint;
	return PAINT_NONE;
}

/* --- characters ---------------------------------------------------------------------------------------------------------- */

enum glyph { GLYPH_BAD, GLYPH_NONE, GLYPH_ONE, GLYPH_TWO };

/* Sorted; what no row names takes one column. Unicode 15: Cf and Zl, Zp are bad, Mn of the blocks in use go, East Asian W and F. */
static const struct {
	uint32_t first, last;
	uint8_t glyph;
} glyphs[] = {
	{ 0x0000, 0x001f, GLYPH_BAD }, { 0x007f, 0x009f, GLYPH_BAD }, { 0x00ad, 0x00ad, GLYPH_BAD }, { 0x0300, 0x036f, GLYPH_NONE },
	{ 0x0483, 0x0489, GLYPH_NONE }, { 0x0591, 0x05bd, GLYPH_NONE }, { 0x0600, 0x0605, GLYPH_BAD }, { 0x0610, 0x061a, GLYPH_NONE },
	{ 0x061c, 0x061c, GLYPH_BAD }, { 0x064b, 0x065f, GLYPH_NONE }, { 0x0670, 0x0670, GLYPH_NONE }, { 0x1100, 0x115e, GLYPH_TWO },
	{ 0x115f, 0x1160, GLYPH_BAD }, { 0x180b, 0x180f, GLYPH_BAD }, { 0x1ab0, 0x1aff, GLYPH_NONE }, { 0x1dc0, 0x1dff, GLYPH_NONE },
	{ 0x200b, 0x200f, GLYPH_BAD }, { 0x2028, 0x202e, GLYPH_BAD }, { 0x2060, 0x206f, GLYPH_BAD }, { 0x20d0, 0x20ff, GLYPH_NONE },
	{ 0x231a, 0x231b, GLYPH_TWO }, { 0x2e80, 0x303e, GLYPH_TWO }, { 0x3041, 0x3096, GLYPH_TWO }, { 0x3099, 0x309a, GLYPH_NONE },
	{ 0x309b, 0x4dbf, GLYPH_TWO }, { 0x4e00, 0xa4cf, GLYPH_TWO }, { 0xa960, 0xa97c, GLYPH_TWO }, { 0xac00, 0xd7a3, GLYPH_TWO },
	{ 0xe000, 0xf8ff, GLYPH_BAD }, { 0xf900, 0xfaff, GLYPH_TWO }, { 0xfe00, 0xfe0f, GLYPH_NONE }, { 0xfe20, 0xfe2f, GLYPH_NONE },
	{ 0xfe30, 0xfe6f, GLYPH_TWO }, { 0xfeff, 0xfeff, GLYPH_BAD }, { 0xff01, 0xff60, GLYPH_TWO }, { 0xffe0, 0xffe6, GLYPH_TWO },
	{ 0xfff0, 0xfffc, GLYPH_BAD }, { 0xfffe, 0xffff, GLYPH_BAD }, { 0x1d173, 0x1d17a, GLYPH_BAD }, { 0x1f300, 0x1f64f, GLYPH_TWO },
	{ 0x1f680, 0x1f6ff, GLYPH_TWO }, { 0x1f900, 0x1f9ff, GLYPH_TWO }, { 0x20000, 0x3fffd, GLYPH_TWO }, { 0xe0000, 0x10ffff, GLYPH_BAD },
};

static enum glyph glyph_of(uint32_t c)
{
	for (size_t i = 0; i < sizeof(glyphs) / sizeof(glyphs[0]) && c >= glyphs[i].first; i++)
		if (c <= glyphs[i].last)
			return (enum glyph)glyphs[i].glyph;
	return GLYPH_ONE;
}

static uint32_t decode(const unsigned char *p, size_t n)
{
	static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = p[0] & masks[n];

	for (size_t i = 1; i < n; i++)
		c = (c << 6) | (p[i] & 0x3fu);
	return c;
}

struct piece {
	struct str bytes; /* to be written; empty: nothing */
	unsigned columns;
};

/* The next character of *z, which is taken away. */
static struct piece next_piece(const struct style *s, struct str *z)
{
	size_t n = utf8_length(z->p, z->n);
	struct str bytes = str_make(z->p, n ? n : 1);
	enum glyph g = n ? glyph_of(decode((const unsigned char *)z->p, n)) : GLYPH_BAD;

	*z = str_make(z->p + bytes.n, z->n - bytes.n);
	if (g == GLYPH_NONE)
		return (struct piece){ STR(""), 0 };
	if (g == GLYPH_BAD || (bytes.n > 1 && !s->utf8))
		return (struct piece){ STR("?"), 1 };
	return (struct piece){ bytes, g == GLYPH_TWO ? 2 : 1 };
}

unsigned style_columns(const struct style *s, struct str z)
{
	unsigned n = 0;

	while (z.n)
		n += next_piece(s, &z).columns;
	return n;
}

void style_add(struct text *t, const struct style *s, struct str z, enum paint p)
{
	style_begin(t, s, p);
	while (z.n)
		text_add(t, next_piece(s, &z).bytes);
	style_end(t, s, p);
}

unsigned style_cut(struct text *t, const struct style *s, struct str z, unsigned columns)
{
	bool whole = style_columns(s, z) <= columns;
	unsigned room = whole || columns == 0 ? columns : columns - 1, at = 0;

	while (z.n) {
		struct piece c = next_piece(s, &z);
		if (at + c.columns > room)
			break;
		text_add(t, c.bytes);
		at += c.columns;
	}
	if (whole || columns == 0)
		return at;
	text_addz(t, s->utf8 ? "…" : "~");
	return at + 1;
}

void style_blanks(struct text *t, unsigned n)
{
	for (; n; n--)
		text_char(t, ' ');
}

void style_cell(struct text *t, const struct style *s, struct str z, unsigned columns, enum style_align align, enum paint p)
{
	unsigned wide = style_columns(s, z), fill = wide < columns ? columns - wide : 0;

	if (align == STYLE_RIGHT)
		style_blanks(t, fill);
	style_begin(t, s, p);
	unsigned took = style_cut(t, s, z, columns);
	style_end(t, s, p);
	/* A wide character that did not fit leaves a column. */
	style_blanks(t, align == STYLE_RIGHT ? columns - took - fill : columns - took);
}

#define WRAP_ROOM 20u /* columns below which breaking makes nothing better */

void style_wrap(struct text *t, const struct style *s, struct str z, unsigned indent, enum paint p)
{
	unsigned room = s->width >= indent + WRAP_ROOM ? s->width - indent : UINT32_MAX, at = 0;
	struct str word;

	style_begin(t, s, p);
	for (bool first = true; z.n; first = false) {
		size_t end = str_find(z, ' ');
		word = str_make(z.p, end == SIZE_MAX ? z.n : end);
		z = str_make(z.p + word.n + (end != SIZE_MAX), z.n - word.n - (end != SIZE_MAX));
		unsigned n = style_columns(s, word);
		if (at && n >= room - at) {
			text_char(t, '\n');
			style_blanks(t, indent);
			at = 0;
		} else if (!first) {
			text_char(t, ' ');
			at++;
		}
		style_add(t, s, word, PAINT_NONE);
		at += n < room - at ? n : room - at;
	}
	style_end(t, s, p);
}
