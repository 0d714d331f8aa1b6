/* A span as OTLP/HTTP JSON (open-telemetry/opentelemetry-proto, docs/specification.md; shared knowledge: zipkin, section 6). Pure; any thread.
 *
 * Ids are hexadecimal, always 32 and 16 digits; enums are integers, 64-bit numbers texts. The service stands in the resource that a span is
 * written into, not in the span. Tags become attributes; those that OpenTelemetry has other names for are renamed:
 *
 *     http.method       http.request.method                 http.path   url.path
 *     http.status_code  http.response.status_code (number)  error       error.type, and the message of the status
 *
 * The peer is network.peer.address, network.peer.port and peer.service, the own end network.local.address and .port.
 *
 * OTLP has no shared spans: no two have one id. A SERVER span that took the id of the caller's CLIENT span gets a new one, derived from
 * that id (the same at every agent and every time), and the id that came as its parent. What the handler then says is its parent is still the
 * id that came: such children hang beside the SERVER span, below the caller's, and not below it. */
#ifndef OUTRIDER_PLUGINS_OTLP_JSON_H
#define OUTRIDER_PLUGINS_OTLP_JSON_H

#include "plugin.h"

/* At `at` is room for SPAN_BYTES_MAX; the bytes written are returned. 0: the span has no ids. */
size_t otlp_json_span(const struct span *s, char *at);
/* The id that the SERVER span of a joined one gets; never 0 and never `id`. */
uint64_t otlp_server_id(uint64_t id);

#endif
