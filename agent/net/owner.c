#include "net/owner.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Bounds of the search: a message is not worth more. */
#define LINES_MAX 65536
#define PROCESSES_MAX 8192
#define DESCRIPTORS_MAX 4096
#define STATE_LISTEN 0x0A

/* The inode of a listening socket on `port` in a table of /proc/net; 0 when there is none. */
static unsigned long listening_inode(const char *table, unsigned port)
{
	FILE *f = fopen(table, "re");
	if (!f)
		return 0;
	char line[512];
	unsigned long found = 0;
	for (int i = 0; i < LINES_MAX && !found && fgets(line, sizeof(line), f); i++) {
		unsigned local = 0, state = 0;
		unsigned long inode = 0;
		int n = sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*d %lu", &local,
			       &state, &inode);
		if (n == 3 && local == port && state == STATE_LISTEN)
			found = inode;
	}
	fclose(f);
	return found;
}

static bool holds(long pid, const char *link)
{
	char path[64], target[64];
	snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	DIR *d = opendir(path);
	if (!d)
		return false;
	bool yes = false;
	struct dirent *e;
	for (int i = 0; i < DESCRIPTORS_MAX && !yes && (e = readdir(d)); i++) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = 0;
			yes = strcmp(target, link) == 0;
		}
	}
	closedir(d);
	return yes;
}

static long process_with(unsigned long inode)
{
	char link[64];
	snprintf(link, sizeof(link), "socket:[%lu]", inode);
	DIR *d = opendir("/proc");
	if (!d)
		return 0;
	long found = 0;
	struct dirent *e;
	for (int i = 0; i < PROCESSES_MAX && !found && (e = readdir(d)); i++) {
		long pid = strtol(e->d_name, NULL, 10);
		if (pid > 0 && holds(pid, link))
			found = pid;
	}
	closedir(d);
	return found;
}

static void command_of(long pid, char *dst, int cap)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	FILE *f = fopen(path, "re");
	if (!f || !fgets(dst, cap, f))
		snprintf(dst, (size_t)cap, "?");
	if (f)
		fclose(f);
	dst[strcspn(dst, "\n")] = 0;
}

void owner_of_listener(const struct addr *a, char dst[OWNER_TEXT_MAX])
{
	snprintf(dst, OWNER_TEXT_MAX, "another process");
	unsigned port = addr_port(a);
	if (!port)
		return;
	unsigned long inode = listening_inode("/proc/net/tcp", port);
	if (!inode)
		inode = listening_inode("/proc/net/tcp6", port);
	long pid = inode ? process_with(inode) : 0;
	if (!pid)
		return;
	char name[32];
	command_of(pid, name, sizeof(name));
	snprintf(dst, OWNER_TEXT_MAX, "process %ld (%s)", pid, name);
}
