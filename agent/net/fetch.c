#include "base/mem.h"
#include "net/fetch_int.h"

#include <string.h>

struct fetch_socket { /* a descriptor that libcurl wants watched */
	struct fetcher *owner;
	int fd;
	struct watch rd, wr;
};

/* Bodies and headers may hold secrets. */
static void wipe(struct fetch *f)
{
	if (f->body.p)
		explicit_bzero(f->body.p, f->body.cap);
	for (struct curl_slist *h = f->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
}

static void fetch_free(struct fetch *f)
{
	timer_clear(&f->timer);
	list_remove(&f->trust.link);
	if (f->query)
		resolve_cancel(f->query);
	if (f->added)
		curl_multi_remove_handle(f->owner->multi, f->easy);
	if (f->easy)
		curl_easy_cleanup(f->easy);
	wipe(f);
	curl_slist_free_all(f->headers);
	curl_slist_free_all(f->addrs);
	text_release(&f->body);
	text_release(&f->head);
	list_remove(&f->link);
	f->owner->count--;
	mem_free(f);
}

/* libcurl notes the moment before it sends; a transfer that never reached it has none. */
static bool nothing_left(struct fetch *f)
{
	curl_off_t sent = 0;

	return curl_easy_getinfo(f->easy, CURLINFO_PRETRANSFER_TIME_T, &sent) == CURLE_OK && sent == 0;
}

/* status 0: f->err says why. */
static void fetch_finish(struct fetch *f, int status)
{
	char *local = NULL;
	if (status && curl_easy_getinfo(f->easy, CURLINFO_LOCAL_IP, &local) != CURLE_OK)
		local = NULL;
	struct fetch_reply reply = { .status = status,
		.local = local ? local : "",
		.body = text_str(&f->body),
		.head = text_str(&f->head),
		.unsent = status == 0 && nothing_left(f),
		.why = status ? "" : f->err.text };

	timer_clear(&f->timer);
	if (f->added) /* before the callback: it may begin another */
		curl_multi_remove_handle(f->owner->multi, f->easy);
	f->added = false;
	f->cb(f->arg, &reply);
	fetch_free(f);
}

static bool is_tls_trouble(CURLcode code)
{
	return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CIPHER ||
	       code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR;
}

/* A handshake on a connection of its own; one that rested in libcurl's pool had it before. */
static void count_tls(const struct fetch *f, CURLcode code)
{
	long connects = 0;
	curl_off_t shaken = 0;

	if (is_tls_trouble(code))
		loop_count(f->owner->loop, LOOP_TLS_FAILED);
	else if (curl_easy_getinfo(f->easy, CURLINFO_NUM_CONNECTS, &connects) == CURLE_OK && connects > 0 &&
		 curl_easy_getinfo(f->easy, CURLINFO_APPCONNECT_TIME_T, &shaken) == CURLE_OK && shaken > 0)
		loop_count(f->owner->loop, LOOP_TLS_OK);
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
		if (f->secure)
			count_tls(f, code);
		if (code != CURLE_OK || status <= 0) {
			fetch_why_code(f, code != CURLE_OK ? code : CURLE_WEIRD_SERVER_REPLY);
			status = 0;
		}
		fetch_finish(f, (int)status);
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

static struct fetch_socket *socket_new(struct fetcher *fr, int fd)
{
	struct fetch_socket *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->owner = fr;
	s->fd = fd;
	watch_init(&s->rd, fr->loop, fd, EV_READ, on_ready, s);
	watch_init(&s->wr, fr->loop, fd, EV_WRITE, on_ready, s);
	curl_multi_assign(fr->multi, fd, s);
	return s;
}

/* An error returned here would end every transfer of the multi handle for good: only this one ends, on the next turn. */
static int doom(CURL *easy)
{
	struct fetch *f = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&f);
	if (f) {
		err_set(&f->err, "%s cannot be asked now: memory is short", f->peer);
		timer_set(f->owner->loop, &f->timer, loop_now(f->owner->loop));
	}
	return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
	struct fetch_socket *s = mine;

	if (s) {
		watch_off(&s->rd);
		watch_off(&s->wr);
	}
	if (what == CURL_POLL_REMOVE) {
		mem_free(s);
		return 0;
	}
	if (!s)
		s = socket_new(arg, fd);
	if (!s || ((what & CURL_POLL_IN) && !watch_on(&s->rd)) ||
		((what & CURL_POLL_OUT) && !watch_on(&s->wr)))
		return doom(easy);
	return 0;
}

struct fetcher *fetcher_new(struct loop *l, struct resolver *r, struct netspace *ns, struct err *err)
{
	struct fetcher *fr = mem_zalloc(sizeof(*fr));

	/* Counted by libcurl; only agents with a peer over HTTP pay for it. */
	bool global = fr && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	if (!global || !(fr->multi = curl_multi_init())) {
		if (global)
			curl_global_cleanup();
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
	tls_client_free(fr->tls);
	mem_free(fr->ca_file);
	mem_free(fr->ca_option);
	mem_free(fr);
	curl_global_cleanup();
}

static void arm(struct fetch *f)
{
	usec end = f->err.text[0] ? f->last : f->last + f->idle;

	timer_set(f->owner->loop, &f->timer, end < f->total_end ? end : f->total_end);
}

static void on_deadline(void *arg)
{
	struct fetch *f = arg;
	usec now = loop_now(f->owner->loop);

	if (now < f->total_end && now < f->last + f->idle && !f->err.text[0]) {
		arm(f);
		return;
	}
	fetch_why_late(f, now >= f->total_end);
	fetch_finish(f, 0);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	f->last = loop_now(f->owner->loop); /* the timer looks when it fires */
	text_add(&f->body, str_make(p, size * n));
	if (!f->body.failed)
		return size * n;
	err_set(&f->err, "%s: the answer is longer than %zu bytes, or memory is short", f->peer, f->body.max);
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
	err_set(&f->err, "%s: the head of the answer is longer than %u bytes", f->peer, FETCH_HEAD_MAX);
	return 0;
}

/* --- the steps before libcurl gets it --------------------------------------------------------------------------------- */

/* Hands the transfer to libcurl once nothing is waited for; its callbacks come on later turns. false: no memory. */
static bool go_on(struct fetch *f)
{
	if (f->query || !list_empty(&f->trust.link))
		return true;
	if (f->addrs)
		curl_easy_setopt(f->easy, CURLOPT_RESOLVE, f->addrs);
	f->added = curl_multi_add_handle(f->owner->multi, f->easy) == CURLM_OK;
	return f->added || err_set(&f->err, "%s cannot be asked now: memory is short", f->peer);
}

static void on_trust(struct tls_waiter *w, const char *why)
{
	struct fetch *f = LIST_OWNER(w, struct fetch, trust);

	list_remove(&w->link);
	if (why)
		err_set(&f->err, "%s: %s", f->peer, why);
	if (why || !go_on(f))
		fetch_finish(f, 0);
}

/* "host:port:1.2.3.4,[::1]", what libcurl takes for resolved. */
static bool set_addresses(struct fetch *f, const struct addr *addrs, size_t n)
{
	struct text t;

	text_init(&t, 4096);
	text_fmt(&t, "%s:%u:", f->host, f->port);
	for (size_t i = 0; i < n; i++) {
		char ip[ADDR_TEXT_MAX];

		addr_ip_text(&addrs[i], ip);
		text_addz(&t, i ? "," : "");
		text_fmt(&t, addrs[i].sa.sa_family == AF_INET6 ? "[%s]" : "%s", ip);
	}
	f->addrs = t.failed ? NULL : curl_slist_append(NULL, text_z(&t));
	text_release(&t);
	return f->addrs || err_set(&f->err, "%s cannot be asked now: memory is short", f->peer);
}

static void on_resolved(void *arg, const struct addr *addrs, size_t n, const char *why)
{
	struct fetch *f = arg;

	f->query = NULL;
	if (n == 0)
		err_set(&f->err, "%s", why);
	if (n == 0 || !set_addresses(f, addrs, n) || !go_on(f))
		fetch_finish(f, 0);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Connections and TLS sessions are shared within a fetcher, so all must trust the same. */
static bool set_trust(struct fetch *f, const struct fetch_request *q, struct err *err)
{
	struct fetcher *fr = f->owner;
	struct tls_client_config c = { .ca = q->ca_file, .ca_option = q->ca_option };

	if (!f->secure)
		return true;
	if (fr->tls && !same_text(fr->ca_file, q->ca_file))
		return err_set(err, "%s: another CA file than that of the fetcher's other requests", f->peer);
	if (!fr->tls) {
		mem_free(fr->ca_file);
		mem_free(fr->ca_option);
		fr->ca_file = q->ca_file ? mem_dup(q->ca_file, strlen(q->ca_file)) : NULL;
		fr->ca_option = q->ca_option ? mem_dup(q->ca_option, strlen(q->ca_option)) : NULL;
		if (!fr->ca_file != !q->ca_file || !fr->ca_option != !q->ca_option)
			return err_set(err, "out of memory");
		fr->tls = tls_client_new(&c, err);
	}
	if (!fr->tls || !tls_trust_begin(fr->tls, fr->loop, err))
		return false;
	if (fr->tls->state == TLS_TRUST_LOADING)
		list_append(&fr->tls->waiting, &f->trust.link);
	return true;
}

static bool launch(struct fetch *f, struct err *err)
{
	if (!f->literal)
		f->query = resolve(f->owner->resolver, str_of(f->host), f->port, on_resolved, f);
	return ((f->literal || f->query) && go_on(f)) ||
	       err_set(err, "%s cannot be asked now: memory is short", f->peer);
}

static bool set_callbacks(struct fetch *f, struct err *err)
{
	f->easy = curl_easy_init();
	return (f->easy && curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
		       curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f) == CURLE_OK &&
		       curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
		       curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f) == CURLE_OK) ||
	       err_set(err, "out of memory");
}

static struct fetch *fetch_new(struct fetcher *fr, const struct fetch_request *q)
{
	struct fetch *f = mem_zalloc(sizeof(*f));

	if (!f)
		return NULL;
	f->owner = fr;
	list_append(&fr->fetches, &f->link);
	fr->count++;
	list_init(&f->trust.link);
	f->trust.known = on_trust;
	text_init(&f->body, q->body_max);
	text_init(&f->head, FETCH_HEAD_MAX);
	timer_init(&f->timer, on_deadline, f);
	f->last = loop_touch(fr->loop);
	f->idle = q->idle;
	f->total = q->total;
	f->total_end = f->last + q->total;
	return f;
}

struct fetch *fetch_start(
	struct fetcher *fr, const struct fetch_request *q, fetch_cb cb, void *arg, struct err *err)
{
	struct fetch *f = fr->count < FETCH_MAX ? fetch_new(fr, q) : NULL;

	if (!f) {
		err_set(err, fr->count < FETCH_MAX ? "out of memory" : "more than %u requests at once",
			FETCH_MAX);
		return NULL;
	}
	f->cb = cb;
	f->arg = arg;
	if (!fetch_set_peer(f, q, err) || !set_callbacks(f, err) || !fetch_set_up(f, q, err) ||
		!set_trust(f, q, err) || !launch(f, err)) {
		fetch_free(f);
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
