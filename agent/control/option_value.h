/* The types of options: text in, a number or a checked list out, and the words that say what is accepted. Pure. */
#ifndef OUTRIDER_CONTROL_OPTION_VALUE_H
#define OUTRIDER_CONTROL_OPTION_VALUE_H

#include "base/unit.h"
#include "control/options.h"
#include "net/addr.h"

#define OPTION_LISTEN_MAX 16u /* addresses of one listener option */

/* Is `value` (trimmed) one that the row accepts? *ret: its number, 0 for types that have none. On false *ret is
 * untouched and `why` says what is wrong and what would be accepted; the value itself never stands there. */
bool option_value_parse(const struct option_row *row, struct str value, uint64_t *ret, struct err *why) MUST_CHECK;
/* "a duration from 10ms to 1h (250ms, 2s, 5m, 1h), or off" */
void option_value_accepts(const struct option_row *row, struct text *t);

/* The value as people may see it: *** for a secret, and for a plug-in's address with credentials before an '@'. */
struct str option_value_shown(const struct option_row *row, struct str value);

/* The next item of a comma list that is not empty; false at the end. */
bool option_item_next(struct str *rest, struct str *item);
/* "IP:port", "localhost:port" (127.0.0.1), "unix:…". */
bool option_address(struct str s, struct addr *ret, struct err *why) MUST_CHECK;
/* A handler: a port alone leaves ret->len 0 and sets *ret_port; else an address. */
bool option_handler(struct str s, uint16_t *ret_port, struct addr *ret, struct err *why) MUST_CHECK;
/* One item of a CIDRS list may be a word that stands for several blocks: calls `each` for every block. */
bool option_cidr_item(struct str item, bool (*each)(void *arg, const struct cidr *c), void *arg, struct err *why)
	MUST_CHECK;

/* "200-399" or "204". false: neither, or not within 100 to 599. */
bool option_statuses(struct str s, int *low, int *high);
bool option_statuses_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why); /* as a row of types[] */

#endif
