/* Where a receiver of log records is: "udp://graylog:12201", "tcp://[::1]:601", "unix:/dev/log". Pure. */
#ifndef OUTRIDER_PLUGINS_LOG_ADDRESS_H
#define OUTRIDER_PLUGINS_LOG_ADDRESS_H

#include "base/str.h"
#include "net/addr.h"

enum log_peer_way { LOG_PEER_UDP, LOG_PEER_TCP, LOG_PEER_UNIX };

struct log_address {
	enum log_peer_way way;
	char host[256]; /* of unix: the path */
	uint16_t port;
	struct addr path; /* of unix */
};

/* udp_port, tcp_port: where it names none; 0: it must. */
bool log_address_parse(struct str s, uint16_t udp_port, uint16_t tcp_port, bool unix_too, struct log_address *ret, struct err *err) MUST_CHECK;

#endif
