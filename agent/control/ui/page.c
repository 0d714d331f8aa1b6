#include "control/ui/page.h"

#include "base/mem.h"
#include "control/ui/assets.h"

#include <stdio.h>
#include <zlib.h>

#define PREFIX "/ui/"
#define PLAIN_MAX (1u << 20)  /* of a file when it is inflated */
#define GZIP_WINDOW (15 + 16) /* zlib: the largest window, with a gzip head */

/* --- what the client takes ----------------------------------------------------------------------------------------------------- */

/* "q=0" and its like: what is named is not wanted. */
static bool is_refused(struct str parameters)
{
	struct str piece;

	while (str_next(&parameters, ';', &piece)) {
		if (!str_istarts(piece, STR("q=0")))
			continue;
		for (size_t i = 3; i < piece.n; i++)
			if (piece.p[i] >= '1' && piece.p[i] <= '9')
				return false;
		return true;
	}
	return false;
}

/* Does the list of a field Accept or Accept-Encoding name this? */
static bool takes(struct str field, struct str what)
{
	struct str item;

	while (str_next(&field, ',', &item)) {
		struct str name;
		if (str_next(&item, ';', &name) && str_ieq(name, what))
			return !is_refused(item);
	}
	return false;
}

bool ui_page_wanted(struct httpd_request *r)
{
	return !httpd_query(r, "format").p && takes(httpd_header(r, "Accept"), STR("text/html"));
}

/* If-None-Match names it, or anything (RFC 9110 section 13.1.2: compared weakly). */
static bool has_it(struct str field, const char *etag)
{
	struct str item;

	while (str_next(&field, ',', &item)) {
		if (str_starts(item, STR("W/")))
			item = str_make(item.p + 2, item.n - 2);
		if (str_eq(item, str_of(etag)) || str_eq(item, STR("*")))
			return true;
	}
	return false;
}

/* --- answers ---------------------------------------------------------------------------------------------------------------------- */

static void put_headers(struct httpd_request *r, const char *etag)
{
	static const struct {
		const char *name, *value;
	} rows[] = {
		{ "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "
					     "img-src 'self' data:; connect-src 'self'; "
					     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cache-Control", "no-cache" },
		{ "Vary", "Accept, Accept-Encoding" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		httpd_reply_header(r, rows[i].name, rows[i].value);
	httpd_reply_header(r, "ETag", etag);
}

static bool inflate_all(const struct ui_asset *f, unsigned char *to)
{
	z_stream z = { .next_in = (z_const Bytef *)(uintptr_t)f->packed,
		.avail_in = (uInt)f->packed_n,
		.next_out = to,
		.avail_out = (uInt)f->plain_n + 1 };

	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return false;
	bool whole = inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == f->plain_n;
	inflateEnd(&z);
	return whole;
}

/* For the rare client that takes no gzip. */
static void reply_inflated(struct httpd_request *r, const struct ui_asset *f)
{
	unsigned char *plain = f->plain_n <= PLAIN_MAX ? mem_alloc(f->plain_n + 1) : NULL;

	if (plain && inflate_all(f, plain))
		httpd_reply(r, 200, f->type, str_make((const char *)plain, f->plain_n));
	else
		httpd_reply(r, 503, "text/plain; charset=utf-8", STR("the agent is short of memory\n"));
	mem_free(plain);
}

static void reply_asset(struct httpd_request *r, const struct ui_asset *f)
{
	bool packed = takes(httpd_header(r, "Accept-Encoding"), STR("gzip"));
	char etag[64];

	snprintf(etag, sizeof(etag), "\"%s%s\"", f->digest, packed ? "" : "-plain");
	put_headers(r, etag);
	if (has_it(httpd_header(r, "If-None-Match"), etag)) {
		httpd_reply(r, 304, NULL, STR(""));
	} else if (packed) {
		httpd_reply_header(r, "Content-Encoding", "gzip");
		httpd_reply(r, 200, f->type, str_make((const char *)f->packed, f->packed_n));
	} else {
		reply_inflated(r, f);
	}
}

static const struct ui_asset *asset_named(struct str name)
{
	for (size_t i = 0; i < ui_asset_count; i++)
		if (str_eq(name, str_of(ui_assets[i].name)))
			return &ui_assets[i];
	return NULL;
}

void ui_page_root(struct admin *a, struct httpd_request *r)
{
	const struct ui_asset *index = asset_named(STR("index.html"));

	(void)a;
	if (index)
		reply_asset(r, index);
	else
		admin_refuse(r, 404, "no-page", "This program was built without the page.",
			"GET / with Accept: application/json lists what there is.");
}

void ui_page_asset(struct admin *a, struct httpd_request *r)
{
	struct str path = httpd_path(r);
	const struct ui_asset *f = asset_named(
		str_make(path.p + sizeof(PREFIX) - 1, path.n - (sizeof(PREFIX) - 1)));

	(void)a;
	if (f)
		reply_asset(r, f);
	else
		admin_refuse(r, 404, "no-such-page", "The page has no such file.", "GET / lists the pages.");
}
