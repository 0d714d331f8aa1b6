/* What origin.c (reading, writing, resting) and origin_connect.c (the beginning) share. */
#ifndef OUTRIDER_PROXY_ORIGIN_INT_H
#define OUTRIDER_PROXY_ORIGIN_INT_H

#include "proxy/origin.h"

/* The attempt fails before a response head; o is closed. */
void origin_fail(struct origin *o, enum reason why, int err);

/* Of its stream and timer. */
void origin_on_readable(void *arg);
void origin_on_writable(void *arg);
void origin_on_timer(void *arg);

/* CONNECTING: became writable; its timer fired. */
void origin_connect_look(struct origin *o);
void origin_connect_late(struct origin *o);

#endif
