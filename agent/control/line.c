#include "control/line.h"

#include "base/json.h"
#include "base/mem.h"

#include <arpa/inet.h>

#define ODD_MAX (RECORD_TEXT_MAX * 6u)

struct line *line_new(void)
{
	struct line *l = mem_alloc(sizeof(*l));

	if (!l)
		return NULL;
	l->n = 0;
	l->cut = false;
	l->second = UINT64_MAX;
	text_init(&l->odd, ODD_MAX);
	return l;
}

void line_free(struct line *l)
{
	if (!l)
		return;
	text_release(&l->odd);
	mem_free(l);
}

void line_u64(struct line *l, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	line_add(l, str_make(digits + at, sizeof(digits) - at));
}

void line_ms(struct line *l, uint64_t us)
{
	uint64_t rest = us % 1000;
	const char part[] = { '.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10) };

	line_u64(l, us / 1000);
	line_add(l, str_make(part, sizeof(part)));
}

void line_hex(struct line *l, uint64_t v)
{
	static const char digits[] = "0123456789abcdef";
	char out[16];

	for (unsigned i = 16; i-- > 0; v >>= 4)
		out[i] = digits[v & 15];
	line_add(l, str_make(out, sizeof(out)));
}

void line_time(struct line *l, usec wall)
{
	uint64_t second = wall / USEC_SEC, ms = wall / USEC_MS % 1000;
	const char part[] = { '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z' };
	char iso[25];

	if (second != l->second) { /* most lines are of the second of the one before */
		clock_iso(wall, iso);
		memcpy(l->time, iso, sizeof(l->time) - 1);
		l->second = second;
	}
	line_add(l, str_make(l->time, sizeof(l->time) - 1));
	line_add(l, str_make(part, sizeof(part)));
}

static bool is_plain(const char *p, size_t n)
{
	unsigned odd = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		odd |= (unsigned)(c - 0x20u > 0x5eu) | (c == '"') | (c == '\\') | (c == '<');
	}
	return !odd;
}

void line_value(struct line *l, struct str s)
{
	if (is_plain(s.p, s.n)) {
		line_add(l, s);
		return;
	}
	text_clear(&l->odd);
	json_escape(&l->odd, s);
	if (l->odd.failed)
		l->cut = true;
	else
		line_add(l, text_str(&l->odd));
}

void line_ip(struct line *l, const struct record_peer *p)
{
	char six[INET6_ADDRSTRLEN];

	if (p->family == 4) {
		for (unsigned i = 0; i < 4; i++) {
			if (i)
				line_add(l, STR("."));
			line_u64(l, p->ip[i]);
		}
	} else if (p->family == 6 && inet_ntop(AF_INET6, p->ip, six, sizeof(six))) {
		line_add(l, str_of(six));
	}
}

void line_peer(struct line *l, const struct record_peer *p)
{
	if (!p->family)
		return;
	line_add(l, p->family == 6 ? STR("[") : STR(""));
	line_ip(l, p);
	line_add(l, p->family == 6 ? STR("]:") : STR(":"));
	line_u64(l, p->port);
}
