/* What the parts of the bench's load program share. Not part of the agent: plain epoll, one thread, no libevent.
 *
 *     load origin …   answers GET /SIZE/TAG with SIZE bytes that begin with TAG (origin.c)
 *     load client …   asks for them through a proxy, checks every reply, counts and times (client.c)
 *     load first …    starts a program and times its first answered byte (first.c)
 *
 * A reply of SIZE bytes is the eight characters of TAG, then bench_pattern() from position 8 on: a reply that was
 * mixed up, cut or shifted is seen. Times are nanoseconds of CLOCK_MONOTONIC. */
#ifndef BENCH_H
#define BENCH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define BENCH_TAG 8                    /* hex digits of a request's number in its path */
#define BENCH_PERIOD ((size_t)65536)   /* the pattern repeats */
#define BENCH_RUN ((size_t)1048576)    /* bytes that can be sent or compared from any position at once */
#define BENCH_EVENTS 256               /* of one epoll_wait */
#define BENCH_CONNECTIONS_MAX 16000u
#define NS_PER_US ((uint64_t)1000)
#define NS_PER_MS ((uint64_t)1000000)
#define NS_PER_SEC ((uint64_t)1000000000)

static inline uint64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* BENCH_PERIOD + BENCH_RUN bytes that repeat; made on first use, lives until the end. Exits when memory is short. */
const char *bench_pattern(void);
/* "127.0.0.1:8080", IPv4 only. false: not an address. */
bool bench_addr(const char *text, struct sockaddr_in *ret);
/* A non-blocking listener on `addr` (SO_REUSEPORT, so that several origins share a port), TCP_NODELAY inherited. -1 with errno. */
int bench_listen(const struct sockaddr_in *addr);
/* A non-blocking connection under way (TCP_NODELAY). -1 with errno. */
int bench_connect(const struct sockaddr_in *addr);
/* Raises RLIMIT_NOFILE as far as it goes. */
void bench_raise_files(void);
/* Decimal digits up to the end or to `stop`; false on others or overflow. *ret_end is where it ended. */
bool bench_u64(const char *p, char stop, uint64_t *ret, const char **ret_end);
/* Prints "load: …" and ends with status 2: for what the user must repair. */
_Noreturn void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- one option of the command line: --name VALUE, or --name alone for a flag ------------------------------------ */
enum opt_kind { OPT_U64, OPT_TEXT, OPT_FLAG };

struct opt {
	const char *name; /* without the dashes */
	enum opt_kind kind;
	void *to; /* uint64_t *, const char **, bool * */
};

/* Reads options from argv[0..argc-1] up to "--" or the end; returns how many words it took ("--" included). */
int bench_options(int argc, char **argv, const struct opt *opts, size_t n);

int origin_main(int argc, char **argv);
int client_main(int argc, char **argv);
int first_main(int argc, char **argv);

#endif
