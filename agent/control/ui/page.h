/* The operator's page and its files: `/` for browsers, `/ui/FILE` (docs/ui.md).
 *
 *     / with Accept: text/html   index.html; without it, or with ?format=, the list of pages as JSON: scripts see no difference
 *     /ui/FILE                   a file of assets.h
 *
 * Sent as gzip to who takes it, which is every browser, else inflated. ETag is the digest and Cache-Control: no-cache, so that an agent
 * of another version is never mixed with an old page. No script but the own files runs there (Content-Security-Policy), and no other
 * site can frame it. Requests passed the guard already. Thread: control's. */
#ifndef OUTRIDER_CONTROL_UI_PAGE_H
#define OUTRIDER_CONTROL_UI_PAGE_H

#include "control/admin.h"

/* Does a browser ask for the page, or somebody for the list? */
bool ui_page_wanted(struct httpd_request *r);
void ui_page_root(struct admin *a, struct httpd_request *r);
void ui_page_asset(struct admin *a, struct httpd_request *r); /* GET /ui/ * */

#endif
