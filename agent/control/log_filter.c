#include "control/log_filter.h"

static bool take_text(struct httpd_request *r, const char *name, char dst[LOG_FILTER_TEXT])
{
	struct str s = httpd_query(r, name);

	dst[0] = '\0';
	return !s.n || str_copy(s, dst, LOG_FILTER_TEXT);
}

const char *log_filter_read(struct log_filter *f, struct httpd_request *r, uint64_t seat)
{
	struct str level = httpd_query(r, "level"), kind = httpd_query(r, "kind");
	enum log_level l = LEVEL_DEBUG;

	*f = (struct log_filter){ .seat = seat };
	if (!take_text(r, "service", f->service) || !take_text(r, "subsystem", f->subsystem) || !take_text(r, "q", f->q))
		return "service, subsystem or q is longer than 255 bytes.";
	if (level.n && !log_level_parse(level, &l))
		return "level is error, warn, info or debug.";
	f->level = (uint8_t)l;
	for (f->kind = 0; kind.n && f->kind < LOG_KINDS; f->kind++)
		if (str_eq(kind, str_of(log_kind_word(f->kind))))
			return NULL;
	f->kind = LOG_KINDS;
	return kind.n ? "kind is agent, access or app." : NULL;
}

static unsigned char low(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static bool holds(struct str s, struct str q)
{
	for (size_t i = 0; q.n <= s.n && i <= s.n - q.n; i++)
		if (low(s.p[i]) == low(q.p[0]) && str_ieq(str_make(s.p + i, q.n), q))
			return true;
	return false;
}

static bool any_holds(const struct log_record *r, struct str q)
{
	const struct str all[] = { r->message, r->members, r->subsystem, r->service, r->task, r->trace_id, r->span_id };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (holds(all[i], q))
			return true;
	return false;
}

bool log_filter_fits(const void *filter, const struct log_record *r)
{
	const struct log_filter *f = filter;

	return r->level <= f->level && (f->kind == LOG_KINDS || f->kind == r->kind) && (!f->seat || f->seat == r->seat) &&
	       (!f->service[0] || str_eq(str_of(f->service), r->service)) && (!f->subsystem[0] || str_eq(str_of(f->subsystem), r->subsystem)) &&
	       (!f->q[0] || any_holds(r, str_of(f->q)));
}
