/* Options to spec: traces and the access log. */
#include "control/build_int.h"

#include "control/access_format.h"
#include "control/option_trace.h"

bool build_put_trace(struct build *b)
{
	struct spec_trace *t = &b->s->trace;
	struct str exporters = options_text(b->o, OPT_TRACE), sample = options_text(b->o, OPT_TRACE_SAMPLE);
	uint8_t kinds[4];

	t->on = !str_ieq(exporters, STR("off"));
	t->told = t->on && exporters.n;
	t->join = options_bool(b->o, OPT_TRACE_JOIN);
	t->infer = options_bool(b->o, OPT_TRACE_INFER);
	if (!option_trace_kinds(options_text(b->o, OPT_TRACE_READ), t->order) || !option_trace_kinds(options_text(b->o, OPT_TRACE_WRITE), kinds))
		return false;
	for (unsigned i = 0; i < 4; i++)
		t->write |= kinds[i];
	if (str_ieq(sample, STR("auto")))
		sample = t->told ? STR("100/s") : STR("10/s");
	t->cell = slots_trace(b->q.slots, b->s->slot);
	return option_sampler(sample, &t->sampler);
}

bool build_put_access(struct build *b)
{
	struct spec_access *a = &b->s->access;

	a->on = options_bool(b->o, OPT_ACCESS_LOG);
	a->share = (uint16_t)(options_u64(b->o, OPT_ACCESS_SAMPLE) * 100);
	a->slow = options_duration(b->o, OPT_ACCESS_SLOW);
	struct str format = options_text(b->o, OPT_ACCESS_FORMAT);
	if (!str_ieq(format, STR("json")))
		a->format = access_format_keep(&b->s->arena, format);
	return a->format || str_ieq(format, STR("json"));
}
