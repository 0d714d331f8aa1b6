/* "Did you mean …": the nearest of a list of names. Pure. */
#ifndef OUTRIDER_CONTROL_NEAREST_H
#define OUTRIDER_CONTROL_NEAREST_H

#include "base/str.h"

#define NEAREST_NAME_MAX 64 /* longer names are never near */

/* Changes of one byte (insert, delete, replace, swap of neighbours) that turn a into b, case folded. */
unsigned nearest_distance(struct str a, struct str b);
/* Near enough to be proposed: at most a third of its length away, or one begins with the other. */
bool nearest_is_near(struct str asked, struct str name);

#endif
