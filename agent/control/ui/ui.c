#include "control/ui/ui_int.h"

#include "base/mem.h"
#include "control/ui/state.h"

#include <time.h>

#define POINT_BYTES 10u /* of one figure in a history, about */
#define UI_POINTS_MIN 10u
#define PAGE_END 64u /* bytes behind the last list */

/* --- whose page it is ------------------------------------------------------------------------------------------------------------ */

const struct agent *ui_agent(const struct ui *u, uint64_t seat)
{
	const struct agent *a = u->root;

	if (!seat || !a)
		return a;
	for (uint32_t i = 0; i < a->n_sidecars; i++)
		if (a->sidecars[i].agent && a->sidecars[i].agent->seat == seat)
			return a->sidecars[i].agent;
	return NULL;
}

uint64_t ui_seat(const struct ui *u, const struct agent *a)
{
	return a == u->root ? 0 : a->seat;
}

unsigned ui_scopes(const struct ui *u, const struct agent *a)
{
	bool whole = a == u->root, node = whole && a->find_sidecar;
	unsigned scopes = node ? 1u << UI_SCOPE_NODE : 1u << UI_SCOPE_SIDECAR;

	/* A process that stands alone has neighbours only where somebody said so. */
	if (whole && a->sees_swarm &&
		(node || (a->reload && options_is_set(reload_options(a->reload), OPT_AGENTS))))
		scopes |= 1u << UI_SCOPE_SWARM;
	return scopes;
}

const char *ui_scope_word(enum ui_scope s)
{
	static const char *const words[UI_SCOPES] = { "sidecar", "node", "swarm" };
	return (unsigned)s < UI_SCOPES ? words[s] : "?";
}

static bool is_near(const struct addr *a)
{
	return a->len && (a->sa.sa_family == AF_UNIX || addr_is_loopback(a));
}

const char *ui_writes(const struct admin *a, struct httpd_request *r)
{
	if (is_near(httpd_local(r)) && is_near(httpd_peer(r)))
		return "loopback";
	return a->door && a->door->guard.token.n ? "token" : "none";
}

/* --- what is said ------------------------------------------------------------------------------------------------------------------ */

void ui_put_hello(
	const struct ui *u, const struct agent *a, struct json *j, enum ui_scope scope, const char *writes)
{
	unsigned scopes = ui_scopes(u, a);

	json_object(j);
	json_put_str(j, "agent", STR("outrider"));
	json_put_str(j, "version", str_of(a->version));
	json_put_str(j, "command", str_of(a->command));
	json_put_str(j, "node", a->node);
	json_key(j, "service");
	if (!a->find_sidecar && a->n_sidecars && a->sidecars[0].spec)
		json_str(j, a->sidecars[0].spec->service);
	else
		json_null(j);
	json_put_str(j, "scope", str_of(ui_scope_word(scope)));
	json_key(j, "scopes");
	json_array(j);
	for (unsigned s = 0; s < UI_SCOPES; s++)
		if (scopes & 1u << s)
			json_strz(j, ui_scope_word((enum ui_scope)s));
	json_end(j);
	json_put_u64(j, "interval_ms", UI_INTERVAL / USEC_MS);
	json_put_str(j, "writes", str_of(writes));
	json_put_u64(j, "time_ms", clock_wall() / USEC_MS);
	json_end(j);
}

void ui_put_state(const struct ui *u, const struct agent *a, struct json *j, size_t max)
{
	struct ui_state s = { .sampler = &u->sampler, .agent = a, .whole = a == u->root, .j = j, .max = max };

	ui_state_put(&s);
}

static size_t left_of(const struct json *j, size_t max)
{
	return max > j->t->n ? max - j->t->n : 0;
}

static usec begin_of_window(usec window)
{
	usec now = clock_wall();

	return now > window ? now - window : 0;
}

unsigned ui_history_points(unsigned wanted, size_t max)
{
	size_t fit = max / 4 * 3 / (UI_SIDES * 5 * POINT_BYTES), least = UI_POINTS_MIN;

	fit = fit < least ? least : fit;
	return wanted && wanted < fit ? wanted : fit < UI_POINTS ? (unsigned)fit : UI_POINTS;
}

void ui_put_history(const struct ui *u, const struct agent *a, struct json *j, unsigned points, size_t max)
{
	static const struct ui_history none = { NULL, 0, 0 };
	const struct ui_served *own = a->n_sidecars && a->sidecars[0].spec
					      ? ui_sampler_served(&u->sampler, a->sidecars[0].spec->slot)
					      : NULL;

	json_put_str(j, "node", a->node);
	ui_history_print(a == u->root ? &u->sampler.history
			 : own        ? &own->history
				      : &none,
		j, points ? points : UI_POINTS);
	json_key(j, "changes");
	json_array(j);
	uint32_t left_out = changes_print(
		u->changes, j, ui_seat(u, a), 0, begin_of_window(CHANGES_WINDOW), left_of(j, max));
	json_end(j);
	json_put_u64(j, "changes_left_out", left_out);
}

/* --- pages --------------------------------------------------------------------------------------------------------------------------- */

