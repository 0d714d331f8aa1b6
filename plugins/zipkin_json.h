/* A span as Zipkin's v2 JSON (openzipkin/zipkin-api, zipkin2-api.yaml; shared knowledge: zipkin, section 1). Pure; any thread.
 *
 *     {"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"0020000000000001","id":"a2fb4a1d1a96d312","kind":"CLIENT","name":"get",
 *      "timestamp":1754000000123456,"duration":8123,"localEndpoint":{"serviceName":"orders","ipv4":"10.0.9.5"},
 *      "remoteEndpoint":{"serviceName":"quotes","ipv4":"10.0.9.8","port":8080},"tags":{"http.method":"GET","error":"503"}}
 *
 * What is not known is left out: parentId of a root, kind of a local span, a port 0, an endpoint of which nothing is known. A span that
 * failed without saying why has the tag `error` with an empty value, which Zipkin shows in red. `shared` stands only on a SERVER span. */
#ifndef OUTRIDER_PLUGINS_ZIPKIN_JSON_H
#define OUTRIDER_PLUGINS_ZIPKIN_JSON_H

#include "plugin.h"

/* At `at` is room for SPAN_BYTES_MAX; the bytes written are returned. 0: the span has no ids. */
size_t zipkin_json_span(const struct span *s, char *at);

#endif
