/* What client.c (life, callbacks, what an exchange asks for) and client_input.c (reading) share. Private to these two. */
#ifndef OUTRIDER_PROXY_CLIENT_INT_H
#define OUTRIDER_PROXY_CLIENT_INT_H

#include "proxy/client.h"

/* --- client.c -------------------------------------------------------------------------------------------- */
/* Closes and buries; c->x must be gone. Idempotent. */
void client_shut(struct client *c, enum stream_close how);
void client_drop_input(struct client *c);
/* The loop does not watch c now: its timer looks for a reset once a second. */
void client_look_after(struct client *c);

/* --- client_input.c ---------------------------------------------------------------------------------------- */
void client_stop_reading(struct client *c);
void client_go_on_reading(struct client *c);
/* One callback's worth of reading in each state. */
void client_read_head(struct client *c);
void client_read_exchange(struct client *c);
void client_read_sniff(struct client *c);
void client_read_linger(struct client *c);
/* Parses what lies in c->in as the beginning of a request. */
void client_parse_head(struct client *c);
/* Drops an exchange whose request never became complete. */
void client_forget_exchange(struct client *c);
/* May bytes of the request's body be decoded now? */
bool client_wants_body(const struct exchange *x);
/* Decodes what lies in c->in as body. false: x went another way. */
bool client_feed_body(struct client *c, struct exchange *x);
/* Decides, if it can, whether HTTP follows a granted CONNECT. */
void client_judge_sniff(struct client *c, bool ended);

#endif