/* NULL: it was answered that there is no such thing here. */
static const struct ui *find(struct admin *a, struct httpd_request *r)
{
	if (a->agent->ui && a->agent->ui->root)
		return a->agent->ui;
	admin_refuse(r, 503, "starting", "The agent has not begun to look at its traffic.",
		"Ask again in a moment.");
	return NULL;
}

/* A number of the query within bounds; when absent what is given. */
static uint64_t number(struct httpd_request *r, const char *name, uint64_t absent, uint64_t min, uint64_t max)
{
	uint64_t v;

	if (!str_u64(httpd_query(r, name), &v))
		return absent;
	return v < min ? min : v > max ? max : v;
}

static enum ui_scope own_scope(const struct agent *a)
{
	return a->find_sidecar ? UI_SCOPE_NODE : UI_SCOPE_SIDECAR;
}

static struct json page_begin(struct text *t, size_t max)
{
	text_init(t, max);
	struct json j = json_begin(t);
	json_object(&j);
	return j;
}

static void put_recent(const struct ui *u, const struct agent *a, struct json *j, uint64_t ms, size_t max)
{
	json_key(j, "changes");
	json_array(j);
	(void)changes_print(u->changes, j, ui_seat(u, a), 0, begin_of_window(ms * USEC_MS), max);
	json_end(j);
}

void ui_page_state(struct admin *a, struct httpd_request *r)
{
	const struct ui *u = find(a, r);
	uint64_t max = number(r, "bytes", UI_STATE_MAX, UI_STATE_MIN, UI_STATE_MAX),
		 ago = number(r, "changes_ms", 0, 0, CHANGES_WINDOW / USEC_MS);
	struct text t;

	if (!u)
		return;
	struct json j = page_begin(&t, 2 * UI_STATE_MAX);
	json_key(&j, "hello");
	ui_put_hello(u, a->agent, &j, own_scope(a->agent), ui_writes(a, r));
	if (ago)
		put_recent(u, a->agent, &j, ago, max / 4);
	ui_put_state(u, a->agent, &j, max);
	json_end(&j);
	admin_reply(r, 200, &t);
}

void ui_page_history(struct admin *a, struct httpd_request *r)
{
	const struct ui *u = find(a, r);
	size_t max = number(r, "bytes", UI_STATE_MAX, UI_STATE_MIN, UI_STATE_MAX);
	unsigned points = ui_history_points(
		(unsigned)number(r, "points", UI_POINTS, UI_POINTS_MIN, UI_POINTS), max);
	struct text t;

	if (!u)
		return;
	struct json j = page_begin(&t, 2 * UI_STATE_MAX);
	json_put_u64(&j, "interval_ms", ui_history_step(points) * UI_INTERVAL / USEC_MS);
	json_put_u64(&j, "until_ms", u->sampler.wall / USEC_MS);
	ui_put_history(u, a->agent, &j, points, max - PAGE_END);
	json_end(&j);
	admin_reply(r, 200, &t);
}

void ui_page_changes(struct admin *a, struct httpd_request *r)
{
	const struct ui *u = find(a, r);
	size_t max = number(r, "bytes", UI_STATE_MAX, UI_STATE_MIN, UI_STATE_MAX);
	struct text t;

	if (!u)
		return;
	struct json j = page_begin(&t, 2 * UI_STATE_MAX);
	json_put_u64(&j, "last", changes_last(u->changes));
	json_key(&j, "changes");
	json_array(&j);
	uint32_t left_out = changes_print(u->changes, &j, ui_seat(u, a->agent),
		number(r, "since", 0, 0, UINT64_MAX), 0, max - PAGE_END - t.n);
	json_end(&j);
	json_put_u64(&j, "left_out", left_out);
	json_end(&j);
	admin_reply(r, 200, &t);
}

/* --- life ----------------------------------------------------------------------------------------------------------------------------- */

struct ui *ui_new(struct loop *l, struct err *err)
{
	struct ui *u = mem_zalloc(sizeof(*u));
	struct changes *c = changes_new();

	if (!u || !c) {
		mem_free(u);
		changes_free(c);
		err_set(err, "out of memory");
		return NULL;
	}
	u->loop = l;
	u->changes = c;
	for (unsigned i = 0; i < UI_READERS; i++)
		u->readers[i].of = u;
	ui_sampler_init(&u->sampler);
	changes_listen(c, ui_live_changed, u);
	return u;
}

void ui_free(struct ui *u)
{
	if (!u)
		return;
	ui_swarm_free(u->swarm);
	ui_sampler_release(&u->sampler);
	changes_free(u->changes);
	mem_free(u);
}

void ui_watch(struct ui *u, struct agent *a)
{
	u->root = a;
}

struct changes *ui_changes(struct ui *u)
{
	return u ? u->changes : NULL;
}

/* A look every UI_INTERVAL, at a beat: it wakes nobody. */
void ui_beat(struct ui *u, usec now)
{
	struct timespec t;

	if (!u || !u->root || now + USEC_SEC / 2 < u->next)
		return;
	u->next = now + UI_INTERVAL;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		t = (struct timespec){ .tv_sec = 0 };
	ui_sampler_look(&u->sampler, u->root, now, (usec)t.tv_sec * USEC_SEC + (usec)t.tv_nsec / 1000);
	ui_live_tick(u, now);
}
