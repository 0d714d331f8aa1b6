/* Listening descriptors per listener and worker. */
#include "attach/claim.h"
#include "attach/ports.h"
#include "net/sockets.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define LISTENERS 3
#define WORKERS 3

struct fixture {
	struct log log;
	struct spec_sidecar spec;
	struct spec_listener listeners[LISTENERS];
	struct ports ports;
	struct err err;
	int log_fds[2];
};

static void set_up(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	ck_assert_int_eq(pipe(f->log_fds), 0);
	log_init(&f->log, f->log_fds[1], LEVEL_INFO);
	f->spec.listeners = f->listeners;
}

static void add(struct fixture *f, enum listener_kind kind, const char *address)
{
	struct spec_listener *l = &f->listeners[f->spec.n_listeners++];
	*l = (struct spec_listener){ .kind = (uint8_t)kind, .text = address };
	ck_assert_msg(addr_parse(str_of(address), &l->addr, &f->err), "%s", f->err.text);
}

static bool open_ports(struct fixture *f)
{
	return ports_open(&f->ports, NULL, &f->spec, WORKERS, &f->log, &f->err);
}

static void tear_down(struct fixture *f)
{
	ports_close(&f->ports);
	close(f->log_fds[0]);
	close(f->log_fds[1]);
}

START_TEST(workers_share_the_port_that_was_chosen)
{
	struct fixture f;
	set_up(&f);
	add(&f, LISTEN_INBOUND, "127.0.0.1:0");
	add(&f, LISTEN_OUTBOUND, "127.0.0.1:0");
	ck_assert_msg(open_ports(&f), "%s", f.err.text);
	for (unsigned w = 0; w < WORKERS; w++) {
		struct addr a;
		ck_assert(socket_local(ports_of_worker(&f.ports, w)[0], &a));
		ck_assert_uint_ne(addr_port(&a), 0);
		ck_assert(addr_eq(&a, &f.ports.bound[0]));
	}
	ports_close_inbound(&f.ports, &f.spec);
	for (unsigned w = 0; w < WORKERS; w++) {
		ck_assert_int_eq(ports_of_worker(&f.ports, w)[0], -1);
		ck_assert_int_ge(ports_of_worker(&f.ports, w)[1], 0);
	}
	tear_down(&f);
	ports_close(&(struct ports){ 0 });
}
END_TEST

START_TEST(a_port_of_another_agent_is_not_shared)
{
	struct fixture a, b;
	char text[ADDR_TEXT_MAX];
	set_up(&a);
	add(&a, LISTEN_INBOUND, "127.0.0.1:0");
	ck_assert(open_ports(&a));
	addr_text(&a.ports.bound[0], text);
	set_up(&b);
	add(&b, LISTEN_OUTBOUND, "127.0.0.1:0");
	add(&b, LISTEN_INBOUND, text);
	ck_assert(!open_ports(&b));
	ck_assert_ptr_nonnull(strstr(b.err.text, text));
	ck_assert_ptr_null(b.ports.fds); /* nothing stays open */
	tear_down(&b);
	tear_down(&a);
}
END_TEST

START_TEST(absent_addresses)
{
	struct fixture f;
	set_up(&f);
	add(&f, LISTEN_OUTBOUND, "127.0.0.1:0");
	add(&f, LISTEN_OUTBOUND, "[2001:db8::77]:0"); /* documentation: no machine has it */
	ck_assert_msg(open_ports(&f), "%s", f.err.text);
	ck_assert_int_ge(ports_of_worker(&f.ports, 0)[0], 0);
	ck_assert_int_eq(ports_of_worker(&f.ports, 0)[1], -1);
	ck_assert_uint_eq(f.log.lines, 1);
	tear_down(&f);

	set_up(&f); /* alone it is an error, and an IPv4 one always is */
	add(&f, LISTEN_INBOUND, "[2001:db8::77]:0");
	ck_assert(!open_ports(&f));
	tear_down(&f);
	set_up(&f);
	add(&f, LISTEN_OUTBOUND, "127.0.0.1:0");
	add(&f, LISTEN_OUTBOUND, "192.0.2.77:0");
	ck_assert(!open_ports(&f));
	tear_down(&f);
}
END_TEST

START_TEST(unix_sockets_are_one_for_all_workers)
{
	struct fixture f;
	char name[64];
	snprintf(name, sizeof(name), "unix:@outrider-test-%d", (int)getpid());
	set_up(&f);
	add(&f, LISTEN_INBOUND, name);
	ck_assert_msg(open_ports(&f), "%s", f.err.text);
	for (unsigned w = 0; w < WORKERS; w++)
		ck_assert_int_ge(ports_of_worker(&f.ports, w)[0], 0);
	tear_down(&f);
}
END_TEST

START_TEST(claim_names_its_owner)
{
	struct err err;
	struct addr a;
	char name[64], pid[32];
	snprintf(name, sizeof(name), "unix:@outrider-claim-%d", (int)getpid());
	snprintf(pid, sizeof(pid), "process %d (", (int)getpid());
	ck_assert(addr_parse(str_of(name), &a, &err));
	int fd = claim_namespace(&a, &err);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(claim_namespace(&a, &err), 0);
	ck_assert_msg(strstr(err.text, pid) != NULL, "%s", err.text);
	close(fd);
	fd = claim_namespace(&a, &err);
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

Suite *suite_attach_ports(void)
{
	Suite *s = suite_create("attach_ports");
	TCase *t = tcase_create("ports");
	tcase_add_test(t, workers_share_the_port_that_was_chosen);
	tcase_add_test(t, a_port_of_another_agent_is_not_shared);
	tcase_add_test(t, absent_addresses);
	tcase_add_test(t, unix_sockets_are_one_for_all_workers);
	tcase_add_test(t, claim_names_its_owner);
	suite_add_tcase(s, t);
	return s;
}
