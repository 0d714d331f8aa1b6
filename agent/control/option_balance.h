/* Values of the options of balancing that are more than a word: subsets, the key of the ring, names of cookies. Pure; thread: any.
 *
 *     subset        version=2:5%, tier=gold:0.5%      what an instance says of itself, and the share of the requests for it
 *     balance.hash  client, header:NAME, cookie:NAME, query:NAME */
#ifndef OUTRIDER_CONTROL_OPTION_BALANCE_H
#define OUTRIDER_CONTROL_OPTION_BALANCE_H

#include "control/options.h"
#include "proxy/spec.h"

#define OPTION_SUBSETS_MAX (BALANCE_SETS_MAX - 1u) /* the last set is of those that belong to none */

struct option_subset { /* texts lie in the option's value */
	struct str key, value;
	uint32_t share; /* of BALANCE_SHARES */
};

/* All of them, or none: false and why. */
bool option_subsets(
	struct str list, struct option_subset at[OPTION_SUBSETS_MAX], uint32_t *n, struct err *why);
/* name: of the header, cookie or parameter, a part of `s`; empty for the client. */
bool option_hash(struct str s, enum hash_kind *kind, struct str *name, struct err *why);

/* The same as parsers of option_value.c; that of a cookie's name, which may be empty. */
bool option_subsets_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why);
bool option_hash_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why);
bool option_cookie_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why);

#endif
