/* The files of the page that the admin port shows to browsers, as the build put them into the program (.ci/embed.py).
 *
 * They are kept compressed, as nearly every client takes them. A file that the build could not fetch (npm out of reach) is there and
 * empty. Constant; any thread. */
#ifndef OUTRIDER_CONTROL_UI_ASSETS_H
#define OUTRIDER_CONTROL_UI_ASSETS_H

#include <stddef.h>

struct ui_asset {
	const char *name, *type;     /* "app.js", "text/javascript; charset=utf-8" */
	const char *digest;          /* of its bytes, hex */
	const unsigned char *packed; /* gzip */
	size_t packed_n, plain_n;
};

extern const struct ui_asset ui_assets[];
extern const size_t ui_asset_count;

#endif
