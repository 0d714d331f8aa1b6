/* What registries are told of the own instance. */
#include "control/discovery_int.h"

#include "base/mem.h"

bool discovery_announce(struct discovery *d, const struct registry_instance *self)
{
	bool ok = true;
	for (size_t i = 0; i < d->n; i++)
		if (d->at[i].ops->announce)
			ok = d->at[i].ops->announce(d->at[i].registry, self) && ok;
	return ok;
}

struct leave { /* counts the registries that still have to say that they know */
	unsigned waiting;
	void (*done)(void *arg);
	void *arg;
};

static void on_withdrawn(void *arg)
{
	struct leave *l = arg;
	if (--l->waiting)
		return;
	l->done(l->arg);
	mem_free(l);
}

void discovery_withdraw(struct discovery *d, struct str id, void (*done)(void *arg), void *arg)
{
	struct leave *l = mem_zalloc(sizeof(*l));
	if (!l) { /* leases end by themselves */
		done(arg);
		return;
	}
	*l = (struct leave){ 1, done, arg };
	for (size_t i = 0; i < d->n; i++) {
		if (!d->at[i].ops->announce || !d->at[i].ops->withdraw)
			continue;
		l->waiting++;
		d->at[i].ops->withdraw(d->at[i].registry, id, on_withdrawn, l);
	}
	on_withdrawn(l);
}
