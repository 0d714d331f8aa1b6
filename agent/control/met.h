/* What agents elsewhere said of themselves, by address: service, node, zone, metadata (proxy/hello.h). It proves nothing;
 * it is shown, and balanced by. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_MET_H
#define OUTRIDER_CONTROL_MET_H

#include "base/err.h"
#include "net/addr.h"

#define MET_MAX 65536u /* addresses that are remembered */

struct met;

struct met *met_new(void) MUST_CHECK; /* NULL: no memory */
void met_release(struct met *m);      /* NULL is fine */
/* Copied; the newest counts. false: no memory or too many. */
bool met_put(struct met *m, const struct addr *a, struct str hello) MUST_CHECK;
struct str met_get(const struct met *m, const struct addr *a); /* {NULL, 0}: nothing */
/* The value of a key of a hello; {NULL, 0}: not said. Pure. */
struct str met_value(struct str hello, struct str key);

#endif
