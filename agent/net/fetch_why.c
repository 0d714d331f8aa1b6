/* Why a request failed, as a sentence that names the peer. URLs and credentials are in none of them. */
#include "base/unit.h"
#include "net/fetch_int.h"

#include <string.h>

static const struct {
	CURLcode code;
	const char *part; /* of libcurl's own words; NULL: any */
	const char *what; /* behind "host:port " */
} known[] = {
	{ CURLE_GOT_NOTHING, NULL, "closed the connection without an answer" },
	{ CURLE_PARTIAL_FILE, NULL, "closed the connection in the middle of its answer" },
	{ CURLE_UNSUPPORTED_PROTOCOL, NULL, "answers with what is no HTTP" },
	{ CURLE_WEIRD_SERVER_REPLY, NULL, "answers with what is no HTTP" },
	{ CURLE_RECV_ERROR, "chunk", "sends a chunked body that is broken" },
	{ CURLE_RECV_ERROR, "Connection reset", "reset the connection" },
	{ CURLE_SEND_ERROR, NULL, "closed the connection while the request was sent" },
	{ CURLE_SSL_CONNECT_ERROR, "wrong version number", "does not speak TLS at this port" },
	{ CURLE_SSL_CONNECT_ERROR, "unsupported protocol",
		"speaks only versions of TLS that are not safe (1.2 is the oldest accepted)" },
	{ CURLE_SSL_CONNECT_ERROR, "handshake failure",
		"refused the handshake: no cipher in common, or it wants a client certificate" },
	{ CURLE_SSL_CONNECT_ERROR, "SYSCALL", "closed the connection in the TLS handshake" },
	{ CURLE_OUT_OF_MEMORY, NULL, "cannot be asked now: memory is short" },
};

static const char *known_words(CURLcode code, const char *words)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].code == code && (!known[i].part || strstr(words, known[i].part)))
			return known[i].what;
	return NULL;
}

void fetch_why_code(struct fetch *f, CURLcode code)
{
	const char *words = f->words[0] ? f->words : curl_easy_strerror(code);
	const char *what = known_words(code, words);
	long number = 0;

	if (f->err.text[0])
		return;
	if (code == CURLE_OPERATION_TIMEDOUT) {
		fetch_why_late(f, true);
		return;
	}
	curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &number);
	if (code == CURLE_COULDNT_CONNECT && number)
		err_set(&f->err, "%s: %s", f->peer, strerror((int)number));
	else if (what)
		err_set(&f->err, "%s %s", f->peer, what);
	else
		err_set(&f->err, "%s: %s", f->peer, words);
}

void fetch_why_late(struct fetch *f, bool total)
{
	curl_off_t connected = 0, sent = 0;
	struct text t;

	if (f->err.text[0])
		return;
	text_init(&t, 32);
	duration_text(&t, total ? f->total : f->idle);
	const char *span = text_z(&t);
	curl_easy_getinfo(f->easy, CURLINFO_CONNECT_TIME_T, &connected);
	curl_easy_getinfo(f->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
	if (f->query)
		err_set(&f->err, "%s: the name was not resolved within %s", f->peer, span);
	else if (f->head.n == 0 && sent == 0 && connected != 0)
		err_set(&f->err, "%s accepts connections and is silent in the TLS handshake for %s", f->peer,
			span);
	else if (f->head.n == 0 && sent == 0)
		err_set(&f->err, "%s cannot be reached: nothing came back within %s", f->peer, span);
	else if (f->head.n == 0)
		err_set(&f->err, "%s took the request and fell silent: no answer within %s", f->peer, span);
	else if (total)
		err_set(&f->err, "%s did not complete its answer within %s", f->peer, span);
	else
		err_set(&f->err, "%s fell silent in the middle of its answer for %s", f->peer, span);
	text_release(&t);
}
