#include "control/cpus.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

unsigned cpus_from_quota(struct str cpu_max)
{
	struct str rest = str_trim(cpu_max), word;
	uint64_t quota, period;

	if (!str_next(&rest, ' ', &word) || !str_u64(word, &quota))
		return 0;
	if (!str_next(&rest, ' ', &word) || !str_u64(word, &period) || period == 0 || quota == 0)
		return 0;
	uint64_t n = quota / period + (quota % period != 0);
	return n > 4096 ? 0 : (unsigned)n;
}

static struct str slurp(const char *path, char *dst, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return str_make(NULL, 0);
	ssize_t n = read(fd, dst, cap);
	close(fd);
	return str_trim(str_make(dst, n > 0 ? (size_t)n : 0));
}

static unsigned quota(void)
{
	char buf[64], all[160];
	unsigned n = cpus_from_quota(slurp("/sys/fs/cgroup/cpu.max", buf, sizeof(buf)));
	if (n)
		return n;
	struct str q = slurp("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", all, 64);
	struct str p = slurp("/sys/fs/cgroup/cpu/cpu.cfs_period_us", buf, sizeof(buf));
	if (q.n == 0 || p.n == 0)
		return 0;
	char *at = all + (q.p - all) + q.n;
	*at++ = ' ';
	memcpy(at, p.p, p.n);
	return cpus_from_quota(str_make(q.p, q.n + 1 + p.n));
}

unsigned cpus_granted(void)
{
	cpu_set_t set;
	unsigned n = 1, limit = quota();

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		n = (unsigned)CPU_COUNT(&set);
	return limit && limit < n ? limit : n;
}
