#include "redis_registry.h"

#include <stdio.h>

#define NOW "local t=redis.call('TIME') local now=t[1]*1000+math.floor(t[2]/1000) "
#define SERVICE "string.sub(KEYS[1],19)" /* after "outrider:registry:" */

/* KEYS: set, values; ARGV: id, lease in ms, value. The owner in it names the data set, when it has no name. What expired and is
 * swept away here may be many, so readers are told to read all then. */
static const char put_script[] =
	NOW "local swept,changed=0,0 "
	"redis.call('SET','" REDIS_REGISTRY "',string.sub(ARGV[3],1,16),'NX') "
	"for _,id in ipairs(redis.call('ZRANGEBYSCORE',KEYS[1],'-inf',now,'LIMIT',0,100)) do "
	"redis.call('ZREM',KEYS[1],id) redis.call('HDEL',KEYS[2],id) swept=1 end "
	"if redis.call('HGET',KEYS[2],ARGV[1])~=ARGV[3] then changed=1 end "
	"redis.call('HSET',KEYS[2],ARGV[1],ARGV[3]) redis.call('ZADD',KEYS[1],now+ARGV[2],ARGV[1]) "
	"for i=1,2 do if redis.call('PTTL',KEYS[i])<tonumber(ARGV[2]) then redis.call('PEXPIRE',KEYS[i],ARGV[2]) end end "
	"if swept==1 then redis.call('PUBLISH','" REDIS_REGISTRY "'," SERVICE ") return 1 end "
	"if changed==1 then redis.call('PUBLISH','" REDIS_REGISTRY "'," SERVICE "..'" REDIS_PUT_MARK "'..ARGV[1]) end return changed";

/* KEYS: set, values; ARGV: id, owner. */
static const char take_script[] =
	"local v=redis.call('HGET',KEYS[2],ARGV[1]) "
	"if not v or string.sub(v,1,16)~=ARGV[2] then return 0 end "
	"redis.call('ZREM',KEYS[1],ARGV[1]) redis.call('HDEL',KEYS[2],ARGV[1]) "
	"redis.call('PUBLISH','" REDIS_REGISTRY "'," SERVICE "..' '..ARGV[1]) return 1";

/* KEYS: set, values; ARGV: how many at most. */
static const char read_script[] =
	NOW "local all={redis.call('GET','" REDIS_REGISTRY "') or ''} "
	"for _,id in ipairs(redis.call('ZRANGEBYSCORE',KEYS[1],'('..now,'+inf','LIMIT',0,ARGV[1])) do "
	"local v=redis.call('HGET',KEYS[2],id) if v then all[#all+1]=id all[#all+1]=v end end return all";

/* KEYS: set, values; ARGV: ids. */
static const char read_few_script[] =
	NOW "local all={redis.call('GET','" REDIS_REGISTRY "') or ''} "
	"for _,id in ipairs(ARGV) do local ends=redis.call('ZSCORE',KEYS[1],id) all[#all+1]=id "
	"all[#all+1]=ends and tonumber(ends)>now and redis.call('HGET',KEYS[2],id) or false end return all";

struct keys {
	char set[sizeof(REDIS_REGISTRY) + REDIS_SERVICE_MAX + 1], values[sizeof(REDIS_REGISTRY) + REDIS_SERVICE_MAX + 8];
};

/* Fills the first five of argv. false: the name is too long, which whoever asks has seen to. */
static bool begin(struct keys *k, const char *script, struct str service, struct str argv[5])
{
	if (service.n > REDIS_SERVICE_MAX)
		return false;
	snprintf(k->set, sizeof(k->set), REDIS_REGISTRY ":%.*s", STR_ARG(service));
	snprintf(k->values, sizeof(k->values), "%s:values", k->set);
	argv[0] = STR("EVAL");
	argv[1] = str_of(script);
	argv[2] = STR("2");
	argv[3] = str_of(k->set);
	argv[4] = str_of(k->values);
	return true;
}

bool redis_registry_read(struct redis_link *l, struct str service)
{
	struct str argv[6];
	struct keys k;
	char most[16];

	snprintf(most, sizeof(most), "%u", REGISTRY_ENDPOINTS_MAX);
	argv[5] = str_of(most);
	return begin(&k, read_script, service, argv) && redis_link_send(l, argv, 6);
}

bool redis_registry_read_few(struct redis_link *l, struct str service, const struct redis_members *ids)
{
	struct str argv[5 + REDIS_FEW_MAX];
	struct keys k;
	_Static_assert(sizeof(argv) / sizeof(argv[0]) <= RESP_ARGS_MAX, "a few are too many for one command");

	if (!begin(&k, read_few_script, service, argv))
		return false;
	for (size_t i = 0; i < ids->n; i++)
		argv[5 + i] = redis_members_id(ids, i);
	return redis_link_send(l, argv, 5 + ids->n);
}

bool redis_registry_put(struct redis_link *l, struct str service, struct str id, struct str value, usec lease)
{
	struct str argv[8];
	struct keys k;
	char ms[24];

	snprintf(ms, sizeof(ms), "%llu", (unsigned long long)(lease / USEC_MS));
	if (!begin(&k, put_script, service, argv))
		return false;
	argv[5] = id;
	argv[6] = str_of(ms);
	argv[7] = value;
	return redis_link_send(l, argv, 8);
}

bool redis_registry_take(struct redis_link *l, struct str service, struct str id, struct str owner)
{
	struct str argv[7];
	struct keys k;

	if (!begin(&k, take_script, service, argv))
		return false;
	argv[5] = id;
	argv[6] = owner;
	return redis_link_send(l, argv, 7);
}
