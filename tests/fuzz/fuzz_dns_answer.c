/* DNS: whatever a server answers, the asker hears once, of addresses that are addresses. The input is what comes after an
 * answer's identity and question, with a header of its own: byte 0 the family, 1 to 2 the flags, 3 to 8 the counts.
 * c-ares reads answers; ours is what is taken of its result, and both must live together. */
#include "fuzz.h"
#include "net/dns.h"
#include "net/sockets.h"

#include <string.h>
#include <unistd.h>

#define HEAD 12u
#define OWN 9u /* bytes of the input before the records */
#define ANSWER_MAX 4096u

struct heard {
	unsigned times;
	int family;
};

static void on_all(
	void *arg, int family, enum dns_end end, const struct addr *addrs, size_t n, const char *why)
{
	struct heard *h = arg;

	h->times++;
	FUZZ_CHECK(family == h->family && n <= DNS_ALL_MAX);
	FUZZ_CHECK((end == DNS_FOUND) == (n > 0) && (n > 0 || why));
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(addrs[i].sa.sa_family == family && addrs[i].len > 0 && addr_port(&addrs[i]) == 0);
}

static void on_few(void *arg, int family, const struct dns_ips *ips, unsigned ttl, const char *why)
{
	struct heard *h = arg;

	(void)ttl;
	h->times++;
	FUZZ_CHECK(family == h->family && ips->n <= RESOLVE_ADDRS_MAX && (ips->n > 0 || why));
}

/* The question with the input's flags, counts and records behind it. */
static size_t answer(uint8_t *to, const uint8_t *question, size_t asked, const uint8_t *data, size_t n)
{
	memcpy(to, question, asked);
	to[2] = data[1] | 0x80; /* an answer it is */
	to[3] = data[2];
	memcpy(to + 6, data + 3, 6); /* the counts but that of questions */
	n -= OWN;
	if (n > ANSWER_MAX - asked)
		n = ANSWER_MAX - asked;
	memcpy(to + asked, data + OWN, n);
	return asked + n;
}

static void reply(int server, const uint8_t *data, size_t n)
{
	uint8_t question[512], all[ANSWER_MAX];
	struct addr from = { .len = sizeof(from.un) };
	ssize_t got = recvfrom(server, question, sizeof(question), MSG_DONTWAIT, &from.sa, &from.len);

	if (got < (ssize_t)HEAD)
		return;
	question[10] = question[11] = 0;
	/* Without what c-ares says of itself (EDNS) behind the name, type and class. */
	size_t end = HEAD;
	while (end < (size_t)got && question[end])
		end += question[end] + 1u;
	end += 5;
	size_t len = answer(all, question, end < (size_t)got ? end : (size_t)got, data, n);
	FUZZ_CHECK(sendto(server, all, len, 0, &from.sa, from.len) >= 0 || len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct addr at;
	struct err err;
	char servers[ADDR_TEXT_MAX];

	if (n < OWN)
		return 0;
	int family = data[0] & 1 ? AF_INET6 : AF_INET, server = socket_make(NULL, AF_INET, SOCK_DGRAM);
	FUZZ_CHECK(server >= 0 && addr_parse_ip(STR("127.0.0.1"), 0, &at));
	FUZZ_CHECK(bind(server, &at.sa, at.len) == 0 && socket_local(server, &at));
	addr_text(&at, servers);
	struct loop *l = loop_new(&err);
	struct dns *d = l ? dns_new(l, NULL, servers, &err) : NULL;
	FUZZ_CHECK(d);
	struct heard heard = { 0, family };
	if (data[0] & 2)
		dns_ask(d, "tasks.quotes", family, on_few, &heard);
	else
		dns_ask_all(d, "tasks.quotes", family, on_all, &heard);
	reply(server, data, n);
	loop_turn(l, false);
	loop_turn(l, false);
	dns_free(d);
	FUZZ_CHECK(heard.times == 1);
	loop_free(l);
	close(server);
	return 0;
}
