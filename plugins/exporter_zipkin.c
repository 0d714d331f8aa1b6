/* `zipkin:URL[|URL]`: spans as v2 JSON to Zipkin, or to what takes the same (Jaeger, Tempo, the OpenTelemetry collector). How they wait and go:
 * span_post.h; their bytes: zipkin_json.h. Answers (openzipkin/zipkin, ZipkinHttpCollector.java; shared knowledge: zipkin, section 2):
 *
 *     2xx                              taken
 *     429, 5xx                         once more
 *     500 that speaks of gzip or 413   refused: the same again would get the same
 *     any other                        refused; one bad span refuses its whole batch */
#include "span_post.h"
#include "zipkin_json.h"

static bool speaks_of(struct str body, const char *word)
{
	return body.n && memmem(body.p, body.n, word, strlen(word));
}

static enum span_verdict judge(const struct fetch_reply *r, uint64_t *rejected, struct err *words)
{
	(void)rejected;
	(void)words;
	if (r->status >= 200 && r->status < 300)
		return SPAN_TAKEN;
	if (r->status == 500 && (speaks_of(r->body, "GZIP") || speaks_of(r->body, "gzip") || str_starts(r->body, STR("413 "))))
		return SPAN_REFUSED;
	return r->status == 429 || r->status >= 500 ? SPAN_AGAIN : SPAN_REFUSED;
}

static const struct span_kind_of_peer kind = {
	.plugin = "zipkin",
	.path = "/api/v2/spans",
	.ca_option = "outrider.zipkin.ca",
	.form = "zipkin:http://zipkin:9411",
	.format = { .write = zipkin_json_span, .open = { "[", 1 }, .close = { "]", 1 }, .between = { ",", 1 } },
	.judge = judge,
};

static struct exporter *zipkin_open(const struct exporter_config *c, const struct exporter_events *events, void *arg, struct err *err)
{
	return span_post_open(&kind, c, events, arg, err);
}

extern const struct exporter_ops exporter_zipkin;
const struct exporter_ops exporter_zipkin = {
	.name = "zipkin",
	.help = "zipkin:URL, such as zipkin:http://zipkin:9411; several by |",
	.open = zipkin_open,
	.put = span_post_put,
	.counts = span_post_counts,
	.flush = span_post_flush,
	.close = span_post_close,
};
