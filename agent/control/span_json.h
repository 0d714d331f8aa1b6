/* A span as Zipkin's v2 JSON, for the admin port's own pages (openzipkin/zipkin-api, zipkin2-api.yaml). Pure; any thread. */
#ifndef OUTRIDER_CONTROL_SPAN_JSON_H
#define OUTRIDER_CONTROL_SPAN_JSON_H

#include "base/json.h"
#include "plugin.h"

void span_json(struct json *j, const struct span *s);
/* "463ac35c9f6413ad48485a3953bb6124", or 16 digits where hi is 0; dst has 33 bytes. */
void span_trace_id(uint64_t hi, uint64_t lo, char dst[33]);
/* 16 or 32 hex digits, not all zero. */
bool span_trace_id_read(struct str s, uint64_t *hi, uint64_t *lo);

#endif
