#include "control/top_look.h"

#include "base/mem.h"
#include "control/ask.h"
#include "control/commands.h"
#include "http/bounded_json.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PATH_BYTES 400u
#define OF_SWARM(page, bytes) page "?bytes=" bytes /* of each agent, so that those of 50 fit into one reply */
/* A tree of it may take some 60 MB: a page of 64 agents at their bound. */
static const struct json_limits page_limits = { .bytes = ASK_BODY_MAX, .nodes = 600000, .depth = 32 };

struct top_wish top_wish_of(const struct top_ui *ui, uint64_t number)
{
	struct top_wish w = { .scope = ui->scope,
		.view = ui->view,
		.group = top_ui_groups(ui),
		.limit = GET_LIMIT,
		.number = number };

	if (ui->scope == TOP_SIDECAR)
		(void)str_copy(str_of(ui->service), w.service, sizeof(w.service));
	return w;
}

/* --- a page ---------------------------------------------------------------------------------------------------------------- */

/* "/swarm/ui/state", "/sidecars/NAME/ui/state", "/ui/state". */
static bool make_path(char dst[PATH_BYTES], const struct top_wish *w, const char *page)
{
	struct text t;

	text_init(&t, PATH_BYTES - 1);
	if (w->scope == TOP_SWARM)
		text_addz(&t, "/swarm");
	if (w->scope == TOP_SIDECAR && w->service[0])
		commands_sidecar_path(&t, w->service);
	text_addz(&t, page);
	bool good = str_copy(text_str(&t), dst, PATH_BYTES) && !t.failed;
	text_release(&t);
	return good;
}

/* What a page that is none says: its cause, else its status. */
static void say_refused(const cJSON *root, const char *path, int status, struct err *err)
{
	const cJSON *cause = cJSON_GetObjectItemCaseSensitive(root, "cause");

	if (cJSON_IsString(cause))
		err_set(err, "%s: %.200s", path, cause->valuestring);
	else if (status == 404)
		err_set(err, "the agent has no page %s: it is older than this program", path);
	else
		err_set(err, "%s: the agent answered with status %d", path, status);
}

static cJSON *get_page(const struct options *o, const struct top_wish *w, const char *page, struct err *err)
{
	char path[PATH_BYTES];
	struct text body;
	int status = 0;
	cJSON *root = NULL;

	if (!make_path(path, w, page)) {
		err_set(err, "the name of the sidecar is too long");
		return NULL;
	}
	text_init(&body, ASK_BODY_MAX);
	struct ask q = { .method = "GET", .path = path, .limit = w->limit };
	if (!commands_ask(o, &q, &body, &status, err)) {
		(void)err_prefix(err, "no agent answers");
	} else {
		root = bounded_json_parse(text_str(&body), &page_limits, err);
		if (status != 200) {
			say_refused(root, path, status, err);
			cJSON_Delete(root);
			root = NULL;
		} else if (!root) {
			(void)err_prefix(err, "%s", path);
		}
	}
	text_release(&body);
	return root;
}

/* --- a look ---------------------------------------------------------------------------------------------------------------- */

static bool take_state(struct top_model *m, const cJSON *answer, const char *agent, struct err *err)
{
	return top_read_state(m, answer, agent, err);
}

static bool take_changes(struct top_model *m, const cJSON *answer, const char *agent, struct err *err)
{
	(void)err;
	top_read_changes(m, answer, agent);
	return true;
}

static bool take_past(struct top_model *m, const cJSON *answer, const char *agent, struct err *err)
{
	(void)agent, (void)err;
	top_read_past(m, answer);
	return true;
}

static bool take_failures(struct top_model *m, const cJSON *answer, const char *agent, struct err *err)
{
	return top_read_failures(m, answer, agent, err);
}

static bool add_page(struct top_model *m, const struct options *o, const struct top_wish *w, const char *page,
	top_answer_fn fn, bool complain, struct err *err)
{
	cJSON *root = get_page(o, w, page, err);
	bool good = root && (w->scope == TOP_SWARM ? top_read_swarm(m, root, fn, complain, err)
						   : fn(m, root, "", err));

	cJSON_Delete(root);
	return good;
}

