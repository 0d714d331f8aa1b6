/* The address of a RabbitMQ broker: amqp://[user:password@]HOST[:PORT][/VHOST], or amqps://. Pure.
 *
 * User, password and virtual host are percent-decoded. No virtual host, and an empty one, are "/", which can also be written
 * %2F. Ports: 5672, with TLS 5671. */
#ifndef OUTRIDER_PLUGINS_BUS_ADDRESS_H
#define OUTRIDER_PLUGINS_BUS_ADDRESS_H

#include "base/err.h"
#include "base/str.h"

#define BUS_PORT 5672u
#define BUS_PORT_TLS 5671u
#define BUS_ADDRESSES_MAX 8u
#define BUS_HOST_MAX 256u
#define BUS_USER_MAX 257u
#define BUS_PASSWORD_MAX 2049u /* RabbitMQ takes a login of one frame of 4 KiB */
#define BUS_VHOST_MAX 256u

struct bus_address {
	char host[BUS_HOST_MAX];                             /* without brackets */
	char user[BUS_USER_MAX], password[BUS_PASSWORD_MAX]; /* "": none said */
	char vhost[BUS_VHOST_MAX];
	uint16_t port;
	bool secure;
};

/* false: err, which never shows user or password. */
bool bus_address_parse(struct str text, struct bus_address *ret, struct err *err) MUST_CHECK;
/* "rabbit:5672", "[::1]:5672" */
#define BUS_NAME_MAX (BUS_HOST_MAX + 8u)
void bus_address_name(const struct bus_address *a, char dst[BUS_NAME_MAX]);

#endif
