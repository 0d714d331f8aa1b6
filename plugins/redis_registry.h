/* How instances stand in Redis, and the four steps on them; each is one Lua script, so nobody sees a half.
 *
 *     outrider:registry:<service>          sorted set: member = instance id, score = end of its lease (ms, the server's clock)
 *     outrider:registry:<service>:values   hash: instance id -> "<owner> <JSON>" (redis_value.h)
 *     outrider:registry                    which data set this is: drawn by the first who registers; another one, or none,
 *                                          tells readers that the server lost its data
 *     channel outrider:registry            "<service> + <id>" when that one came or changed, "<service> <id>" when it was withdrawn,
 *                                          "<service>" when more changed: read all
 *
 * Leases end one by one in a sorted set, and the expired are found without reading all. Both keys of a service expire with the
 * longest lease in them: the last crash leaves nothing either. All by the server's own TIME: clocks of agents do not matter.
 * EVAL and not EVALSHA: 700 bytes more, but no NOSCRIPT after a failover or SCRIPT FLUSH. Redis 5 or later, no cluster.
 * Messages are hints: whoever hears one asks Redis for that instance, and believes what it says. Agents before "+" said "<service>"
 * instead; they take "+ <id>" for an id that nobody has, and read all.
 * <owner> is drawn per agent process: a leaving agent takes away only what no successor renewed. Thread: pure, any. */
#ifndef OUTRIDER_PLUGINS_REDIS_REGISTRY_H
#define OUTRIDER_PLUGINS_REDIS_REGISTRY_H

#include "plugin.h"
#include "redis_link.h"
#include "redis_members.h"

#define REDIS_REGISTRY "outrider:registry"
#define REDIS_OWNER 16u       /* characters of an owner */
#define REDIS_SERVICE_MAX 256u /* bytes of a service's name */
#define REDIS_ID_MAX 512u      /* bytes of an id in a message */
#define REDIS_PUT_MARK " + "   /* between service and id: it came or changed */
#define REDIS_EPOCH_MAX 32u
#define REDIS_FEW_MAX 16u          /* ids that are asked for at a time */
#define REDIS_FEW_BYTES_MAX 2048u  /* of them in all: REDIS_FLIGHTS_MAX such commands are within REDIS_OUTPUT_MAX */

/* Each queues one command. false: redis_link_send() said so. The replies: an array of the data set's name (or an empty text) and
 * then id and value of each living instance; the same for these ids (REDIS_FEW_MAX at most), nil as the value of one that is not
 * there or whose lease is over; 1 or 0; 1 or 0. */
bool redis_registry_read(struct redis_link *l, struct str service);
bool redis_registry_read_few(struct redis_link *l, struct str service, const struct redis_members *ids);
bool redis_registry_put(struct redis_link *l, struct str service, struct str id, struct str value, usec lease);
bool redis_registry_take(struct redis_link *l, struct str service, struct str id, struct str owner);

#endif
