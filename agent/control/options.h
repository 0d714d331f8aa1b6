/* Options: one table (options.def), many layers, every value with its origin (DESIGN section 4).
 *
 *     struct options *o = options_new();
 *     if (!options_add_env(o, environ, &err) || !options_add_flags(o, argc, argv, &first_free, &err)) …no memory…
 *     if (!options_check(o, COMMAND_SIDECAR, &err))
 *             for (i = 0; i < options_problem_count(o); i++) fputs(options_problem(o, i)->text, stderr);
 *     n = options_u64(o, OPT_LIMIT_FIELDS);  t = options_duration(o, OPT_TIMEOUT_IDLE);
 *
 * Bad keys and values do not stop the reading: they are collected as problems, the value stays what weaker layers
 * or the default say, and options_check() adds what only shows when all is read (clashing ports, missing names).
 * So a function that returns false ran out of memory or of room; err says which.
 *
 * A value belongs to a row of the table and, for rows of scope upstream and route, to a *subject*: the name of the
 * service or route. The subject `default` is what other services fall back to.
 *
 * Everything returned (struct str, const char *) lives until options_free() or until the same key is set again in the
 * same layer. Secrets lie in memory of their own and are wiped when they are replaced or freed.
 * Bounds: OPTIONS_VALUE_MAX a value, OPTIONS_KEYS_MAX keys, OPTIONS_MEMORY_MAX in all. Thread: the owner's (control). */
#ifndef OUTRIDER_CONTROL_OPTIONS_H
#define OUTRIDER_CONTROL_OPTIONS_H

#include "base/clock.h"
#include "base/text.h"

#define OPTIONS_VALUE_MAX (64u * 1024u)           /* bytes of one value */
#define OPTIONS_KEY_MAX 512u                      /* bytes of one key */
#define OPTIONS_KEYS_MAX 65536u                   /* different keys; as many values per layer */
#define OPTIONS_MEMORY_MAX (64u * 1024u * 1024u)  /* keys, values and origins together */
#define OPTIONS_PROBLEMS_MAX 64u                  /* kept with their text; more are only counted */
#define OPTIONS_LIST_MAX 4096u                    /* items of a list */
#define OPTIONS_DEFAULT_SUBJECT "default"

/* --- the table ------------------------------------------------------------------------------------------------ */

enum option_id {
#define OPTION(id, name, type, min, max, def, unit, scope, who, change, flags, help) OPT_##id,
#include "options.def"
#undef OPTION
	OPT_COUNT
};

enum option_type {
	OPTION_CHOICE, OPTION_UINT, OPTION_BOOL, OPTION_DURATION, OPTION_SIZE, OPTION_PERCENT, OPTION_TEXT,
	OPTION_NAME, OPTION_SECRET, OPTION_LISTEN, OPTION_HANDLER, OPTION_ENDPOINTS, OPTION_CIDRS, OPTION_HOSTS,
	OPTION_UPSTREAMS, OPTION_PLUGINS, OPTION_PREFIX, OPTION_HOST, OPTION_CHECK, OPTION_STATUSES, OPTION_FIELDS, OPTION_SAMPLER, OPTION_TRACE_FIELDS, OPTION_ACCESS_FORMAT, OPTION_LOG_LEVELS,
	OPTION_BUCKETS, OPTION_SUBSETS, OPTION_HASH, OPTION_COOKIE,
	OPTION_TYPES
};

enum option_scope { SCOPE_PROCESS, SCOPE_SIDECAR, SCOPE_UPSTREAM, SCOPE_ROUTE };
enum option_who { WHO_PROCESS, WHO_OPERATOR, WHO_CONTAINER };
enum option_change { CHANGE_LIVE, CHANGE_RESTART };
enum option_flag { OPTION_OFF = 1, OPTION_AUTO = 2, OPTION_SECURITY = 4, OPTION_NODEFAULT = 8, OPTION_BY_ROUTE = 16 /* of an upstream, and may be said of one route */ };

struct option_row {
	const char *name; /* "timeout.connect", without outrider. and subject */
	uint8_t type;     /* enum option_type */
	uint8_t scope, who, change;
	uint8_t flags;    /* enum option_flag */
	uint64_t min, max;
	const char *def, *unit, *help;
};

const struct option_row *option_row(enum option_id id);

/* --- layers ---------------------------------------------------------------------------------------------------- */

/* Stronger ones are greater. The sources of outrider.config are LAYER_SOURCE(0), strongest, to LAYER_SOURCE(31). */
enum option_layer {
	LAYER_DEFAULT = 0,
	LAYER_SOURCE_FIRST = 32,
	LAYER_LABEL = 40,         /* of a container */
	LAYER_CONTAINER_ENV = 41, /* in node mode */
	LAYER_ENV = 50,           /* the agent's own */
	LAYER_FLAG = 60
};
#define LAYER_SOURCE(i) ((enum option_layer)(LAYER_SOURCE_FIRST - (i)))

/* Upstream options that were said of a route are kept under the subject "@route"; asked for as "@route@upstream" they fall back to the upstream's. */
#define OPTIONS_ROUTE_MARK '@'

struct options;

struct options *options_new(void) MUST_CHECK; /* NULL: no memory */
void options_free(struct options *o);         /* NULL is fine */

