/* control/outliers: what control does for endpoints that fail, beside the sweeps (test_outlier_shared.c). */
#include "options_help.h"

#include "control/outliers.h"
#include "net/loop.h"
#include "proxy/outlier.h"

#include <fcntl.h>
#include <unistd.h>

/* The time is the test's. */
START_TEST(an_address_of_another_service_is_tried_again_beside_a_restless_neighbour)
{
	struct err err = { "" };
	struct options *o = from_flags("--service=a --upstreams=quotes@127.0.4.1:8080 --upstream.quotes.endpoints=10.0.0.1:80,10.0.0.2:80");
	struct slots *slots = slots_new(&err);
	check_good(o, COMMAND_SIDECAR);
	struct spec_sidecar *s = build_sidecar(o, COMMAND_SIDECAR, slots, &err);
	ck_assert_msg(s != NULL, "%s", err.text);
	const struct balance_spec *b = NULL;
	for (uint32_t i = 0; i < s->n_upstreams; i++)
		if (str_eq(s->upstreams[i]->name, STR("quotes")))
			b = &s->upstreams[i]->balance;
	ck_assert(b && b->n == 2);
	struct loop *loop = loop_new(&err);
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct log log;
	log_init(&log, fd, LEVEL_ERROR);
	struct agent_sidecar view = { .spec = s };
	struct agent agent = { .loop = loop, .log = &log, .sidecars = &view, .n_sidecars = 1 };
	struct outliers *outliers = outliers_new(&agent, &err);
	usec now = 100 * USEC_SEC, end = now + OUTLIERS_AGAIN + 2 * USEC_SEC;

	outlier_hold(b->cells[0], b->tally, BALANCE_HOLD_GONE, true, false, now);
	for (; now < end; now += USEC_SEC) { /* the other one is held and let go all the time */
		outlier_hold(b->cells[1], b->tally, BALANCE_HOLD_CHECK, (now / USEC_SEC) % 2, false, now);
		outliers_tick(outliers, now);
	}
	ck_assert(!(cell_word(b->cells[0]) & BALANCE_HOLD_GONE));
	outliers_free(outliers);
	loop_free(loop);
	close(fd);
	build_unref(s);
	slots_free(slots);
	options_free(o);
}
END_TEST

Suite *suite_outliers(void)
{
	Suite *s = suite_create("outliers");
	TCase *t = tcase_create("outliers");

	tcase_add_test(t, an_address_of_another_service_is_tried_again_beside_a_restless_neighbour);
	suite_add_tcase(s, t);
	return s;
}
