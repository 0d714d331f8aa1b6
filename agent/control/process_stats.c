#include "control/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FDS_COUNTED 8192u /* on kernels that do not say how many there are */

enum { FIELD_THREADS = 20, FIELD_VSIZE = 23, FIELD_RSS = 24 }; /* as proc(5) numbers them; the name is 2 */

bool process_stats_parse(struct str stat, uint64_t *threads, uint64_t *virtual, uint64_t *pages)
{
	size_t after = str_rfind(stat, ')'); /* the name may have blanks and brackets */
	uint64_t values[FIELD_RSS + 1] = { 0 };
	struct str rest, word;

	if (after == SIZE_MAX || after + 2 > stat.n)
		return false;
	rest = str_make(stat.p + after + 2, stat.n - after - 2);
	for (unsigned field = 3; field <= FIELD_RSS; field++) {
		if (!str_next(&rest, ' ', &word))
			return false;
		if (field >= FIELD_THREADS && !str_u64(word, &values[field]) && field != FIELD_THREADS + 1)
			return false;
	}
	*threads = values[FIELD_THREADS];
	*virtual = values[FIELD_VSIZE];
	*pages = values[FIELD_RSS];
	return true;
}

static void read_stat(struct process_stats *s)
{
	char line[1024];
	uint64_t pages = 0;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line));

	if (fd >= 0)
		close(fd);
	if (n > 0 && process_stats_parse(str_make(line, (size_t)n), &s->threads, &s->virtual, &pages))
		s->resident = pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_entries(void)
{
	uint64_t n = 0;
	DIR *d = opendir("/proc/self/fd");

	if (!d)
		return 0;
	while (n < FDS_COUNTED && readdir(d))
		n++;
	closedir(d);
	return n > 3 ? n - 3 : 0; /* . and .. and its own */
}

/* Since Linux 6.2 the size of the directory says how many there are. */
static uint64_t open_descriptors(void)
{
	struct stat st;

	return stat("/proc/self/fd", &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : count_entries();
}

void process_stats_read(struct process_stats *s)
{
	struct rlimit limit;
	struct timespec t;

	*s = (struct process_stats){ 0 };
	read_stat(s);
	s->fds = open_descriptors();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		s->fds_max = limit.rlim_cur;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0)
		s->cpu = (usec)t.tv_sec * USEC_SEC + (usec)t.tv_nsec / 1000;
}
