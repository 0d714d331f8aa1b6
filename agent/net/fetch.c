#include "net/fetch.h"

#include "base/mem.h"
#include "base/text.h"
#include "net/timer.h"

#include <curl/curl.h>
#include <string.h>

struct fetcher {
	struct loop *loop;
	struct resolver *resolver;
	struct netspace *ns;
	CURLM *multi;
	struct timer timer; /* libcurl's */
	struct list fetches;
	unsigned count;
};

struct fetch {
	struct list link; /* fetcher.fetches */
	struct fetcher *owner;
	CURL *easy;
	struct curl_slist *headers, *addrs;
	struct resolve_query *query;
	bool added; /* to the multi handle */
	struct timer timer;
	usec total_end, idle, last;
	struct text body, head;
	struct str host;
	char *host_z;
	uint16_t port;
	struct err err; /* what stopped it, when that was here */
	fetch_cb cb;
	void *arg;
};

struct fetch_socket { /* a descriptor that libcurl wants watched */
	struct fetcher *owner;
	int fd;
	struct watch rd, wr;
};

static void fetch_free(struct fetch *f)
{
	timer_clear(&f->timer);
	if (f->query)
		resolve_cancel(f->query);
	if (f->added)
		curl_multi_remove_handle(f->owner->multi, f->easy);
	if (f->easy)
		curl_easy_cleanup(f->easy);
	curl_slist_free_all(f->headers);
	curl_slist_free_all(f->addrs);
	text_release(&f->body);
	text_release(&f->head);
	mem_free(f->host_z);
	list_remove(&f->link);
	f->owner->count--;
	mem_free(f);
}

static void fetch_finish(struct fetch *f, int status, const char *why)
{
	struct fetch_reply reply = {
		.status = status, .body = text_str(&f->body), .head = text_str(&f->head), .why = why
	};

	timer_clear(&f->timer);
	if (f->added) /* before the callback: it may begin another */
		curl_multi_remove_handle(f->owner->multi, f->easy);
	f->added = false;
	f->cb(f->arg, &reply);
	fetch_free(f);
}

/* Takes what libcurl says is complete. A callback may cancel others: each message is read anew. */
static void fetcher_reap(struct fetcher *fr)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(fr->multi, &left))) {
		struct fetch *f = NULL;
		long status = 0;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		if (code == CURLE_OK && status > 0)
			fetch_finish(f, (int)status, "");
		else
			fetch_finish(f, 0, f->err.text[0] ? f->err.text : curl_easy_strerror(code));
	}
}

static void fetcher_act(struct fetcher *fr, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(fr->multi, fd, what, &running);
	fetcher_reap(fr);
}

static void on_ready(void *arg, short what)
{
	struct fetch_socket *s = arg;

	fetcher_act(s->owner, s->fd, what & EV_READ ? CURL_CSELECT_IN : CURL_CSELECT_OUT);
}

