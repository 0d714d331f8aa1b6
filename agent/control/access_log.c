#include "control/access_log.h"

#include "base/mem.h"
#include "base/unit.h"
#include "control/access_format.h"
#include "control/slots.h"
#include "proxy/spec.h"

#define SAYS_MAX 1024u

struct said { /* what the first line of the sidecar of that slot was */
	uint64_t seat;
	struct spec_access of;
};

struct access_log {
	void (*line)(void *arg, struct str line);
	void *arg;
	struct line *l;
	struct access_log_counts counts;
	struct said said[SLOTS_SIDECARS_MAX];
};

struct access_log *access_log_new(void (*line)(void *arg, struct str line), void *arg, struct err *err)
{
	struct access_log *a = mem_zalloc(sizeof(*a));
	struct line *l = line_new();

	if (!a || !l) {
		mem_free(a);
		line_free(l);
		err_set(err, "the access log: out of memory");
		return NULL;
	}
	*a = (struct access_log){ .line = line, .arg = arg, .l = l };
	return a;
}

void access_log_free(struct access_log *a)
{
	if (!a)
		return;
	line_free(a->l);
	mem_free(a);
}

struct access_log_counts access_log_counts(const struct access_log *a)
{
	return a->counts;
}

static void give(struct access_log *a)
{
	if (a->l->cut) {
		a->counts.cut++;
		return;
	}
	a->counts.lines++;
	a->line(a->arg, line_str(a->l));
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
	const struct access_format *f = who->spec->access.format;
	struct text t;

	text_init(&t, SAYS_MAX);
	describe(&t, &who->spec->access);
	line_clear(a->l);
	line_add(a->l, f && !f->json ? STR("# ") : STR("{\"time\":\""));
	line_time(a->l, r->started);
	line_add(a->l, f && !f->json ? STR(" access log of ") : STR("\",\"type\":\"access-log\",\"service\":\""));
	line_value(a->l, who->service);
	line_add(a->l, f && !f->json ? STR(": ") : STR("\",\"message\":\""));
	line_value(a->l, text_str(&t));
	line_add(a->l, f && !f->json ? STR("") : STR("\"}"));
	text_release(&t);
	give(a);
}

/* Formats of two specs with equal text are different objects: only the kind of form is compared. */
static bool is_said(const struct said *s, uint64_t seat, const struct spec_access *now)
{
	return s->seat == seat && s->of.share == now->share && s->of.slow == now->slow && !s->of.format == !now->format;
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
	line_clear(a->l);
	access_line(a->l, who->spec ? who->spec->access.format : NULL, who, r);
	give(a);
}
