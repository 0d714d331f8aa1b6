/* A registry's own copy of the instance that it was told to announce: texts included, in one piece. Thread: its owner's. */
#ifndef OUTRIDER_PLUGINS_OWN_INSTANCE_H
#define OUTRIDER_PLUGINS_OWN_INSTANCE_H

#include "plugin.h"

struct own_instance { /* zeroed is empty */
	struct registry_instance self;
	char *texts; /* owned: what self points to */
};

/* Replaces what stood there. false: no memory; it is unchanged then. */
bool own_instance_copy(struct own_instance *to, const struct registry_instance *from) MUST_CHECK;
void own_instance_release(struct own_instance *o); /* twice harmless */

#endif
