#include "control/top_term.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE_WAIT 40 /* ms within which the rest of a key's sequence comes, over ssh too */
#define WRITE_WAIT 2000 /* ms */

/* Another screen, no cursor, no wrapping at the last column (a line has as many columns as the terminal). */
static const char enter[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
static const char leave[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

/* A handler of a crash has no argument but the signal: what it needs to give the terminal back is the one thing here that is
 * global, written before the handler is set and by nobody else. */
static struct {
	volatile sig_atomic_t held;
	struct termios before;
} terminal;

static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

static void write_all(const char *p, size_t n)
{
	while (n) {
		ssize_t k = write(STDOUT_FILENO, p, n);
		if (k <= 0)
			return;
		p += k;
		n -= (size_t)k;
	}
}

static void give_back(void)
{
	if (!terminal.held)
		return;
	terminal.held = 0;
	write_all(leave, sizeof(leave) - 1);
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal.before);
}

static void on_crash(int signo)
{
	give_back();
	raise(signo); /* SA_RESETHAND: as if nobody had caught it */
}

/* --- signals ------------------------------------------------------------------------------------------------------------- */

int term_signals(struct err *err)
{
	static const int wanted[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, SIGPIPE };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		sigaddset(&set, wanted[i]);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) {
		err_set(err, "cannot block signals");
		return -1;
	}
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		err_set(err, "signals: %s", strerror(errno));
	return fd;
}

int term_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

/* --- the terminal ------------------------------------------------------------------------------------------------------------ */

bool term_open(struct err *err)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &terminal.before) != 0)
		return err_set(err, "the terminal: %s", strerror(errno));
	raw = terminal.before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	terminal.held = 1;
	struct sigaction crash = { .sa_handler = on_crash, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		(void)sigaction(crashes[i], &crash, NULL);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0) {
		terminal.held = 0;
		return err_set(err, "the terminal: %s", strerror(errno));
	}
	write_all(enter, sizeof(enter) - 1);
	return true;
}

void term_close(void)
{
	give_back();
}

void term_size(unsigned *columns, unsigned *lines)
{
	struct winsize w = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0 || w.ws_row == 0)
		w = (struct winsize){ .ws_col = 80, .ws_row = 24 };
	*columns = w.ws_col;
	*lines = w.ws_row;
}

/* One write for one picture, each line cleared behind its end: nothing flickers. */
bool term_draw(struct str lines)
{
	struct text t;
	struct str line;
	bool first = true, good = true;

	text_init(&t, 2 * lines.n + 64 * 1024);
	text_addz(&t, "\033[H");
	while (lines.n && str_find(lines, '\n') != SIZE_MAX) {
		line = str_make(lines.p, str_find(lines, '\n'));
		lines = str_make(lines.p + line.n + 1, lines.n - line.n - 1);
		/* Cleared before it is written: behind a full line the cursor stands on its last character. */
		text_addz(&t, first ? "\033[K" : "\r\n\033[K");
		first = false;
		text_add(&t, line);
	}
	struct str all = text_str(&t);
	while (all.n && good) {
		ssize_t k = write(STDOUT_FILENO, all.p, all.n);
		struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };
		if (k > 0)
			all = str_make(all.p + k, all.n - (size_t)k);
		else
			good = k < 0 && (errno == EAGAIN || errno == EINTR) && poll(&p, 1, WRITE_WAIT) >= 0 && !(p.revents & (POLLERR | POLLHUP));
	}
	text_release(&t);
	return good;
}

int term_read(char *dst, size_t cap)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)))
		return -1;
	ssize_t n = read(STDIN_FILENO, dst, cap);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n > 0 && dst[n - 1] == 0x1b && (size_t)n < cap && poll(&p, 1, ESCAPE_WAIT) == 1) {
		ssize_t more = read(STDIN_FILENO, dst + n, cap - (size_t)n);
		n += more > 0 ? more : 0;
	}
	return (int)n;
}

bool term_stop(struct err *err)
{
	term_close();
	raise(SIGSTOP);
	return term_open(err);
}
