#include "http_url.h"

#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded into dst. false: too long, a broken escape, or a control character. */
static bool decode(struct str s, char *dst, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '%') {
			int high = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
			int low = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if ((unsigned char)c < 0x20 || c == 0x7f || n + 1 >= cap)
			return false;
		dst[n++] = c;
	}
	dst[n] = '\0';
	return true;
}

static bool take_user(struct str info, struct http_url *ret, struct err *err)
{
	size_t colon = str_find(info, ':');
	struct str user = str_make(info.p, colon == SIZE_MAX ? info.n : colon);
	struct str password = str_make(info.p + user.n, 0);

	ret->has_user = true;
	ret->has_password = colon != SIZE_MAX;
	if (ret->has_password)
		password = str_make(info.p + colon + 1, info.n - colon - 1);
	if (decode(user, ret->user, sizeof(ret->user)) &&
		decode(password, ret->password, sizeof(ret->password)))
		return true;
	return err_set(err, "user or password before the @ is too long, or holds a %% that is not followed "
			    "by two hex digits "
			    "(a %% itself is written %%25)");
}

static bool check_host(struct str at, struct err *err)
{
	size_t close = at.n && at.p[0] == '[' ? str_find(at, ']') : SIZE_MAX;
	size_t colon = close == SIZE_MAX ? str_find(at, ':') : close + 1;
	struct str host = colon < at.n ? str_make(at.p, colon) : at;
	uint64_t port = 1;

	if (!host.n || (at.p[0] == '[' && close == SIZE_MAX))
		return err_set(err, "it names no host");
	if (colon < at.n &&
		(at.p[colon] != ':' || !str_u64(str_make(at.p + colon + 1, at.n - colon - 1), &port) ||
			port == 0 || port > UINT16_MAX))
		return err_set(err, "behind the host stands no port from 1 to 65535");
	return true;
}

static size_t scheme_of(struct str s)
{
	if (str_istarts(s, STR("http://")))
		return sizeof("http://") - 1;
	return str_istarts(s, STR("https://")) ? sizeof("https://") - 1 : 0;
}

bool http_url_parse(struct str s, struct http_url *ret, struct err *err)
{
	*ret = (struct http_url){ .secure = false };
	s = str_trim(s);
	size_t from = scheme_of(s);
	if (from == 0)
		return err_set(err, "it begins with neither http:// nor https://");
	ret->secure = from == sizeof("https://") - 1;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return err_set(err, "it holds a blank or a character that is no ASCII");
	if (str_find(s, '?') != SIZE_MAX || str_find(s, '#') != SIZE_MAX)
		return err_set(err, "it holds a ? or #, which is no part of an address; in a password write "
				    "%%3F or %%23");
	struct str authority = str_make(s.p + from, s.n - from);
	size_t slash = str_find(authority, '/');
	authority.n = slash == SIZE_MAX ? authority.n : slash;
	size_t at = str_rfind(authority, '@');
	if (at != SIZE_MAX && !take_user(str_make(authority.p, at), ret, err))
		return false;
	size_t host = at == SIZE_MAX ? 0 : at + 1;
	if (!check_host(str_make(authority.p + host, authority.n - host), err))
		return false;
	struct str rest = str_make(authority.p + host, s.n - from - host);
	while (rest.n && rest.p[rest.n - 1] == '/')
		rest.n--;
	memcpy(ret->url, ret->secure ? "https://" : "http://", from);
	return str_copy(rest, ret->url + from, sizeof(ret->url) - from) ||
	       err_set(err, "it is longer than %u bytes", HTTP_URL_MAX - 1);
}

void http_url_encode(struct text *t, struct str s, const char *keep)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
			     (c && strchr("-._~", c)) || (c && strchr(keep, c));
		if (plain) {
			text_char(t, (char)c);
		} else {
			text_char(t, '%');
			text_char(t, hex[c >> 4]);
			text_char(t, hex[c & 15]);
		}
	}
}
