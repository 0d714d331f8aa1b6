/* Header fields written as an option: "Name: value | Name: value". Pure; any thread. */
#ifndef OUTRIDER_CONTROL_OPTION_FIELDS_H
#define OUTRIDER_CONTROL_OPTION_FIELDS_H

#include "base/text.h"
#include "control/options.h"

/* Onto `lines` as "Name: value\r\n" each. false: one is malformed or not to be set by hand (what frames a message and what the agent
 * says itself), or `lines` is too short. */
bool option_fields(struct str s, struct text *lines) MUST_CHECK;
/* The same as a parser of option_value.c. */
bool option_fields_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why);

#endif
