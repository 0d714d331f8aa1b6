#include "control/access_log.h"

#include "base/mem.h"
#include "base/unit.h"
#include "control/access_format.h"
#include "control/log.h"
#include "control/slots.h"
#include "proxy/spec.h"

#define SAYS_MAX 1024u

struct said { /* what the first line of the sidecar of that slot was */
	uint64_t seat;
	struct spec_access of;
};

struct access_log {
	void (*put)(void *arg, const struct log_record *r);
	void *arg;
	struct line *json, *line, *message;
	struct access_log_counts counts;
	struct said said[SLOTS_SIDECARS_MAX];
};

struct access_log *access_log_new(void (*put)(void *arg, const struct log_record *r), void *arg, struct err *err)
{
	struct access_log *a = mem_zalloc(sizeof(*a));

	if (a) {
		*a = (struct access_log){ .put = put, .arg = arg, .json = line_new(), .line = line_new(), .message = line_new() };
		if (a->json && a->line && a->message)
			return a;
	}
	access_log_free(a);
	err_set(err, "the access log: out of memory");
	return NULL;
}

void access_log_free(struct access_log *a)
{
	if (!a)
		return;
	line_free(a->json);
	line_free(a->line);
	line_free(a->message);
	mem_free(a);
}

struct access_log_counts access_log_counts(const struct access_log *a)
{
	return a->counts;
}

static void give(struct access_log *a, const struct log_record *r)
{
	if (a->json->cut || a->line->cut) {
		a->counts.cut++;
		return;
	}
	a->counts.lines++;
	a->put(a->arg, r);
}

static struct log_record record_of(const struct telemetry_who *who, const struct record *r)
{
	return (struct log_record){ .wall = r->started, .seat = who->seat, .level = LEVEL_INFO, .kind = LOG_KIND_ACCESS, .service = who->service,
		.stack = who->stack, .slot = who->slot, .node = who->node };
}

static bool has_form(const struct telemetry_who *who)
{
	return who->spec && who->spec->access.format && !who->spec->access.format->json;
}

/* --- the first line ---------------------------------------------------------------------------------------------------------- */

static void add_share(struct text *t, uint16_t share)
{
	text_u64(t, share / 100u);
	if (share % 100u)
		text_fmt(t, ".%02u", share % 100u);
	text_addz(t, " %");
}

static void describe(struct text *t, const struct spec_access *s)
{
	if (s->share >= 10000) {
		text_addz(t, "every request");
	} else {
		text_addz(t, "every failure");
		if (s->slow) {
			text_addz(t, ", everything slower than ");
			duration_text(t, s->slow);
		}
		if (s->share) {
			text_addz(t, ", ");
			add_share(t, s->share);
			text_addz(t, " of the rest");
		} else {
			text_addz(t, ", nothing of the rest");
		}
	}
	text_addz(t, " (access.sample, access.slow); paths without query, of the header user-agent alone");
}

static void say(struct access_log *a, const struct telemetry_who *who, const struct record *r)
{
	struct log_record out = record_of(who, r);
	struct text t;

	text_init(&t, SAYS_MAX);
	describe(&t, &who->spec->access);
	line_clear(a->json);
	line_add(a->json, STR("{\"time\":\""));
	line_time(a->json, r->started);
	line_add(a->json, STR("\",\"level\":\"info\",\"type\":\"access-log\",\"service\":\""));
	line_value(a->json, who->service);
	line_add(a->json, STR("\",\"message\":\""));
	line_value(a->json, text_str(&t));
	line_add(a->json, STR("\"}"));
	line_clear(a->line);
	line_add(a->line, STR("# "));
	line_time(a->line, r->started);
	line_add(a->line, STR(" access log of "));
	line_value(a->line, who->service);
	line_add(a->line, STR(": "));
	line_value(a->line, text_str(&t));
	out.message = text_str(&t);
	out.json = line_str(a->json);
	out.line = has_form(who) ? line_str(a->line) : STR("");
	give(a, &out);
	text_release(&t);
}

/* Formats of two specs with equal text are different objects: only the kind of form is compared. */
static bool is_said(const struct said *s, uint64_t seat, const struct spec_access *now)
{
	return s->seat == seat && s->of.share == now->share && s->of.slow == now->slow && !s->of.format == !now->format;
}

static void put_exchange(struct access_log *a, const struct telemetry_who *who, const struct record *r)
{
	struct log_record out = record_of(who, r);

	line_clear(a->json);
	line_clear(a->line);
	line_clear(a->message);
	out.members = access_line_members(a->json, who, r);
	out.json = line_str(a->json);
	if (has_form(who))
		access_line(a->line, who->spec->access.format, who, r);
	out.line = line_str(a->line);
	access_message(a->message, r);
	out.message = line_str(a->message);
	size_t begin = a->message->n;
	if (r->trace_hi)
		line_hex(a->message, r->trace_hi);
	if (r->trace_hi | r->trace_lo)
		line_hex(a->message, r->trace_lo);
	out.trace_id = str_make(a->message->mem + begin, a->message->n - begin);
	out.level = (uint8_t)access_level(r);
	give(a, &out);
}

void access_log_record(void *log, const struct telemetry_who *who, const struct record *r, uint32_t n)
{
	struct access_log *a = log;

	(void)n;
	if (!(r->why & RECORD_LOGGED))
		return;
	if (who->spec && r->slot < SLOTS_SIDECARS_MAX && !is_said(&a->said[r->slot], who->seat, &who->spec->access)) {
		a->said[r->slot] = (struct said){ who->seat, who->spec->access };
		say(a, who, r);
	}
	put_exchange(a, who, r);
}
