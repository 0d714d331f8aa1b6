#include "own_instance.h"

#include "base/mem.h"

static struct str put(char **to, struct str from)
{
	struct str s = str_make(*to, from.n);

	if (from.n)
		memcpy(*to, from.p, from.n);
	*to += from.n;
	return s;
}

static size_t size_of(const struct registry_instance *s, size_t metas)
{
	size_t n = metas * sizeof(struct registry_meta) + s->service.n + s->id.n + s->node.n + s->zone.n + s->health_url.n +
		   s->status_url.n + 1;

	for (size_t i = 0; i < metas; i++)
		n += s->meta[i].key.n + s->meta[i].value.n;
	return n;
}

bool own_instance_copy(struct own_instance *o, const struct registry_instance *from)
{
	size_t metas = from->n_meta < REGISTRY_META_MAX ? from->n_meta : REGISTRY_META_MAX;
	char *texts = mem_alloc(size_of(from, metas));

	if (!texts)
		return false;
	struct registry_meta *meta = (struct registry_meta *)(void *)texts;
	char *to = texts + metas * sizeof(*meta);
	struct registry_instance self = { .addr = from->addr, .state = from->state, .meta = meta, .n_meta = metas };
	self.service = put(&to, from->service);
	self.id = put(&to, from->id);
	self.node = put(&to, from->node);
	self.zone = put(&to, from->zone);
	self.health_url = put(&to, from->health_url);
	self.status_url = put(&to, from->status_url);
	for (size_t i = 0; i < metas; i++) {
		meta[i].key = put(&to, from->meta[i].key);
		meta[i].value = put(&to, from->meta[i].value);
	}
	mem_free(o->texts);
	o->texts = texts;
	o->self = self;
	return true;
}

void own_instance_release(struct own_instance *o)
{
	mem_free(o->texts);
	*o = (struct own_instance){ .texts = NULL };
}
