/* Events of Spring Cloud Bus: is this one a reason to read the configuration again? Pure; thread: any.
 *
 *     {"type":"RefreshRemoteApplicationEvent","originService":"config-server:8888:9a86…","destinationService":"orders:**",…}
 *
 * Of all types that one alone counts: an acknowledgement carries a destination too, and obeying it would loop. Whom an event
 * is for says destinationService, a pattern over the parts of a bus id, `service[:profiles]:port:random`:
 *
 *     *  one part, or some characters of it      ?  one character      **  any number of parts, none included
 *
 * Missing, null and empty mean everyone. With at most one colon and no `:**` at its end, `:**` is appended: `*` is `*:**`,
 * and `orders` is `orders:**`, which is not for `order`. An agent knows neither port nor random part of a bus id: these two
 * are matched by `*` and `**` alone. Empty parts do not count, as with Spring's AntPathMatcher. (spring-cloud-bus:
 * PathDestinationFactory, PathServiceMatcher.) */
#ifndef OUTRIDER_PLUGINS_BUS_EVENT_H
#define OUTRIDER_PLUGINS_BUS_EVENT_H

#include "base/str.h"

#define BUS_BODY_MAX (256u * 1024u) /* bytes of an event; they have some 300 */
#define BUS_DEPTH_MAX 16u
#define BUS_VALUES_MAX 4096u /* values of the JSON text */
#define BUS_PARTS_MAX 32u    /* of a destination; one with more is for nobody */

struct bus_id { /* the known parts of one's own */
	struct str service;
	struct str profiles; /* "test,eu" as one part; empty: the id has no such part */
};

enum bus_verdict {
	BUS_REFRESH, /* read again */
	BUS_FOR_OTHERS,
	BUS_OTHER_TYPE,
	BUS_NO_EVENT /* no JSON object, beyond a bound, or memory is short */
};

enum bus_verdict bus_event_judge(struct str body, const struct bus_id *id);
bool bus_destination_matches(struct str destination, const struct bus_id *id);

#endif
