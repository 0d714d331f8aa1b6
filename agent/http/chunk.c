#include "http/field.h"
#include "http/h1.h"

/* RFC 9112 section 7.1:
 *
 *     chunk   = 1*HEXDIG *( BWS ";" … ) CRLF data CRLF        last-chunk = 1*("0") … CRLF
 *     trailer = *( field-line CRLF ) CRLF
 *
 * One state per place between two bytes; only data is taken in runs. */
enum {
	AT_SIZE,       /* hexadecimal digits */
	AT_BLANK,      /* blanks after the size: a ';' must come */
	AT_EXT,        /* extension */
	AT_SIZE_LF,    /* LF behind a size line's CR */
	AT_DATA,
	AT_DATA_CR,    /* CR behind the data */
	AT_DATA_LF,
	AT_LINE,       /* start of a trailer line, or the last CR */
	AT_TRAILER,    /* inside a trailer line */
	AT_TRAILER_LF,
	AT_LAST_LF,
	AT_END,
	AT_BAD
};

void chunk_init(struct chunk_decoder *d)
{
	*d = (struct chunk_decoder){ 0 };
}

/* The size line is complete. */
static uint8_t size_done(struct chunk_decoder *d)
{
	d->digits = 0;
	d->ext = 0;
	return d->left > 0 ? AT_DATA : AT_LINE;
}

static bool add_digit(struct chunk_decoder *d, char c)
{
	if (d->digits == 16 || d->left >> 59 != 0) /* 2^63 and more */
		return false;
	d->left = d->left << 4 | hex_value(c);
	d->digits++;
	return true;
}

/* What follows the size on its line. */
static uint8_t after_size(struct chunk_decoder *d, char c)
{
	if (c == '\r')
		return d->state == AT_BLANK ? AT_BAD : AT_SIZE_LF;
	if (c == '\n')
		return d->lenient && d->state != AT_BLANK ? size_done(d) : AT_BAD;
	if (++d->ext > H1_CHUNK_EXT_MAX)
		return AT_BAD;
	if (d->state == AT_EXT)
		return octet_is(c, OCTET_TEXT) ? AT_EXT : AT_BAD;
	if (c == ';')
		return AT_EXT;
	return c == ' ' || c == '\t' ? AT_BLANK : AT_BAD;
}

/* Keeps one byte of a trailer line. */
static uint8_t keep_octet(struct chunk_decoder *d, char c, struct arena *a)
{
	if (!octet_is(c, OCTET_TEXT) || ++d->trailer > H1_TRAILER_MAX)
		return AT_BAD;
	if (!d->line)
		d->line = arena_bytes(a, H1_TRAILER_MAX);
	if (!d->line)
		return AT_BAD;
	d->line[d->line_len++] = c;
	return AT_TRAILER;
}

/* The line that was kept: strict as a request's field line. */
static uint8_t trailer_done(struct chunk_decoder *d)
{
	const char *end = d->line + d->line_len, *colon = octets_token(d->line, end);

	if (colon == d->line || colon == end || *colon != ':' || d->trailers == H1_TRAILER_FIELDS)
		return AT_BAD;
	d->trailers++;
	d->name = str_make(d->line, (size_t)(colon - d->line));
	d->value = str_trim(str_make(colon + 1, (size_t)(end - colon - 1)));
	d->line_len = 0;
	return AT_LINE;
}

static uint8_t trailer_octet(struct chunk_decoder *d, char c, struct arena *a)
{
	bool empty = d->state == AT_LINE;

	if (c == '\r')
		return empty ? AT_LAST_LF : AT_TRAILER_LF;
	if (c == '\n' && d->lenient)
		return empty ? AT_END : trailer_done(d);
	return keep_octet(d, c, a);
}

/* The state after one byte that is no data. */
static uint8_t next_state(struct chunk_decoder *d, char c, struct arena *a)
{
	switch (d->state) {
	case AT_SIZE:
		if (octet_is(c, OCTET_HEX))
			return add_digit(d, c) ? AT_SIZE : AT_BAD;
		return d->digits > 0 ? after_size(d, c) : AT_BAD;
	case AT_BLANK:
	case AT_EXT:
		return after_size(d, c);
	case AT_SIZE_LF:
		return c == '\n' ? size_done(d) : AT_BAD;
	case AT_DATA_CR:
		if (c == '\n' && d->lenient)
			return AT_SIZE;
		return c == '\r' ? AT_DATA_LF : AT_BAD;
	case AT_DATA_LF:
		return c == '\n' ? AT_SIZE : AT_BAD;
	case AT_LINE:
	case AT_TRAILER:
		return trailer_octet(d, c, a);
	case AT_TRAILER_LF:
		return c == '\n' ? trailer_done(d) : AT_BAD;
	case AT_LAST_LF:
		return c == '\n' ? AT_END : AT_BAD;
	default:
		return AT_BAD;
	}
}

/* A run of body bytes. */
static enum chunk_event take_data(struct chunk_decoder *d, const char *buf, size_t n, size_t *used,
				  const char **data, size_t *len)
{
	*data = buf + *used;
	*len = d->left < n - *used ? (size_t)d->left : n - *used;
	*used += *len;
	d->left -= *len;
	if (d->left == 0)
		d->state = AT_DATA_CR;
	return CHUNK_DATA;
}

enum chunk_event chunk_decode(struct chunk_decoder *d, const char *buf, size_t n, size_t *used,
			      const char **data, size_t *len, struct arena *a)
{
	*used = 0;
	while (d->state < AT_END && *used < n) {
		bool in_trailer = d->state == AT_TRAILER || d->state == AT_TRAILER_LF;

		if (d->state == AT_DATA)
			return take_data(d, buf, n, used, data, len);
		d->state = next_state(d, buf[(*used)++], a);
		if (in_trailer && d->state == AT_LINE)
			return CHUNK_TRAILER;
	}
	if (d->state == AT_END)
		return CHUNK_END;
	return d->state == AT_BAD ? CHUNK_BAD : CHUNK_MORE;
}

size_t chunk_header(char *dst, uint64_t len)
{
	unsigned digits = (unsigned)(67 - __builtin_clzll(len | 1)) / 4;

	for (unsigned i = digits; i-- > 0; len >>= 4)
		dst[i] = "0123456789abcdef"[len & 15];
	dst[digits] = '\r';
	dst[digits + 1] = '\n';
	return digits + 2;
}

/* Fields that a trailer section must not carry on (RFC 9110 section 6.5.1): framing, routing, hop-by-hop,
 * authentication, request modifiers, and what says how to read the content. */
bool trailer_allowed(struct str name)
{
	static const struct str refused[] = {
		STR("content-encoding"), STR("content-range"), STR("max-forwards"), STR("range"), STR("if-match"),
		STR("if-none-match"), STR("if-modified-since"), STR("if-unmodified-since"), STR("if-range"),
		STR("www-authenticate"), STR("expires"), STR("pragma"), STR("warning"),
	};
	enum field_id id = field_lookup(name);

	if (id != FIELD_OTHER)
		return false; /* the agent's list holds nothing that is of use in a trailer */
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (str_ieq(name, refused[i]))
			return false;
	}
	return name.n > 0;
}
