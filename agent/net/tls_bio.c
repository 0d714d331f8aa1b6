/* The bottom of a session: a descriptor that never blocks and never signals. */
#include "net/tls_int.h"

#include <errno.h>
#include <sys/socket.h>

static struct stream *stream_of(BIO *b)
{
	return BIO_get_data(b);
}

static int bio_result(BIO *b, ssize_t n, void (*retry)(BIO *))
{
	BIO_clear_retry_flags(b);
	if (n > 0)
		return (int)n;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		retry(b);
	else if (n < 0)
		stream_of(b)->error = errno;
	return n < 0 ? -1 : 0;
}

static void retry_read(BIO *b)
{
	BIO_set_retry_read(b);
}

static void retry_write(BIO *b)
{
	BIO_set_retry_write(b);
}

static int bio_read(BIO *b, char *buf, int n)
{
	ssize_t got;
	do {
		got = recv(stream_of(b)->fd, buf, (size_t)n, 0);
	} while (got < 0 && errno == EINTR);
	if (got == 0)
		stream_of(b)->tls->ended = true;
	return bio_result(b, got, retry_read);
}

static int bio_write(BIO *b, const char *buf, int n)
{
	ssize_t put;
	do {
		put = send(stream_of(b)->fd, buf, (size_t)n, MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	return bio_result(b, put, retry_write);
}

static long bio_ctrl(BIO *b, int command, long n, void *p)
{
	(void)n;
	(void)p;
	if (command == BIO_CTRL_EOF)
		return stream_of(b)->tls->ended;
	return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");

	if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
		BIO_meth_set_ctrl(m, bio_ctrl) && BIO_meth_set_create(m, bio_create))
		return m;
	BIO_meth_free(m);
	return NULL;
}
