/* The simulation's results, as its plot takes them. */
#ifndef SIMULATE_H
#define SIMULATE_H

#include "hist.h"

#include <stdbool.h>
#include <stdio.h>

enum kind { NORMAL, SLOW, FAILING, KINDS };

struct result { /* of one policy, measured after warming up */
	char name[32];
	struct hist latency; /* of good replies, ns */
	uint64_t requests, failed;
	double share[KINDS]; /* requests per server of a kind, by the even share */
	double most;         /* the same of the busiest normal server */
	double seconds;      /* real time that it took */
};

#define QUANTILES 5
extern const double simulate_quantiles[QUANTILES];
extern const char *const simulate_quantile_names[QUANTILES];

/* Writes the plot; false: see errno. */
bool simulate_plot(FILE *out, const struct result *results, unsigned n);

#endif
