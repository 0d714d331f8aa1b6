#include "control/memory_load.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define STAT_BYTES 4096

static int open_in(const char *directory, const char *name)
{
	char path[512];
	int n = snprintf(path, sizeof(path), "%s/%s", directory, name);

	return n > 0 && (size_t)n < sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

static struct str slurp(int fd, char *dst, size_t cap)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, dst, cap, 0);

	return str_trim(str_make(dst, n > 0 ? (size_t)n : 0));
}

/* 0: no number ("max" is none). */
static uint64_t number(struct str s)
{
	uint64_t n;

	return str_u64(s, &n) ? n : 0;
}

void memory_load_open(struct memory_load *m, const char *directory)
{
	const char *in = directory ? directory : "/sys/fs/cgroup";
	char line[64];
	int fd = open_in(in, "memory.max");

	*m = (struct memory_load){ .limit = number(slurp(fd, line, sizeof(line))), .current = -1, .stat = -1, .statm = -1 };
	if (fd >= 0)
		close(fd);
	if (!m->limit)
		return;
	m->current = open_in(in, "memory.current");
	m->stat = open_in(in, "memory.stat");
	m->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

void memory_load_close(struct memory_load *m)
{
	int *const all[] = { &m->current, &m->stat, &m->statm };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (*all[i] >= 0)
			close(*all[i]);
		*all[i] = -1;
	}
	m->limit = 0;
}

unsigned memory_load_of(uint64_t limit, uint64_t used, uint64_t cache, uint64_t ours)
{
	used = used > cache ? used - cache : 0;
	uint64_t room = used < limit ? limit - used : 0;

	if (!limit || ours < MEMORY_LOAD_LEAST)
		return 0;
	return (unsigned)(ours * 100 / (ours + room));
}

static uint64_t inactive_file(struct str stat)
{
	struct str line;

	while (str_next(&stat, '\n', &line)) {
		struct str rest = line, word;
		if (str_next(&rest, ' ', &word) && str_eq(word, STR("inactive_file")))
			return number(str_trim(rest));
	}
	return 0;
}

/* The second number is what is resident, in pages. */
static uint64_t resident(struct str statm)
{
	struct str word;

	if (!str_next(&statm, ' ', &word) || !str_next(&statm, ' ', &word))
		return 0;
	return number(word) * (uint64_t)sysconf(_SC_PAGESIZE);
}

unsigned memory_load_now(const struct memory_load *m)
{
	char line[64], pages[128], stat[STAT_BYTES];

	if (!m->limit || m->current < 0)
		return 0;
	uint64_t ours = resident(slurp(m->statm, pages, sizeof(pages)));
	if (ours < MEMORY_LOAD_LEAST)
		return 0;
	uint64_t used = number(slurp(m->current, line, sizeof(line)));
	return memory_load_of(m->limit, used, inactive_file(slurp(m->stat, stat, sizeof(stat))), ours);
}