static void on_curl_timer(void *arg)
{
	fetcher_act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int want_timer(CURLM *m, long ms, void *arg)
{
	struct fetcher *fr = arg;

	(void)m;
	if (ms < 0)
		timer_clear(&fr->timer);
	else
		timer_set(fr->loop, &fr->timer, loop_now(fr->loop) + (usec)ms * USEC_MS);
	return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
	struct fetcher *fr = arg;
	struct fetch_socket *s = mine;

	(void)easy;
	if (s) {
		watch_off(&s->rd);
		watch_off(&s->wr);
	}
	if (what == CURL_POLL_REMOVE) {
		mem_free(s);
		return 0;
	}
	if (!s) {
		s = mem_zalloc(sizeof(*s));
		if (!s)
			return -1;
		s->owner = fr;
		s->fd = fd;
		watch_init(&s->rd, fr->loop, fd, EV_READ, on_ready, s);
		watch_init(&s->wr, fr->loop, fd, EV_WRITE, on_ready, s);
		curl_multi_assign(fr->multi, fd, s);
	}
	if ((what & CURL_POLL_IN) && !watch_on(&s->rd))
		return -1;
	return (what & CURL_POLL_OUT) && !watch_on(&s->wr) ? -1 : 0;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct fetch *f = arg;

	(void)purpose;
	return socket_make(f->owner->ns, a->family, SOCK_STREAM);
}

struct fetcher *fetcher_new(struct loop *l, struct resolver *r, struct netspace *ns, struct err *err)
{
	struct fetcher *fr = mem_zalloc(sizeof(*fr));

	/* Counted by libcurl; only agents with a peer over HTTP pay for it. */
	if (!fr || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(fr->multi = curl_multi_init())) {
		mem_free(fr);
		err_set(err, "out of memory");
		return NULL;
	}
	fr->loop = l;
	fr->resolver = r;
	fr->ns = ns;
	list_init(&fr->fetches);
	timer_init(&fr->timer, on_curl_timer, fr);
	curl_multi_setopt(fr->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(fr->multi, CURLMOPT_SOCKETDATA, fr);
	curl_multi_setopt(fr->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(fr->multi, CURLMOPT_TIMERDATA, fr);
	curl_multi_setopt(fr->multi, CURLMOPT_MAXCONNECTS, 8L);
	return fr;
}

void fetcher_free(struct fetcher *fr)
{
	if (!fr)
		return;
	while (!list_empty(&fr->fetches))
		fetch_free((struct fetch *)(void *)fr->fetches.next); /* link is its first member */
	curl_multi_cleanup(fr->multi);
	timer_clear(&fr->timer);
	mem_free(fr);
	curl_global_cleanup();
}

static void arm(struct fetch *f)
{
	usec end = f->last + f->idle;

	timer_set(f->owner->loop, &f->timer, end < f->total_end ? end : f->total_end);
}

static void on_deadline(void *arg)
{
	struct fetch *f = arg;
	usec now = loop_now(f->owner->loop);

	if (now >= f->total_end)
		fetch_finish(f, 0, "no complete answer in time");
	else if (now >= f->last + f->idle)
		fetch_finish(f, 0, "the peer fell silent");
	else
		arm(f);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	f->last = loop_now(f->owner->loop); /* the timer looks when it fires */
	text_add(&f->body, str_make(p, size * n));
	if (!f->body.failed)
		return size * n;
	err_set(&f->err, "the answer is longer than %zu bytes, or memory is short", f->body.max);
	return 0;
}

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	f->last = loop_now(f->owner->loop);
	if (str_starts(str_make(p, size * n), STR("HTTP/")))
		text_clear(&f->head); /* the head of a 100 went before */
	text_add(&f->head, str_make(p, size * n));
	if (!f->head.failed)
		return size * n;
	err_set(&f->err, "the head of the answer is longer than %u bytes", FETCH_HEAD_MAX);
	return 0;
}

/* Hands the transfer to libcurl; its callbacks come on later turns. */
static bool begin(struct fetch *f)
{
	if (f->addrs)
		curl_easy_setopt(f->easy, CURLOPT_RESOLVE, f->addrs);
	f->added = curl_multi_add_handle(f->owner->multi, f->easy) == CURLM_OK;
	return f->added;
}

static void on_resolved(void *arg, const struct addr *addrs, size_t n, const char *why)
{
	struct fetch *f = arg;
	struct text t;

	f->query = NULL;
	if (n == 0) {
		fetch_finish(f, 0, why);
		return;
	}
	text_init(&t, 4096);
	text_fmt(&t, "%s:%u:", f->host_z, f->port);
	for (size_t i = 0; i < n; i++) {
		char ip[ADDR_TEXT_MAX];

		addr_ip_text(&addrs[i], ip);
		text_fmt(&t, addrs[i].sa.sa_family == AF_INET6 ? "%s[%s]" : "%s%s", i ? "," : "", ip);
	}
	f->addrs = t.failed ? NULL : curl_slist_append(NULL, text_z(&t));
	text_release(&t);
	if (!f->addrs || !begin(f))
		fetch_finish(f, 0, "out of memory");
}

static bool add_header(struct fetch *f, const char *line)
{
	struct curl_slist *more = curl_slist_append(f->headers, line);

	if (more)
		f->headers = more;
	return more != NULL;
}

static bool set_headers(struct fetch *f, const struct fetch_request *q)
{
	char line[512];

	for (const char *const *h = q->headers; h && *h; h++)
		if (!add_header(f, *h))
			return false;
	if (q->if_none_match) {
		if (snprintf(line, sizeof(line), "If-None-Match: %s", q->if_none_match) >= (int)sizeof(line))
			return false;
		return add_header(f, line);
	}
	return true;
}

#define SET(option, value) (curl_easy_setopt(f->easy, CURLOPT_##option, value) == CURLE_OK)

static bool set_up(struct fetch *f, const struct fetch_request *q)
{
	bool ok = set_headers(f, q) && SET(URL, q->url) && SET(PRIVATE, f) && SET(HTTPHEADER, f->headers) &&
		  SET(PROTOCOLS_STR, "http,https") && SET(PROXY, "") &&
		  SET(NETRC, (long)CURL_NETRC_IGNORED) && SET(NOSIGNAL, 1L) && SET(FOLLOWLOCATION, 0L) &&
		  SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && SET(WRITEFUNCTION, on_body) &&
		  SET(WRITEDATA, f) && SET(HEADERFUNCTION, on_head) && SET(HEADERDATA, f) &&
		  SET(OPENSOCKETFUNCTION, open_socket) && SET(OPENSOCKETDATA, f) && SET(HTTP09_ALLOWED, 0L);

	if (ok && q->body.n)
		ok = q->body.n <= FETCH_BODY_MAX && SET(POSTFIELDSIZE, (long)q->body.n) &&
		     SET(COPYPOSTFIELDS, q->body.p);
	if (ok && q->method && strcmp(q->method, "HEAD") == 0)
		ok = SET(NOBODY, 1L);
	else if (ok && q->method)
		ok = SET(CUSTOMREQUEST, q->method);
	if (ok && q->ca_file)
		ok = SET(CAINFO, q->ca_file);
	if (ok && q->user)
		ok = SET(HTTPAUTH, CURLAUTH_BASIC) && SET(USERNAME, q->user) &&
		     SET(PASSWORD, q->password ? q->password : "");
	else if (ok && q->bearer)
		ok = SET(HTTPAUTH, CURLAUTH_BEARER) && SET(XOAUTH2_BEARER, q->bearer);
	return ok;
}

/* Host and port of the URL. */
static bool set_peer(struct fetch *f, const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL, *port = NULL;
	uint64_t number = 0;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		str_u64(str_of(port), &number) && number <= UINT16_MAX)
		f->host_z = mem_dup(host, strlen(host));
	f->port = (uint16_t)number;
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	f->host = str_of(f->host_z);
	return f->host_z != NULL;
}

static bool launch(struct fetch *f)
{
	struct addr literal;

	if (addr_parse_ip(f->host, f->port, &literal))
		return begin(f);
	f->query = resolve(f->owner->resolver, f->host, f->port, on_resolved, f);
	return f->query != NULL;
}

struct fetch *fetch_start(
	struct fetcher *fr, const struct fetch_request *q, fetch_cb cb, void *arg, struct err *err)
{
	struct fetch *f = fr->count < FETCH_MAX ? mem_zalloc(sizeof(*f)) : NULL;

	if (!f) {
		err_set(err, "out of memory, or more than %u requests at once", FETCH_MAX);
		return NULL;
	}
	f->owner = fr;
	f->cb = cb;
	f->arg = arg;
	list_append(&fr->fetches, &f->link);
	fr->count++;
	text_init(&f->body, q->body_max);
	text_init(&f->head, FETCH_HEAD_MAX);
	timer_init(&f->timer, on_deadline, f);
	f->last = loop_now(fr->loop);
	f->idle = q->idle;
	f->total_end = f->last + q->total;
	f->easy = curl_easy_init();
	if (strlen(q->url) > FETCH_URL_MAX || !set_peer(f, q->url) || !f->easy || !set_up(f, q) ||
		!launch(f)) {
		fetch_free(f);
		err_set(err, "the request cannot be made: not an http URL, or out of memory");
		return NULL;
	}
	arm(f);
	return f;
}

void fetch_cancel(struct fetch *f)
{
	fetch_free(f);
}

struct str fetch_header(const struct fetch_reply *reply, const char *name)
{
	struct str rest = reply->head, line;

	while (str_next(&rest, '\n', &line)) {
		size_t colon = str_find(line, ':');

		if (colon != SIZE_MAX && str_ieq(str_make(line.p, colon), str_of(name)))
			return str_trim(str_make(line.p + colon + 1, line.n - colon - 1));
	}
	return (struct str){ NULL, 0 };
}
