/* The level of what a service writes, out of the words and numbers of its logger. Pure; any thread. */
#ifndef OUTRIDER_CONTROL_APP_LEVEL_H
#define OUTRIDER_CONTROL_APP_LEVEL_H

#include "control/log.h"

/* "WARNING", "fatal", "trace", "notice" …, any case; also "30" (bunyan, pino: tens) and "4" (syslog, GELF: 0 to 7). false: none that we know. */
bool app_level_word(struct str word, enum log_level *ret);
/* Of a line of text: a word in capitals or in brackets within its beginning, or one behind level=, severity=, lvl=. false: it has none. */
bool app_level_find(struct str line, enum log_level *ret);

#endif
