/* `outrider top`, whose is what: instances of one service, agents of one node, changes that are alike. */
#include "control/top_model.h"
#include "http/bounded_json.h"

#include <check.h>

static cJSON *parse(const char *z)
{
	const struct json_limits limits = { 1 << 20, 100000, 32 };
	struct err err = { "" };
	cJSON *root = bounded_json_parse(str_of(z), &limits, &err);

	ck_assert_msg(root != NULL, "%s", err.text);
	return root;
}

/* A change with all that tells it from another one. */
#define CHANGE(at, kind, service, upstream, subject)                                                         \
	"{\"time_ms\":" at ",\"kind\":\"" kind "\",\"service\":\"" service "\",\"upstream\":\"" upstream     \
	"\",\"subject\":\"" subject "\",\"text\":\"it opened\"}"

START_TEST(changes_that_are_alike)
{
	struct top_model *m = top_model_new();
	cJSON *one = parse("[" CHANGE("1000", "circuit", "a", "b", "") "," CHANGE("1001", "circuit", "a", "c",
		"") "," CHANGE("1002", "circuit", "d", "b", "") "," CHANGE("1003", "ejected", "a", "b",
		"10.0.0.1:1") "," CHANGE("1004", "ejected", "a", "b", "10.0.0.2:1") "," CHANGE("1005",
		"circuit", "a", "b", "") "," CHANGE("1006", "rollout", "a", "b", "x") "]");
	cJSON *other = parse("[" CHANGE("1500", "circuit", "a", "b", "") "," CHANGE(
		"1501", "rollout", "d", "b", "x") "," CHANGE("9000", "circuit", "a", "c", "") "]");
	char whose[200];

	top_read_changes(m, one, "10.0.5.2:4191");
	ck_assert_uint_eq(m->n_changes, 7); /* of one agent each is one, the same again too */
	top_read_changes(m, other, "10.0.5.3:4191");
	ck_assert_uint_eq(m->n_changes, 8); /* known but for the last: it was eight seconds later */
	ck_assert_str_eq(m->changes[0].upstream, "c");
	top_change_whose(&m->changes[0], whose, sizeof(whose));
	ck_assert_str_eq(whose, "a -> c: ");
	top_change_whose(&m->changes[1], whose,
		sizeof(whose)); /* a rollout: its text names the service, all callers see it */
	ck_assert_str_eq(whose, "");
	ck_assert_str_eq(m->changes[3].subject, "10.0.0.2:1");
	m->changes[0].service[0] = '\0'; /* by hand on the node's agent */
	top_change_whose(&m->changes[0], whose, sizeof(whose));
	ck_assert_str_eq(whose, "c: ");
	cJSON_Delete(one);
	cJSON_Delete(other);
	top_model_free(m);
}
END_TEST

#define POINT(rate) "{\"rate\":" rate ",\"errors\":1,\"p50_ms\":1.5,\"p99_ms\":300,\"active\":7}"
#define STATE(sidecars, edges)                                                                               \
	"{\"hello\":{\"node\":\"n1\"},\"in\":" POINT("100") ",\"out\":" POINT(                               \
		"50") ",\"sidecars\":[" sidecars "],\"edges\":[" edges "]}"
#define INSTANCE(slot, rate)                                                                                 \
	"{\"name\":\"shop_alpha." slot "\",\"service\":\"alpha\",\"slot\":\"" slot                           \
	"\",\"node\":\"n1\",\"state\":\"serving\",\"handler\":\"up\",\"in\":" POINT(rate) ",\"out\":" POINT( \
		"2") "}"
#define EDGE_OF(instance, circuit)                                                                           \
	"{\"from\":\"alpha\",\"instance\":\"" instance                                                       \
	"\",\"to\":\"beta\",\"rate\":5,\"errors\":0,\"retries\":0.5,\"circuit\":\"" circuit                  \
	"\",\"healthy\":2,\"endpoints\":3}"

static struct top_model *model_of(const char *z, bool group)
{
	struct top_model *m = top_model_new();
	struct err err = { "" };
	cJSON *root = parse(z);

	ck_assert_msg(top_read_state(m, root, "", &err), "%s", err.text);
	top_model_finish(m, group);
	cJSON_Delete(root);
	return m;
}

START_TEST(instances_of_a_service)
{
	static const char state[] = STATE(INSTANCE("1", "10") "," INSTANCE("2", "30"),
		EDGE_OF("shop_alpha.1", "open") "," EDGE_OF("shop_alpha.2", "closed"));
	struct top_model *m = model_of(state, false);
	double open[2], endpoints[2], retries[2];

	ck_assert_uint_eq(m->tables[TOP_SERVICES].n, 2);
	for (unsigned i = 0; i < 2; i++) { /* each has what its own calls say, and no other's */
		const struct top_row *r = &m->tables[TOP_SERVICES].rows[i];
		open[i] = r->of[TOP_OPEN];
		endpoints[i] = r->of[TOP_ENDPOINTS];
		retries[i] = r->of[TOP_RETRIES];
	}
	ck_assert(open[0] == 1 && open[1] == 0);
	ck_assert(endpoints[0] == 3 && endpoints[1] == 3 && retries[0] == 0.5 && retries[1] == 0.5);
	ck_assert_uint_eq(m->tables[TOP_UPSTREAMS].n, 2);
	ck_assert_str_eq(m->tables[TOP_UPSTREAMS].rows[1].key, "shop_alpha.2");
	top_model_free(m);
	m = model_of(state, true); /* one row of the service, though their slots differ */
	ck_assert_uint_eq(m->tables[TOP_SERVICES].n, 1);
	const struct top_row *r = &m->tables[TOP_SERVICES].rows[0];
	ck_assert(r->of[TOP_RATE] == 40 && r->of[TOP_INSTANCES] == 2 && r->of[TOP_OPEN] == 1 &&
		  r->of[TOP_RETRIES] == 1);
	ck_assert_double_eq(r->of[TOP_ENDPOINTS], 3); /* both see the same three */
	ck_assert(!r->key[0] && !r->other[0]);        /* there is no one instance to name */
	top_model_free(m);
}
END_TEST

START_TEST(two_agents_of_one_node)
{
	static const char state[] = STATE(INSTANCE("1", "10"), EDGE_OF("shop_alpha.1", "open"));
	struct top_model *m = top_model_new();
	struct err err = { "" };
	cJSON *root = parse(state);

	ck_assert(top_read_state(m, root, "10.0.5.2:4191", &err) &&
		  top_read_state(m, root, "10.0.5.3:4191", &err));
	top_model_finish(m, false);
	ck_assert_uint_eq(m->tables[TOP_SERVICES].n, 2);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_double_eq(m->tables[TOP_SERVICES].rows[i].of[TOP_ENDPOINTS], 3);
	cJSON_Delete(root);
	top_model_free(m);
}
END_TEST

Suite *suite_top_read(void);
Suite *suite_top_read(void)
{
	Suite *s = suite_create("top_read");
	TCase *c = tcase_create("whose");

	tcase_add_test(c, changes_that_are_alike);
	tcase_add_test(c, instances_of_a_service);
	tcase_add_test(c, two_agents_of_one_node);
	suite_add_tcase(s, c);
	return s;
}
