/* The ids of a trace in a line of text: where loggers put them. Pure; any thread. */
#ifndef OUTRIDER_CONTROL_APP_TRACE_H
#define OUTRIDER_CONTROL_APP_TRACE_H

#include "base/str.h"

#define APP_TRACE_WITHIN (16u * 1024u) /* bytes of a line that are searched */

/* The first trace id (16 or 32 hexadecimal digits, not all zero), and the span id that stands beside it; empty: there is none.
 *
 *     traceId=…  trace_id: …  "trace.id":"…"  X-B3-TraceId: …      with spanId, span_id … anywhere in the line
 *     traceparent=00-TRACE-SPAN-01                                  W3C trace context
 *     [application,TRACE,SPAN,true]  [application,TRACE,SPAN]        Spring Cloud Sleuth; [application-TRACE-SPAN] its successor, Micrometer */
void app_trace_find(struct str line, struct str *trace, struct str *span);

#endif
