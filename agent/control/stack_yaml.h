/* The YAML of stack files as a tree that knows its lines, with Docker's interpolation done: pure.
 *
 *     const struct node *root = stack_yaml(&arena, bytes, environ, say, arg, &err);      NULL: err, "7: did not find …"
 *     const struct node *image = node_get(node_get(root, STR("services")), STR("shop"));
 *
 * One document. Anchors and aliases share nodes (a file cannot grow by them); `<<` gives a map the items of others that it
 * does not have itself. Keys are texts, and are not interpolated. Values are, as `docker stack deploy` does it:
 * $NAME ${NAME} ${NAME-default} ${NAME:-default} ${NAME?why} ${NAME:?why}, $$ is a dollar.
 * Everything lies in the arena. Bounds: STACK_BYTES_MAX, STACK_NODES_MAX, STACK_DEPTH_MAX, STACK_VALUE_MAX. */
#ifndef OUTRIDER_CONTROL_STACK_YAML_H
#define OUTRIDER_CONTROL_STACK_YAML_H

#include "base/arena.h"
#include "base/err.h"

#define STACK_BYTES_MAX (1u << 20) /* of a file */
#define STACK_NODES_MAX 65536u     /* of a file, items that `<<` gave included */
#define STACK_DEPTH_MAX 32u
#define STACK_ANCHORS_MAX 1024u
#define STACK_VALUE_MAX (64u * 1024u) /* bytes of a value */

enum node_kind { NODE_NULL, NODE_SCALAR, NODE_MAP, NODE_LIST };

struct node {
	uint8_t kind; /* enum node_kind */
	uint32_t line;
	struct str text; /* of a scalar, interpolated; ends in NUL */
	struct node_item *first;
	size_t n; /* items */
};

struct node_item {
	struct node_item *next;
	struct str key; /* of a map */
	uint32_t line;  /* of the key */
	bool merged;    /* by `<<` */
	const struct node *value;
};

enum yaml_remark { YAML_UNSET, YAML_REQUIRED, YAML_FORMAT, YAML_TWICE };
/* Remarks that do not end the reading: a variable without value or default (name), a required one (its reason), a bad
 * `${`, a key that stands twice. */
typedef void (*yaml_say_fn)(void *arg, enum yaml_remark what, uint32_t line, struct str detail);

const struct node *stack_yaml(struct arena *a, struct str bytes, char *const *environ_, yaml_say_fn say,
	void *arg, struct err *err) MUST_CHECK;

/* NULL where there is none, or `map` is NULL or no map. */
const struct node_item *node_item(const struct node *map, struct str key);
const struct node *node_get(const struct node *map, struct str key);
/* The text of a scalar; empty for all else, NULL included. */
struct str node_text(const struct node *n);
/* The text at map.key. */
struct str node_value(const struct node *map, struct str key);
/* A list of scalars, or a map with keys, has this text. */
bool node_lists(const struct node *n, struct str text);

/* --- stack_interpolate.c ------------------------------------------------------------------------------------------- */

/* `raw` with its variables replaced, in the arena; {NULL, 0} and err: memory, or too long. */
struct str stack_interpolate(struct arena *a, struct str raw, uint32_t line, char *const *environ_,
	yaml_say_fn say, void *arg, struct err *err);
/* The value of an environment variable; NULL: not set. */
const char *env_find(char *const *environ_, struct str name);

#endif
