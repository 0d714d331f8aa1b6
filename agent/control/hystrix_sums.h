/* Circuits of one name added up, of the sidecars of a node or of the agents of a swarm; and that on its way from one agent to another:
 *
 *     {"figures":37,"left_out":0,"circuits":[["accountservice.quotes","accountservice","accountservice.quotes",1,0,…],…]}
 *
 * the numbers of `enum hystrix_figure` in its order. An agent of another version that has other figures is not understood, which its
 * count of figures tells. Bounded: HYSTRIX_SUMS_MAX names; what comes beyond is counted. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_HYSTRIX_SUMS_H
#define OUTRIDER_CONTROL_HYSTRIX_SUMS_H

#include "base/arena.h"
#include "base/table.h"
#include "control/hystrix_figures.h"

#include <cjson/cJSON.h>

#define HYSTRIX_SUMS_MAX 2048u
#define HYSTRIX_NAME_MAX 1280u /* bytes of a circuit's name */

struct hystrix_sums {
	struct table by_name;
	struct arena memory;
	struct hystrix_figures *first, *last; /* in the order in which they came */
	unsigned n, left_out;
};

void hystrix_sums_init(struct hystrix_sums *s, uint64_t seed);
void hystrix_sums_release(struct hystrix_sums *s); /* init again before use */
void hystrix_sums_add(struct hystrix_sums *s, const struct hystrix_figures *f); /* copies the names */

/* What does not fit into t is left out, and counted so. */
void hystrix_sums_write(struct text *t, const struct hystrix_sums *s);
/* Adds what another agent wrote. tree: of bounded_json.h, its numbers are texts. */
bool hystrix_sums_read(struct hystrix_sums *s, const cJSON *tree, struct err *err) MUST_CHECK;

#endif
