#include "control/record_filter.h"

#include "base/reason.h"
#include "base/unit.h"
#include "control/option_value.h"

bool record_filter_status(struct str s, uint16_t *low, uint16_t *high)
{
	int from, to;

	if (!option_statuses(s, &from, &to))
		return false;
	*low = (uint16_t)from;
	*high = (uint16_t)to;
	return true;
}

static bool read_reason(struct str s, uint16_t *ret)
{
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		if (str_eq(s, str_of(reason_word((enum reason)i)))) {
			*ret = (uint16_t)i;
			return true;
		}
	}
	return false;
}

static bool read_text(struct httpd_request *r, const char *name, char *dst, size_t cap)
{
	return str_copy(httpd_query(r, name), dst, cap);
}

const char *record_filter_read(struct record_filter *f, struct httpd_request *r)
{
	*f = (struct record_filter){ .low = 0 };
	const struct { const char *name; char *dst; size_t cap; } texts[] = {
		{ "service", f->service, sizeof(f->service) }, { "upstream", f->upstream, sizeof(f->upstream) }, { "route", f->route, sizeof(f->route) },
		{ "path", f->path, sizeof(f->path) }, { "method", f->method, sizeof(f->method) },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!read_text(r, texts[i].name, texts[i].dst, texts[i].cap))
			return texts[i].name;
	struct str status = httpd_query(r, "status"), reason = httpd_query(r, "reason"), slow = httpd_query(r, "slow"), retried = httpd_query(r, "retried");
	if (status.n && !record_filter_status(status, &f->low, &f->high))
		return "status";
	if (reason.n && !read_reason(reason, &f->reason))
		return "reason";
	if (slow.n && !duration_parse(slow, &f->slow))
		return "slow";
	if (retried.n && !str_ieq(retried, STR("true")) && !str_ieq(retried, STR("false")))
		return "retried";
	f->retried = str_ieq(retried, STR("true"));
	return NULL;
}

static bool is_text(const char *want, struct str is)
{
	return !want[0] || str_ieq(is, str_of(want));
}

bool record_filter_fits(const struct record_filter *f, const struct telemetry_who *who, const struct record *r)
{
	if (f->low && (r->status < f->low || r->status > f->high))
		return false;
	if (f->retried && r->n_tries < 2)
		return false;
	if ((f->reason && r->reason != f->reason) || (f->slow && r->duration < f->slow))
		return false;
	return is_text(f->service, who->service) && is_text(f->method, record_text(r, RECORD_METHOD)) &&
	       is_text(f->upstream, record_text(r, RECORD_UPSTREAM)) && is_text(f->route, record_text(r, RECORD_ROUTE)) &&
	       (!f->path[0] || str_starts(record_text(r, RECORD_PATH), str_of(f->path)));
}
