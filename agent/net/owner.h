/* Who listens at an address, for messages: asked of /proc, where the agent may look. Slow (it walks processes),
 * so only for the message of a start that fails. */
#ifndef OUTRIDER_NET_OWNER_H
#define OUTRIDER_NET_OWNER_H

#include "net/addr.h"

#define OWNER_TEXT_MAX 96 /* bytes with NUL */

/* "process 4711 (nginx)", or "another process" when it cannot be told. */
void owner_of_listener(const struct addr *a, char dst[OWNER_TEXT_MAX]);

#endif