struct top_model *top_look(const struct options *o, const struct top_wish *w, struct err *err)
{
	struct top_model *m = top_model_new();
	struct err ignored = { "" };

	if (!m) {
		err_set(err, "out of memory");
		return NULL;
	}
	m->scope = w->scope;
	m->time_ms = (double)clock_wall() / (double)USEC_MS;
	if (!add_page(m, o, w, w->scope == TOP_SWARM ? OF_SWARM("/ui/state", "80000") : "/ui/state",
		    take_state, true, err)) {
		top_model_free(m);
		return NULL;
	}
	/* Without these the figures are still worth showing. */
	(void)!add_page(m, o, w, w->scope == TOP_SWARM ? OF_SWARM("/ui/changes", "16000") : "/ui/changes",
		take_changes, false, &ignored);
	if (w->past && w->scope != TOP_SWARM)
		(void)!add_page(m, o, w, "/ui/history?points=40", take_past, false, &ignored);
	if (w->view == TOP_FAILURES &&
		!add_page(m, o, w, w->scope == TOP_SWARM ? "/failures" : "/failures?limit=200", take_failures,
			false, &ignored))
		top_trouble(m, "failures", ignored.text);
	top_model_finish(m, w->group);
	return m;
}

/* --- on a thread ------------------------------------------------------------------------------------------------------------ */

struct top_watch {
	const struct options *options;
	pthread_mutex_t lock;
	pthread_cond_t wished;
	bool waiting, answered;
	struct top_wish wish;
	struct top_model *model;
	uint64_t number;
	struct err err;
	int fd;
};

static void *watch_main(void *arg)
{
	struct top_watch *w = arg;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		while (!w->waiting)
			pthread_cond_wait(&w->wished, &w->lock);
		struct top_wish wish = w->wish;
		w->waiting = false;
		pthread_mutex_unlock(&w->lock);

		struct err err = { "" };
		struct top_model *m = top_look(w->options, &wish, &err);

		pthread_mutex_lock(&w->lock);
		top_model_free(w->model);
		w->model = m;
		w->err = err;
		w->number = wish.number;
		w->answered = true;
		pthread_mutex_unlock(&w->lock);
		uint64_t one = 1;
		(void)!write(w->fd, &one, sizeof(one));
	}
	return NULL;
}

/* It lives as long as the process: a look that waits for an agent is not worth waiting for at the end. */
struct top_watch *top_watch_start(const struct options *o, struct err *err)
{
	struct top_watch *w = mem_zalloc(sizeof(*w));
	pthread_t thread;

	if (!w) {
		err_set(err, "out of memory");
		return NULL;
	}
	w->options = o;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wished, NULL);
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0 || pthread_create(&thread, NULL, watch_main, w) != 0) {
		err_set(err, "cannot start a thread");
		if (w->fd >= 0)
			close(w->fd);
		mem_free(w);
		return NULL;
	}
	pthread_detach(thread);
	return w;
}

int top_watch_fd(const struct top_watch *w)
{
	return w->fd;
}

void top_watch_wish(struct top_watch *w, const struct top_wish *wish)
{
	pthread_mutex_lock(&w->lock);
	w->wish = *wish;
	w->waiting = true;
	pthread_cond_signal(&w->wished);
	pthread_mutex_unlock(&w->lock);
}

bool top_watch_answer(struct top_watch *w, struct top_model **m, uint64_t *number, struct err *err)
{
	uint64_t n;

	(void)!read(w->fd, &n, sizeof(n));
	pthread_mutex_lock(&w->lock);
	bool there = w->answered;
	if (there) {
		*m = w->model;
		*number = w->number;
		*err = w->err;
		w->model = NULL;
		w->answered = false;
	}
	pthread_mutex_unlock(&w->lock);
	return there;
}
