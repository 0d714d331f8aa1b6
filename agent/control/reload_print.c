/* What /config and /stats say of the configuration that runs and of changes that were refused. */
#include "control/reload_int.h"

#include "base/json.h"

static void put_time(struct json *j, const char *key, usec at)
{
	char iso[25];
	if (at)
		clock_iso(at, iso);
	json_key(j, key);
	json_strz(j, at ? iso : NULL);
}

static void put_snapshot(const struct reload *r, struct json *j)
{
	const struct reload_stats *s = &r->stats;
	usec now = clock_wall();
	struct text hash;

	text_init(&hash, 32);
	text_fmt(&hash, "%016llx", (unsigned long long)s->hash);
	json_put_u64(j, "version", s->version);
	json_put_str(j, "hash", text_str(&hash));
	json_put_u64(j, "age_seconds", s->at && now > s->at ? (now - s->at) / USEC_SEC : 0);
	put_time(j, "since", s->at);
	json_put_u64(j, "properties", s->properties);
	text_release(&hash);
}

static void put_notes(struct json *j, const struct reload_notes *n)
{
	json_array(j);
	for (size_t i = 0; i < n->n; i++) {
		const struct reload_note *at = &n->at[i];
		json_object(j);
		json_put_str(j, "key", at->key);
		json_put_str(j, "value", at->value);
		json_put_str(j, "origin", at->origin);
		json_put_str(j, "why", at->why);
		json_end(j);
	}
	json_end(j);
}

static void put_sources(const struct reload *r, struct json *j)
{
	json_array(j);
	for (size_t i = 0; i < sources_count(r->sources); i++) {
		struct source_view v = sources_view(r->sources, i);
		json_object(j);
		json_put_str(j, "source", str_of(v.name));
		json_key(j, "well");
		json_bool(j, v.trouble[0] == '\0');
		json_key(j, "trouble");
		json_strz(j, v.trouble[0] ? v.trouble : NULL);
		json_key(j, "cached");
		json_bool(j, !v.said && v.n);
		json_put_u64(j, "properties", v.n);
		json_put_u64(j, "times", v.times);
		put_time(j, "changed_at", v.at);
		json_end(j);
	}
	json_end(j);
}

void reload_print(const struct reload *r, struct json *j)
{
	json_key(j, "snapshot");
	json_object(j);
	put_snapshot(r, j);
	json_end(j);
	json_key(j, "sources");
	put_sources(r, j);
	json_key(j, "rejected");
	if (r->rejected.n) {
		json_object(j);
		put_time(j, "at", r->rejected_at);
		json_put_u64(j, "in_row", r->stats.in_row);
		json_put_u64(j, "problems_total", r->rejected.total);
		json_key(j, "problems");
		put_notes(j, &r->rejected);
		json_end(j);
	} else {
		json_null(j);
	}
	json_key(j, "needs_restart");
	put_notes(j, &r->held);
}

void reload_print_stats(const struct reload *r, struct json *j)
{
	const struct reload_stats *s = &r->stats;

	json_key(j, "config");
	json_object(j);
	put_snapshot(r, j);
	json_put_u64(j, "reloads_applied_total", s->applied);
	json_put_u64(j, "reloads_rejected_total", s->rejected);
	json_put_u64(j, "reloads_unchanged_total", s->unchanged);
	json_put_u64(j, "rejected_in_row", s->in_row);
	json_put_u64(j, "last_reload_us", s->took);
	json_put_u64(j, "last_reload_longest_callback_us", s->slice);
	json_put_u64(j, "longest_callback_us", s->longest);
	size_t troubled = 0;
	for (size_t i = 0; i < sources_count(r->sources); i++)
		troubled += sources_view(r->sources, i).trouble[0] != '\0';
	json_put_u64(j, "sources_in_trouble", troubled);
	json_end(j);
}
