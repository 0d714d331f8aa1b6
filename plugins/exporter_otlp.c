/* `otlp:URL[|URL]`: spans as OTLP/HTTP JSON to an OpenTelemetry collector. How they wait and go: span_post.h; their bytes: otlp_json.h. Answers
 * (opentelemetry-proto, docs/specification.md, "OTLP/HTTP response"): 2xx taken, but for the rejectedSpans of its partialSuccess; 429, 502, 503
 * and 504 once more, when Retry-After says; any other refused. */
#include "http/bounded_json.h"
#include "otlp_json.h"
#include "span_peers.h"

static const struct json_limits limits = { .bytes = SPAN_ANSWER_MAX, .nodes = 64, .depth = 8 };

/* What was left out of a batch that was taken. An answer that cannot be read left nothing out. */
static void read_partial(struct str body, uint64_t *rejected, struct err *words)
{
	cJSON *root = body.n ? bounded_json_parse(body, &limits, NULL) : NULL;
	const cJSON *partial = root ? cJSON_GetObjectItemCaseSensitive(root, "partialSuccess") : NULL;
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(partial, "rejectedSpans");
	const cJSON *message = cJSON_GetObjectItemCaseSensitive(partial, "errorMessage");

	if (cJSON_IsString(n) && !str_u64(str_of(n->valuestring), rejected))
		*rejected = 0;
	if (cJSON_IsString(message))
		span_words(str_of(message->valuestring), words);
	cJSON_Delete(root);
}

static enum span_verdict judge(const struct fetch_reply *r, uint64_t *rejected, struct err *words)
{
	if (r->status >= 200 && r->status < 300) {
		read_partial(r->body, rejected, words);
		return SPAN_TAKEN;
	}
	return r->status == 429 || (r->status >= 502 && r->status <= 504) ? SPAN_AGAIN : SPAN_REFUSED;
}

#define LITERAL(lit) { "" lit, sizeof(lit) - 1 }

static const struct span_kind_of_peer kind = {
	.plugin = "otlp",
	.path = "/v1/traces",
	.ca_option = "outrider.otlp.ca",
	.form = "otlp:http://collector:4318",
	.format = { .write = otlp_json_span,
		    .by_service = true,
		    .open = LITERAL("{\"resourceSpans\":["),
		    .group_open = LITERAL("{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\""),
		    .group_mid = LITERAL("\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"outrider\"},\"spans\":["),
		    .between = LITERAL(","),
		    .group_close = LITERAL("]}]}"),
		    .close = LITERAL("]}") },
	.judge = judge,
};

static struct exporter *otlp_open(const struct exporter_config *c, const struct exporter_events *events, void *arg, struct err *err)
{
	return span_post_open(&kind, c, events, arg, err);
}

extern const struct exporter_ops exporter_otlp;
const struct exporter_ops exporter_otlp = {
	.name = "otlp",
	.help = "otlp:URL, such as otlp:http://collector:4318; several by |",
	.open = otlp_open,
	.put = span_post_put,
	.counts = span_post_counts,
	.flush = span_post_flush,
	.close = span_post_close,
};
