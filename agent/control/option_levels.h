/* Values of outrider.log.levels: "discovery=debug,health=warn". Pure; thread: any. */
#ifndef OUTRIDER_CONTROL_OPTION_LEVELS_H
#define OUTRIDER_CONTROL_OPTION_LEVELS_H

#include "control/log.h"

struct option_row;

/* Calls fn for each; false: err names the item that is wrong, or fn returned false. */
bool option_levels(struct str s, bool (*fn)(void *arg, struct str subsystem, enum log_level level), void *arg, struct err *err) MUST_CHECK;
/* The parser of its type. */
bool option_levels_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why);
/* false: no part of the agent writes under that name; why says which is meant. */
bool option_levels_subsystem(struct str name, struct err *why) MUST_CHECK;

#endif
