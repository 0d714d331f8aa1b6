/* Every plug-in of the agent, once: a new one is its file and a row here. */
#include "plugin.h"

extern const struct source_ops source_bus;
extern const struct source_ops source_consul;
extern const struct source_ops source_file;
extern const struct source_ops source_redis;
extern const struct source_ops source_rediss;
extern const struct source_ops source_spring;

extern const struct registry_ops registry_dns;
extern const struct registry_ops registry_consul;
extern const struct registry_ops registry_docker;
extern const struct registry_ops registry_eureka;
extern const struct registry_ops registry_file;
extern const struct registry_ops registry_redis;
extern const struct registry_ops registry_rediss;

extern const struct exporter_ops exporter_zipkin;
extern const struct exporter_ops exporter_otlp;
extern const struct exporter_ops exporter_log;

extern const struct sink_ops sink_json;
extern const struct sink_ops sink_text;
extern const struct sink_ops sink_file;
extern const struct sink_ops sink_gelf;
extern const struct sink_ops sink_syslog;

const struct source_ops *const plugin_sources[] = {
	&source_file,
	&source_bus,
	&source_redis,
	&source_rediss,
	&source_consul,
	&source_spring,
	NULL,
};

const struct registry_ops *const plugin_registries[] = {
	&registry_dns,
	&registry_consul,
	&registry_docker,
	&registry_eureka,
	&registry_file,
	&registry_redis,
	&registry_rediss,
	NULL,
};

const struct exporter_ops *const plugin_exporters[] = {
	&exporter_zipkin,
	&exporter_otlp,
	&exporter_log,
	NULL,
};

const struct sink_ops *const plugin_sinks[] = {
	&sink_json,
	&sink_text,
	&sink_file,
	&sink_gelf,
	&sink_syslog,
	NULL,
};
