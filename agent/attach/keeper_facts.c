/* What the keeper knows of its surroundings, told to the proxy for /doctor and /health?verbose. */
#include "attach/keeper.h"

#include "attach/privileges.h"
#include "control/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

static void tell(struct keeper *k, enum wire_fact fact, enum doctor_level level, const char *says)
{
	struct wire_record r = { .op = WIRE_FACT, .kind = fact, .n = level };

	snprintf(r.why, sizeof(r.why), "%s", says);
	(void)proxy_send(k, &r, NULL, 0);
}

static void tell_rights(struct keeper *k)
{
	struct privileges_held held;
	struct statvfs root;
	char text[240];

	(void)privileges_read(&held);
	bool read_only = statvfs("/", &root) == 0 && (root.f_flag & ST_RDONLY);
	snprintf(text, sizeof(text), "keeper: user %u, capabilities %#llx, no_new_privs %s, seccomp %s, root file system %s", held.uid,
		(unsigned long long)held.effective, held.no_new_privs ? "on" : "off", held.seccomp == 2 ? "on" : "off",
		read_only ? "read-only" : "writable");
	tell(k, FACT_RIGHTS, held.no_new_privs && held.seccomp == 2 && read_only ? DOCTOR_OK : DOCTOR_WARN, text);
}

#define CLOCK_EVERY (10 * USEC_SEC) /* it is asked for */

/* -1: the engine's own filter, where it is an old one, refuses it. */
static int clock_state(void)
{
	struct timex t = { .modes = 0 };
	return adjtimex(&t);
}

static void tell_clock(struct keeper *k)
{
	if (k->clock_state < 0)
		tell(k, FACT_CLOCK, DOCTOR_OK, "whether it is synchronized cannot be told from inside a container");
	else if (k->clock_state == TIME_ERROR)
		tell(k, FACT_CLOCK, DOCTOR_WARN, "the node's clock is not synchronized");
	else
		tell(k, FACT_CLOCK, DOCTOR_OK, "the node's clock is synchronized");
}

/* Of each half: what containers take at rest, and calls. */
#define FILES_BASE 256u
#define FILES_STOCK 20u /* of a container: sockets made ahead of need, its namespace, its log */
#define FILES_CALLS 64u /* and some calls at a time, two descriptors each */

void facts_tell_files(struct keeper *k)
{
	struct rlimit limit = { 0 };
	size_t containers = wards_served(k), rest = FILES_BASE;
	char text[240];

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	LIST_EACH(it, tmp, &k->wards) {
		const struct ward *w = LIST_OWNER(it, struct ward, link);
		rest += w->left ? 0 : w->n_kept + FILES_STOCK;
	}
	size_t want = rest + containers * FILES_CALLS;
	snprintf(text, sizeof(text), "each half may open %llu descriptors; %zu containers take some %zu at rest, with calls %zu or more",
		(unsigned long long)limit.rlim_cur, containers, rest, want);
	tell(k, FACT_FILES, limit.rlim_cur < rest ? DOCTOR_FAIL : limit.rlim_cur < want ? DOCTOR_WARN : DOCTOR_OK, text);
}

/* It comes to be synchronized some time after the node started, and may be lost by its server. */
static void on_clock(void *arg)
{
	struct keeper *k = arg;
	int before = k->clock_state;

	k->clock_state = clock_state();
	if (k->clock_state != before)
		tell_clock(k);
	timer_set(k->loop, &k->clock_timer, loop_touch(k->loop) + CLOCK_EVERY);
}

void facts_begin(struct keeper *k)
{
	timer_init(&k->clock_timer, on_clock, k);
	on_clock(k);
}

void facts_end(struct keeper *k)
{
	if (k->clock_timer.fn)
		timer_clear(&k->clock_timer);
}

void facts_look(struct keeper *k)
{
	k->blind = !netns_follows(&k->home);
	if (k->blind)
		log_write(&k->log, LEVEL_ERROR, "keeper", "containers that start from now on get no sidecar: the folder of namespaces is mounted without propagation",
			LOG_FIELDS(log_text("folder", k->home.path), log_text("remedy", "bind: {propagation: rslave}, as in deploy/outrider.yml")));
}

void facts_tell(struct keeper *k)
{
	char text[240];

	if (k->trouble[0])
		tell(k, FACT_ENGINE, DOCTOR_FAIL, k->trouble);
	else if (k->listed && !k->engine_version[0])
		tell(k, FACT_ENGINE, DOCTOR_WARN, "the engine refuses GETs of /info: this node has no name, and no instance counts as on the same node");
	else if (k->listed) {
		snprintf(text, sizeof(text), "%s, API 1.%u, node %.100s%s", k->engine_version, k->api, k->node, k->manager ? ", a manager" : "");
		tell(k, FACT_ENGINE, DOCTOR_OK, text);
	} else {
		tell(k, FACT_ENGINE, DOCTOR_WARN, "not all containers are known yet");
	}
	tell_rights(k);
	snprintf(text, sizeof(text), k->blind ? "%.120s is mounted without propagation: containers that start from now on get no sidecar" : "%.200s is there",
		k->home.path);
	tell(k, FACT_NAMESPACES, k->blind ? DOCTOR_FAIL : DOCTOR_OK, text);
	const char *why = handover_trouble(k);
	tell(k, FACT_HANDOVER, why ? DOCTOR_WARN : DOCTOR_OK, why ? why : "a successor will find the listeners");
	tell_clock(k);
	facts_tell_files(k);
}
