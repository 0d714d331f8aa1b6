/* The address of an HTTP peer as people write it: taken apart, so that its credentials go their own way. Pure. */
#ifndef OUTRIDER_PLUGINS_HTTP_URL_H
#define OUTRIDER_PLUGINS_HTTP_URL_H

#include "base/err.h"
#include "base/text.h"

#define HTTP_URL_MAX 1024u
#define HTTP_URL_USER_MAX 256u
#define HTTP_URL_PASSWORD_MAX 1024u

struct http_url {
	char url[HTTP_URL_MAX]; /* "https://host:8888/prefix": no user info, no slash at the end; may be shown */
	bool secure;
	bool has_user, has_password;
	char user[HTTP_URL_USER_MAX], password[HTTP_URL_PASSWORD_MAX]; /* percent-decoded; wipe */
};

/* "http(s)://[user[:password]@]host[:port][/prefix]". false: err says what is wrong and never shows the text. */
bool http_url_parse(struct str s, struct http_url *ret, struct err *err) MUST_CHECK;
/* Adds s percent-encoded (RFC 3986), but for unreserved characters and those of `keep`. */
void http_url_encode(struct text *t, struct str s, const char *keep);

#endif