/* argv[0] is looked at too: give what follows the command's name. `--key=value`, `--key value`; a switch (on|off) may
 * stand alone. Stops at `--` (skipped) or at the first argument that is no flag: its index goes to *ret_first_free. */
bool options_add_flags(struct options *o, int argc, char **argv, int *ret_first_free, struct err *err) MUST_CHECK;
/* Only OUTRIDER_*, of "NAME=value" entries, in `layer` (LAYER_ENV or LAYER_CONTAINER_ENV). */
bool options_add_env_as(struct options *o, char *const *environ_, enum option_layer layer, struct err *err) MUST_CHECK;
bool options_add_env(struct options *o, char *const *environ_, struct err *err) MUST_CHECK; /* LAYER_ENV */
/* key: a property or label, "outrider.workers"; keys without that prefix are the service's own and are passed over.
 * origin: for people, "label", "file:/etc/outrider/application.yml:12". */
bool options_set(struct options *o, enum option_layer layer, struct str key, struct str value, struct str origin,
		 struct err *err) MUST_CHECK;

/* --- judging -------------------------------------------------------------------------------------------------- */

enum command { COMMAND_ANY, COMMAND_SIDECAR, COMMAND_EXEC, COMMAND_EDGE };

struct option_problem {
	const struct option_row *row; /* NULL: an unknown key */
	struct str key;               /* as it was spelt: OUTRIDER_WORKERS, --workers, outrider.workers */
	struct str value;             /* cut at 80 bytes; "***" for a secret */
	struct str origin;
	struct str why;               /* what would be accepted, the nearest spelling */
	const char *text;             /* all of that in one sentence without a newline */
};

/* Call once when all layers are read; may be called again after more were set. Finds the services and routes that are
 * named. false when there are problems (err: the first and how many more) or memory is short.
 * COMMAND_ANY judges what holds for every command. */
bool options_check(struct options *o, enum command cmd, struct err *err) MUST_CHECK;
size_t options_problem_count(const struct options *o); /* of those that are kept */
size_t options_problem_total(const struct options *o); /* all */
const struct option_problem *options_problem(const struct options *o, size_t i);

/* --- changing while running ------------------------------------------------------------------------------------- */

struct option_held { /* an option of scope process or sidecar that needs a restart to change */
	const struct option_row *row;
	struct str running, waiting;
	struct str origin; /* of the waiting value */
};
typedef void (*options_held_fn)(void *arg, const struct option_held *h);
/* Call on options that were read anew and checked, and check again when fn was called, while `running` is in force: gives those that need a restart
 * their running value, and calls fn for each that was to change. Secrets are left out: only flags and env set those.
 * false: no memory. */
bool options_hold(struct options *o, const struct options *running, options_held_fn fn, void *arg) MUST_CHECK;

/* --- reading: rows of scope process and sidecar ------------------------------------------------------------------ */

/* UINT, SIZE, PERCENT: the number, off and auto give 0. BOOL: 0, 1. CHOICE: index of its word in `unit`.
 * DURATION: µs, off gives 0. Other types give 0. For upstream rows: what `default` says. */
uint64_t options_u64(const struct options *o, enum option_id id);
bool options_bool(const struct options *o, enum option_id id);
usec options_duration(const struct options *o, enum option_id id);
struct str options_text(const struct options *o, enum option_id id); /* as it was written, trimmed */
const char *options_origin(const struct options *o, enum option_id id); /* "default", "env", "flag", … */
bool options_is_set(const struct options *o, enum option_id id); /* in any layer but the default */
/* The value of outrider.<plugin>.<name>, for struct plugin_settings; {NULL, 0}: unset, or no such row. of: struct options. */
struct str options_setting(const void *of, const char *plugin, const char *name);
/* outrider.workers, where auto is settled (control/cpus.h). */
unsigned options_workers(const struct options *o);

/* --- reading: rows of scope upstream (falling back to `default`) and route ------------------------------------- */

/* After options_check(): sorted names, lower case, without `default`. */
size_t options_service_count(const struct options *o);
struct str options_service(const struct options *o, size_t i);
size_t options_route_count(const struct options *o);
struct str options_route(const struct options *o, size_t i);

uint64_t options_of_u64(const struct options *o, struct str subject, enum option_id id);
/* Is any option of an upstream said of this route? */
bool options_route_differs(const struct options *o, struct str route);
usec options_of_duration(const struct options *o, struct str subject, enum option_id id);
bool options_of_bool(const struct options *o, struct str subject, enum option_id id);
struct str options_of_text(const struct options *o, struct str subject, enum option_id id);
const char *options_of_origin(const struct options *o, struct str subject, enum option_id id);

/* --- showing ---------------------------------------------------------------------------------------------------- */

enum options_format {
	OPTIONS_TEXT,      /* aligned columns: key, value, origin, default */
	OPTIONS_JSON,      /* {"options":[{"key","value","origin","default","scope"}…],"problems":[…]} */
	OPTIONS_PROPERTIES /* key=value lines of what is set; reading them again gives equal options, secrets apart */
};
/* Effective options; secrets print as ***. Failure shows in t->failed. */
void options_print(const struct options *o, struct text *t, enum options_format format);
/* One object per option, or the array "options" and "problems" into an open JSON object, for /config. */
struct json;
void options_print_json(const struct options *o, struct json *j);
/* Every row of the table: what `outrider help options` prints, and with markdown docs/options.md. */
void options_help_text(struct text *t, bool markdown);

#endif
