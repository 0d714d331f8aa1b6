/* The keys of ring-hash and of sticky sessions, read from a request. */
#include "proxy/client.h"
#include "proxy/steps.h"

#define STICKY_DIGITS 16u

static uint64_t hash_of(struct str s)
{
	return balance_id(s.p, s.n);
}

static bool find_header(const struct head *h, struct str name, struct str *ret)
{
	uint16_t at = 0;
	const struct field *f = head_next(h, name, &at);
	*ret = field_value(f);
	return f != NULL;
}

/* The cookie of that name, in any Cookie field: a=1; b="2". */
static bool find_cookie(const struct head *h, struct str name, struct str *ret)
{
	for (unsigned i = 0; i < h->n; i++) {
		const struct field *f = &h->f[i];
		if (f->id != FIELD_COOKIE)
			continue;
		struct str rest = field_value(f), pair;
		while (str_next(&rest, ';', &pair)) {
			pair = str_trim(pair);
			if (pair.n <= name.n || pair.p[name.n] != '=' || !str_starts(pair, name))
				continue;
			*ret = str_make(pair.p + name.n + 1, pair.n - name.n - 1);
			return true;
		}
	}
	return false;
}

static bool find_query(struct str path, struct str name, struct str *ret)
{
	size_t mark = str_find(path, '?');
	if (mark == SIZE_MAX)
		return false;
	struct str rest = str_make(path.p + mark + 1, path.n - mark - 1), pair;
	while (str_next(&rest, '&', &pair)) {
		if (pair.n <= name.n || pair.p[name.n] != '=' || !str_starts(pair, name))
			continue;
		*ret = str_make(pair.p + name.n + 1, pair.n - name.n - 1);
		return true;
	}
	return false;
}

bool hash_key(const struct exchange *x, uint64_t *ret)
{
	const struct spec_upstream *u = x->upstream;
	struct str value = STR("");
	char ip[ADDR_TEXT_MAX];
	bool found = false;

	switch ((enum hash_kind)u->hash_kind) {
	case HASH_HEADER:
		found = !x->tcp && find_header(&x->req, u->hash_name, &value);
		break;
	case HASH_COOKIE:
		found = !x->tcp && find_cookie(&x->req, u->hash_name, &value);
		break;
	case HASH_QUERY:
		found = !x->tcp && find_query(x->path, u->hash_name, &value);
		break;
	case HASH_CLIENT:
		found = x->c->peer.sa.sa_family != AF_UNIX;
		if (found) {
			addr_ip_text(&x->c->peer, ip);
			value = str_of(ip);
		}
		break;
	}
	if (found)
		*ret = hash_of(value);
	return found;
}

uint64_t hash_sticky(const struct exchange *x)
{
	struct str value = STR("");
	uint64_t id = 0;

	if (!x->upstream->cookie.n || x->tcp || !find_cookie(&x->req, x->upstream->cookie, &value) ||
	    value.n != STICKY_DIGITS)
		return 0;
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
		if (digit > 15)
			return 0;
		id = id << 4 | digit;
	}
	return id;
}
