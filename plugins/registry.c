/* Every plug-in of the agent, once: a new one is its file and a row here. */
#include "plugin.h"

extern const struct source_ops source_bus;
extern const struct source_ops source_file;
extern const struct source_ops source_spring;

const struct source_ops *const plugin_sources[] = {
	&source_file,
	&source_bus,
	&source_spring,
	NULL,
};
