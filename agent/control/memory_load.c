#include "control/memory_load.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define STAT_BYTES 4096
#define NO_LIMIT (UINT64_C(1) << 62) /* version 1 says 2^63 less a page */

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

/* What the two versions of cgroups call the same things; the first that is there counts. */
static const struct {
	const char *limit, *current, *stat, *cache;
} versions[] = {
	{ "memory.max", "memory.current", "memory.stat", "inactive_file" },
	{ "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat",
		"total_inactive_file" },
};

void memory_load_open(struct memory_load *m, const char *directory, bool alone)
{
	const char *in = directory ? directory : "/sys/fs/cgroup";
	char line[64];

	*m = (struct memory_load){ .current = -1, .stat = -1, .statm = -1, .alone = alone };
	int fd = open_in(in, versions[0].limit);
	if (fd < 0) {
		m->old = true;
		fd = open_in(in, versions[1].limit);
	}
	m->limit = number(slurp(fd, line, sizeof(line)));
	if (fd >= 0)
		close(fd);
	if (m->limit >= NO_LIMIT)
		m->limit = 0;
	if (!m->limit)
		return;
	m->current = open_in(in, versions[m->old].current);
	m->stat = open_in(in, versions[m->old].stat);
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

static uint64_t cache_of(struct str stat, const char *name)
{
	struct str line;

	while (str_next(&stat, '\n', &line)) {
		struct str rest = line, word;
		if (str_next(&rest, ' ', &word) && str_eq(word, str_of(name)))
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
	uint64_t used = number(slurp(m->current, line, sizeof(line)));
	uint64_t ours = m->alone ? used : resident(slurp(m->statm, pages, sizeof(pages)));
	if (ours < MEMORY_LOAD_LEAST)
		return 0;
	uint64_t cache = cache_of(slurp(m->stat, stat, sizeof(stat)), versions[m->old].cache);
	if (m->alone)
		ours = used > cache ? used - cache : 0;
	return memory_load_of(m->limit, used, cache, ours);
}
