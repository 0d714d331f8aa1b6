#include "control/ui/points.h"

#include "base/mem.h"

#include <math.h>
#include <stddef.h>

static uint64_t load(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

/* --- counts ------------------------------------------------------------------------------------------------------------------ */

void ui_delta_look(struct ui_delta *to, const struct durations *d)
{
	for (unsigned i = 0; i < DURATION_CLASSES; i++)
		to->n += load(&d->classes[i]);
	to->errors += load(&d->classes[DURATION_5XX]);
	for (unsigned i = 0; i < DURATION_BUCKETS; i++)
		to->buckets[i] += load(&d->buckets[i]);
}

void ui_delta_add(struct ui_delta *to, const struct ui_delta *d)
{
	to->n += d->n;
	to->errors += d->errors;
	to->retries += d->retries;
	for (unsigned i = 0; i < DURATION_BUCKETS; i++)
		to->buckets[i] += d->buckets[i];
}

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

void ui_delta_between(struct ui_delta *ret, const struct ui_delta *now, const struct ui_delta *before)
{
	*ret = (struct ui_delta){ .n = grown(now->n, before->n),
		.errors = grown(now->errors, before->errors),
		.retries = grown(now->retries, before->retries) };
	for (unsigned i = 0; i < DURATION_BUCKETS; i++)
		ret->buckets[i] = grown(now->buckets[i], before->buckets[i]);
}

/* --- a point ----------------------------------------------------------------------------------------------------------------- */

double ui_quantile(
	const uint64_t buckets[DURATION_BUCKETS], const struct duration_bounds *b, unsigned permille)
{
	uint64_t all = 0, below = 0;

	for (uint32_t i = 0; i <= b->n; i++)
		all += buckets[i];
	if (!all || !b->n)
		return NAN;
	double wanted = (double)all * permille / 1000;
	for (uint32_t i = 0; i < b->n; i++) {
		if (!buckets[i] || (double)(below + buckets[i]) < wanted) {
			below += buckets[i];
			continue;
		}
		double low = i ? b->us[i - 1] : 0, share = (wanted - (double)below) / (double)buckets[i];
		return low + (b->us[i] - low) * share;
	}
	return b->us[b->n - 1];
}

struct ui_point ui_point_of(const struct ui_delta *d, const struct duration_bounds *b, usec took)
{
	double seconds = took ? (double)took / USEC_SEC : 1;

	return (struct ui_point){
		.rate = (float)((double)d->n / seconds),
		.errors = (float)((double)d->errors / seconds),
		.p50 = (float)(ui_quantile(d->buckets, b, 500) / USEC_MS),
		.p95 = (float)(ui_quantile(d->buckets, b, 950) / USEC_MS),
		.p99 = (float)(ui_quantile(d->buckets, b, 990) / USEC_MS),
	};
}

static const struct {
	const char *key;
	size_t at;
} rows[] = { { "rate", offsetof(struct ui_point, rate) }, { "errors", offsetof(struct ui_point, errors) },
	{ "p50_ms", offsetof(struct ui_point, p50) }, { "p95_ms", offsetof(struct ui_point, p95) },
	{ "p99_ms", offsetof(struct ui_point, p99) } };

static float value(const struct ui_point *p, size_t at)
{
	float v;

	memcpy(&v, (const char *)p + at, sizeof(v));
	return v;
}

void ui_point_put(struct json *j, const struct ui_point *p)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_key(j, rows[i].key);
		json_num(j, (double)value(p, rows[i].at));
	}
}

/* --- ten minutes of them ----------------------------------------------------------------------------------------------------- */

static const struct ui_point quiet = { .p50 = NAN, .p95 = NAN, .p99 = NAN };

static struct ui_point *side_of(const struct ui_history *h, enum ui_side side)
{
	return h->at + (size_t)side * UI_POINTS;
}

static void begin(struct ui_history *h)
{
	h->at = mem_alloc(UI_SIDES * UI_POINTS * sizeof(*h->at));
	for (size_t i = 0; h->at && i < (size_t)UI_SIDES * UI_POINTS; i++)
		h->at[i] = quiet;
}

void ui_history_put(struct ui_history *h, const struct ui_point p[UI_SIDES])
{
	if (!h->at && (p[UI_IN].rate > 0 || p[UI_OUT].rate > 0))
		begin(h);
	for (unsigned side = 0; h->at && side < UI_SIDES; side++)
		side_of(h, (enum ui_side)side)[h->next] = p[side];
	h->next = (h->next + 1) % UI_POINTS;
	h->n += h->n < UI_POINTS;
}

/* Of n points from one on, as one. */
static double together(const struct ui_history *h, enum ui_side side, uint32_t at, uint32_t n, size_t row)
{
	bool is_rate = row < 2;
	double sum = 0, most = NAN;

	for (uint32_t i = 0; i < n; i++) {
		double v = (double)value(
			h->at ? &side_of(h, side)[(at + i) % UI_POINTS] : &quiet, rows[row].at);
		sum += is_rate ? v : 0;
		if (v > most || isnan(most))
			most = v;
	}
	return is_rate ? sum / n : most;
}

static void print_row(
	const struct ui_history *h, struct json *j, enum ui_side side, size_t row, uint32_t step)
{
	uint32_t at = (h->next + UI_POINTS - h->n) % UI_POINTS;

	json_key(j, rows[row].key);
	json_array(j);
	for (uint32_t i = 0; i < h->n; i += step) {
		uint32_t n = h->n - i < step ? h->n - i : step;
		json_num(j, together(h, side, (at + i) % UI_POINTS, n, row));
	}
	json_end(j);
}

void ui_history_print(const struct ui_history *h, struct json *j, unsigned points)
{
	static const char *const names[UI_SIDES] = { "in", "out" };

	for (unsigned side = 0; side < UI_SIDES; side++) {
		json_key(j, names[side]);
		json_object(j);
		for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
			print_row(h, j, (enum ui_side)side, row, ui_history_step(points));
		json_end(j);
	}
}

void ui_history_release(struct ui_history *h)
{
	mem_free(h->at);
	*h = (struct ui_history){ NULL, 0, 0 };
}
