#include "attach/privileges.h"

#include "base/str.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int privileges_drop(const char **step)
{
	*step = "no new privileges";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return errno;
	if (geteuid() != 0)
		return 0;
	*step = "ambient capabilities";
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* an old kernel has none */
	*step = "groups (cap_add: [SETGID])";
	if (setgroups(0, NULL) != 0 || setresgid(PROXY_UID, PROXY_UID, PROXY_UID) != 0)
		return errno;
	*step = "user (cap_add: [SETUID])";
	if (setresuid(PROXY_UID, PROXY_UID, PROXY_UID) != 0) /* and with it every capability */
		return errno;
#ifdef SANITIZED
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* another user's memory is nobody's to look at, but for leaks */
#endif
	return 0;
}

bool privileges_no_new(struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return true;
	return err_set(err, "no_new_privs cannot be set: %s", strerror(errno));
}

bool privileges_read(struct privileges_held *ret)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	*ret = (struct privileges_held){ .uid = geteuid() };
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "CapEff:", 7) == 0)
			ret->effective = strtoull(line + 7, NULL, 16);
		else if (strncmp(line, "NoNewPrivs:", 11) == 0)
			ret->no_new_privs = strtoul(line + 11, NULL, 10) == 1;
		else if (strncmp(line, "Seccomp:", 8) == 0)
			ret->seccomp = (unsigned)strtoul(line + 8, NULL, 10);
	}
	fclose(f);
	return true;
}

bool privileges_has(unsigned capability)
{
	struct privileges_held held;
	return privileges_read(&held) && capability < 64 && (held.effective >> capability & 1);
}
