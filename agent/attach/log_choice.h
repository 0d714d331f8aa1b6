/* Whose output a node's agent follows. Pure.
 *
 *     outrider.app.log of the agent   of the container (its variable, else its label)   it is followed
 *     off                             whatever                                          no: the operator's word
 *     on                              off                                               no
 *     on                              on, or nothing                                    yes
 *     auto (unset)                    on                                                yes
 *     auto (unset)                    off, auto, or nothing                             no
 *
 * Never: a container that outrider.log names as a sink, whose every line would make another; nor the agent's own. */
#ifndef OUTRIDER_ATTACH_LOG_CHOICE_H
#define OUTRIDER_ATTACH_LOG_CHOICE_H

#include "attach/container.h"

enum app_log { APP_LOG_AUTO, APP_LOG_ON, APP_LOG_OFF }; /* words of outrider.app.log, in this order */

enum log_choice { LOG_CHOICE_OFF, LOG_CHOICE_ON, LOG_CHOICE_SINK };

/* sinks: the text of outrider.log. */
enum log_choice log_choose(const struct container *c, enum app_log agents, struct str sinks);
/* Does one of the sinks lead to it: by its name, a service name of swarm or compose (also tasks.NAME, or with its stack), or an address? */
bool log_choice_is_sink(const struct container *c, struct str sinks);

#endif
