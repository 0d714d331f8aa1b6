/* What a half of `outrider node` may ask of the kernel, from a moment on: a list of system calls, all others are refused with ENOSYS,
 * which is what libraries take as "this kernel lacks it". It stands below the engine's own filter, which a stack file cannot choose.
 *
 *     keeper: the proxy's, and setns, fork, exec, users and groups      proxy: files, sockets, memory, threads, time
 *
 * A build with a sanitizer has no filter. Both have given up new privileges before. Thread: the first one, before there are others. */
#ifndef OUTRIDER_ATTACH_SECCOMP_H
#define OUTRIDER_ATTACH_SECCOMP_H

#include "base/err.h"

enum seccomp_half { SECCOMP_KEEPER, SECCOMP_PROXY };

/* false: err; the process goes on as it was (a kernel without filters, memory). */
bool seccomp_confine(enum seccomp_half half, struct err *err) MUST_CHECK;

#endif
