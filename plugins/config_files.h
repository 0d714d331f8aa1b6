/* A directory laid out as a Spring config repository, read as a whole: pure but for reading the files.
 *
 * Files, the strongest first (of several profiles the last one named is the strongest; without one it is `default`):
 *
 *     <service>-<profile>   application-<profile>   <service>   application      each: .properties .yml .yaml .json
 *
 * A YAML document or a part of a .properties file (parted by #---) is a set of its own, the later ones stronger; one that says
 * spring.config.activate.on-profile (or spring.profiles) holds only for those profiles. Lists become key[0], key[1], null and
 * empty ones an empty text. A key said twice in one document is an error, as it is for Spring.
 * Bounds: CONFIG_FILE_MAX bytes a file, SOURCE_PROPERTIES_MAX in all. Thread: any (no shared state). */
#ifndef OUTRIDER_PLUGINS_CONFIG_FILES_H
#define OUTRIDER_PLUGINS_CONFIG_FILES_H

#include "base/arena.h"
#include "plugin.h"

#define CONFIG_FILE_MAX (4u << 20)
#define CONFIG_MEMORY_MAX (64u << 20)
#define CONFIG_DEPTH_MAX 64u

struct config_props { /* a growing list; a zeroed one is empty */
	struct arena arena;
	struct source_property *at;
	size_t n, cap;
	uint32_t sets; /* numbers given so far */
};

void config_props_init(struct config_props *p);
void config_props_release(struct config_props *p); /* wipes */

/* Adds the documents of one file, the strongest first. name: for origins, "application.yml". profiles: those that are active.
 * false: err says "name:line: …"; what was added before is to be thrown away. */
bool config_read_yaml(struct config_props *p, struct str text, const char *name, struct str profiles, struct err *err)
	MUST_CHECK;
bool config_read_properties(struct config_props *p, struct str text, const char *name, struct str profiles,
			    struct err *err) MUST_CHECK;

/* Reads the directory. false: err. No file at all is no error. */
bool config_read_directory(struct config_props *p, const char *dir, struct str service, struct str profiles,
			   struct err *err) MUST_CHECK;

/* The bytes of a file. 1: read, and *ret is to be mem_wipe_free(*ret, *n)d; 0: no such file; -1: err, with `name` in front. */
int config_read_file(const char *path, const char *name, char **ret, size_t *n, struct err *err) MUST_CHECK;

/* --- between the readers --------------------------------------------------------------------------------------------- */

bool config_add(struct config_props *p, struct str key, struct str value, const char *name, size_t line, uint32_t set,
		struct err *err) MUST_CHECK;
/* Does the document at [from, p->n) hold for the profiles? */
bool config_active(const struct config_props *p, size_t from, struct str profiles);
/* Ends the document at [from, p->n): drops it when it does not hold. */
void config_end_document(struct config_props *p, size_t from, struct str profiles);
/* Documents of a file were read weakest first: turns their order round, from `from` on. */
void config_strongest_first(struct config_props *p, size_t from, uint32_t first_set);

#endif
