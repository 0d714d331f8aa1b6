/* A YAML document as nodes of our own, read from libyaml's events. The composer of libyaml is not used: it compares every
 * anchor with every other, and its nodes take 160 bytes each.
 *
 * Bounds, each with an error that names the line: CONFIG_DEPTH_MAX levels, YAML_NODES_MAX nodes, YAML_ANCHORS_MAX anchors,
 * YAML_DOCUMENTS_MAX documents, YAML_DIRECTIVES_MAX lines that begin with '%' (libyaml compares each %TAG with all others).
 * Thread: any (no shared state). */
#ifndef OUTRIDER_PLUGINS_CONFIG_NODES_H
#define OUTRIDER_PLUGINS_CONFIG_NODES_H

#include "base/table.h"
#include "config_files.h"

#include <yaml.h>

#define YAML_NODES_MAX (4u * SOURCE_PROPERTIES_MAX)
#define YAML_ANCHORS_MAX 1024u
#define YAML_DOCUMENTS_MAX 1024u
#define YAML_DIRECTIVES_MAX 16u
#define YAML_NONE UINT32_MAX

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_item { /* a node in a place: an alias is a place with another place's node */
	struct str text;      /* SCALAR */
	uint32_t first, last; /* LIST: items; MAP: key, value, key, value …; YAML_NONE: empty */
	uint32_t next;        /* the one after it in its container */
	uint32_t same_as;     /* an alias: whose content it has; else YAML_NONE */
	uint32_t line;        /* from 1 */
	uint8_t kind;         /* enum yaml_kind */
	bool plain;           /* SCALAR without quotes: null and ~ mean nothing */
};

struct yaml_file {
	yaml_parser_t parser;
	const char *name; /* for messages */
	struct arena arena;
	struct yaml_item *at;
	uint32_t n, cap;
	struct table anchors; /* name to index + 1 */
	uint32_t documents;
};

/* false: err; nothing is to be closed. text and name must stay. */
bool yaml_file_open(struct yaml_file *f, struct str text, const char *name, struct err *err) MUST_CHECK;
/* The next document: its root in *root (YAML_NONE: an empty one), false at the end of the file or on failure (err set). */
bool yaml_file_next(struct yaml_file *f, uint32_t *root, struct err *err) MUST_CHECK;
void yaml_file_close(struct yaml_file *f);

/* The node whose content the place has. */
static inline const struct yaml_item *yaml_content(const struct yaml_file *f, uint32_t i)
{
	return f->at[i].same_as == YAML_NONE ? &f->at[i] : &f->at[f->at[i].same_as];
}

#endif
