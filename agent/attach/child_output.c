/* What the child of `exec` writes: log records, where outrider.app.log wants that (decision 0021).
 *
 * It writes into pipes of its own then. They are read by control as long as it runs (control/app_output.h), which never waits for a sink; what
 * stands in them when the agent leaves is read, a last line without its end among it. Who else holds them open (a grandchild that stays) is
 * not waited for. */
#include "attach/process.h"

#include "control/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Words of outrider.app.log, in the order of the table. */
enum { WANT_AUTO, WANT_ON, WANT_OFF };

/* Where nobody chose where records go, the child's lines stay what they are, and colours stay on a terminal. */
static bool is_wanted(const struct options *o)
{
	uint64_t word = options_u64(o, OPT_APP_LOG);

	if (word != WANT_AUTO)
		return word == WANT_ON;
	return options_is_set(o, OPT_LOG) && !str_ieq(options_text(o, OPT_LOG), STR("off")) &&
	       !isatty(STDOUT_FILENO) && !isatty(STDERR_FILENO);
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Above 2, whatever we were started with: the child puts its ends at 1 and 2. */
static int above_standard(int fd)
{
	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return higher;
}

static bool open_one(struct process *p, int i, const struct app_stream_config *c)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	ends[0] = above_standard(ends[0]);
	p->ends[i] = above_standard(ends[1]);
	if (ends[0] < 0 || p->ends[i] < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
		shut(&ends[0]);
		return false;
	}
	p->streams[i] = app_stream_open(p->output, ends[0], c);
	return p->streams[i] != NULL;
}

static struct app_stream_config config_of(struct process *p, const struct options *o)
{
	struct sidecar *sc = &p->sidecar;

	return (struct app_stream_config){
		.whose = { .seat = sc->agent.seat,
			.service = sc->spec->service,
			.stack = sc->who.stack,
			.slot = sc->who.slot,
			.node = sc->who.node },
		.line_max = (size_t)options_u64(o, OPT_APP_LOG_LINE_MAX),
		.rate = options_u64(o, OPT_APP_LOG_RATE),
		.colours = options_bool(o, OPT_APP_LOG_COLOURS),
		.counts = &p->output_counts,
	};
}

/* Of a child that ended, when another one starts. */
static void close_streams(struct process *p)
{
	for (int i = 0; i < 2; i++) {
		app_stream_close(p->streams[i]);
		p->streams[i] = NULL;
		shut(&p->ends[i]);
	}
}

bool child_output_prepare(struct process *p, struct err *err)
{
	const struct options *o = reload_options(p->sidecar.reload);

	close_streams(p);
	if (!is_wanted(o))
		return true;
	if (!p->output && !(p->output = app_output_new(p->loop, p->logs, err)))
		return false;
	struct app_stream_config c = config_of(p, o);
	for (int i = 0; i < 2; i++) {
		c.kind = i ? APP_KIND_STDERR : APP_KIND_STDOUT;
		if (!open_one(p, i, &c)) {
			int error = errno;
			close_streams(p);
			return err_set(err,
				"what the child writes cannot be read: %s; outrider.app.log=off leaves it as "
				"it is",
				strerror(error));
		}
	}
	p->sidecar.agent.output = &p->output_counts;
	return true;
}

void child_output_begin(struct process *p)
{
	bool piped = p->ends[0] >= 0;

	shut(&p->ends[0]);
	shut(&p->ends[1]);
	if (piped)
		log_write(&p->sidecar.log, LEVEL_INFO, "process",
			"what the child writes becomes log records; outrider.app.log=off leaves it as it is",
			NULL);
}

void child_output_release(struct process *p)
{
	p->sidecar.agent.output = NULL;
	close_streams(p);
	app_output_free(p->output);
	p->output = NULL;
}
