/* The simulation's plot: latency by percentile, and where the requests went. Plain SVG, no library. */
#include "simulate.h"

#include <math.h>

#define WIDTH 960
#define HEIGHT 420
#define TOP 50
#define BOTTOM 350
#define LEFT_1 70 /* first panel */
#define RIGHT_1 400
#define LEFT_2 640 /* second panel; its names stand to the left of it */
#define RIGHT_2 930

static const char *const colors[] = { "#d95f02", "#7570b3", "#66a61e", "#0b3c6f" };
static const char *const kinds[KINDS] = { "normal", "10 × slower", "refusing" };
static const char *const kind_colors[KINDS] = { "#0b3c6f", "#e6ab02", "#c0392b" };

static double x_of(unsigned quantile)
{
	return LEFT_1 + (RIGHT_1 - LEFT_1) * (double)quantile / (QUANTILES - 1);
}

/* Logarithmic, 1 ms to 1 s. */
static double y_of(double ms)
{
	double v = log10(ms < 1 ? 1 : ms > 1000 ? 1000 : ms) / 3;

	return BOTTOM - (BOTTOM - TOP) * v;
}

static void axes(FILE *out)
{
	static const int marks[] = { 1, 3, 10, 30, 100, 300, 1000 };

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		fprintf(out,
			"<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>"
			"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n",
			LEFT_1, RIGHT_1, y_of(marks[i]), y_of(marks[i]), LEFT_1 - 8, y_of(marks[i]) + 4,
			marks[i]);
	for (unsigned q = 0; q < QUANTILES; q++)
		fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x_of(q),
			BOTTOM + 20, simulate_quantile_names[q]);
}

static void curve(FILE *out, const struct result *r, unsigned i)
{
	const char *color = colors[i % (sizeof(colors) / sizeof(colors[0]))];

	fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\" points=\"", color);
	for (unsigned q = 0; q < QUANTILES; q++)
		fprintf(out, "%.1f,%.1f ", x_of(q),
			y_of((double)hist_quantile(&r->latency, simulate_quantiles[q]) / 1e6));
	fprintf(out, "\"/>\n");
}

/* One row per policy: its name in its curve's colour, and a bar for each kind of server. */
static void bars(FILE *out, const struct result *r, unsigned i, unsigned n)
{
	double height = (double)(BOTTOM - TOP) / n, y = TOP + height * i, bar = (height - 10) / KINDS;
	double one = (RIGHT_2 - LEFT_2) / 2.0; /* the even share stands in the middle */

	fprintf(out,
		"<line x1=\"418\" x2=\"436\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"4\"/>"
		"<text x=\"444\" y=\"%.1f\">%s</text><text x=\"444\" y=\"%.1f\" fill=\"#666\">%.2f %% "
		"failed</text>\n",
		y + 12, y + 12, colors[i % (sizeof(colors) / sizeof(colors[0]))], y + 16, r->name, y + 31,
		100.0 * (double)r->failed / (double)r->requests);
	for (unsigned k = 0; k < KINDS; k++) {
		double width = r->share[k] > 2 ? RIGHT_2 - LEFT_2 : r->share[k] * one;
		fprintf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n",
			LEFT_2, y + 3 + bar * k, width < 1 ? 1 : width, bar - 1, kind_colors[k]);
	}
}

static void legend(FILE *out)
{
	for (unsigned k = 0; k < KINDS; k++)
		fprintf(out,
			"<rect x=\"%u\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%u\" "
			"y=\"%d\">%s</text>\n",
			LEFT_2 + k * 95, BOTTOM + 32, kind_colors[k], LEFT_2 + 17 + k * 95, BOTTOM + 43,
			kinds[k]);
}

bool simulate_plot(FILE *out, const struct result *results, unsigned n)
{
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
		"font-size=\"12\">\n"
		"<title>Balancing policies in a simulation</title>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
		"<text x=\"%d\" y=\"28\" font-size=\"15\">Latency of good replies, ms</text>\n"
		"<text x=\"%d\" y=\"28\" font-size=\"15\">Requests per server (line: even share)</text>\n",
		WIDTH, HEIGHT, LEFT_1, LEFT_2);
	axes(out);
	for (unsigned i = 0; i < n; i++)
		curve(out, &results[i], i);
	for (unsigned i = 0; i < n; i++)
		bars(out, &results[i], i, n);
	fprintf(out,
		"<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"#444\" stroke-dasharray=\"4 3\"/>\n",
		(LEFT_2 + RIGHT_2) / 2, (LEFT_2 + RIGHT_2) / 2, TOP, BOTTOM);
	legend(out);
	fprintf(out, "</svg>\n");
	return !ferror(out);
}
