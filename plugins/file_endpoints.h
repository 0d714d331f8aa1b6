/* Files that list instances: their text to sets of endpoints. Pure but for reading the files; any thread.
 *
 *     quotes:                                   [ { "targets": [ "10.0.0.1:8080", "10.0.0.2:8080" ],
 *       - 10.0.0.1:8080                             "labels": { "service": "quotes", "version": "2" } } ]
 *       - address: 10.0.0.2:8080
 *         node: n2                              (file_sd of Prometheus, JSON or YAML: labels `service`, else `job`, else the
 *         zone: z1                               file's name is the service; `node`, `zone`, `instance` and `weight` are what
 *         weight: 50                             they say, those that begin with __ are dropped, all others are metadata)
 *         state: down
 *         meta: { version: "2" }
 *
 * An address is IP:port, or an IP alone: then whoever calls finds out whether an agent stands there, as with DNS.
 * Of one service in several files all instances count; an address that stands there twice counts once.
 * Bounds: CONFIG_FILE_MAX bytes a file, FILE_ENDPOINTS_FILES files, REGISTRY_ENDPOINTS_MAX instances of a service, FILE_ENDPOINTS_MAX
 * in all, REGISTRY_META_MAX pairs of metadata. */
#ifndef OUTRIDER_PLUGINS_FILE_ENDPOINTS_H
#define OUTRIDER_PLUGINS_FILE_ENDPOINTS_H

#include "base/arena.h"
#include "plugin.h"

#define FILE_ENDPOINTS_MAX 65536u
#define FILE_ENDPOINTS_FILES 1024u

#define FILE_ENDPOINT_USUAL { .weight = 100u, .instance = STR(""), .node = STR(""), .zone = STR("") }

struct file_entry {
	struct str service; /* lower case */
	struct registry_endpoint endpoint;
};

struct file_endpoints { /* zeroed is empty; texts stand in the arena */
	struct arena arena;
	struct file_entry *at; /* owned; by service after file_endpoints_read() */
	size_t n, cap;
};

void file_endpoints_init(struct file_endpoints *f);
void file_endpoints_release(struct file_endpoints *f); /* twice harmless */

/* Reads a file, or all .json, .yml and .yaml of a directory (not of those below it). false: err "name:line: cause"; f is to be
 * released. */
bool file_endpoints_read(struct file_endpoints *f, const char *path, struct err *err) MUST_CHECK;
/* The part for one file's text; base: its name without the end. Adds; nothing is sorted yet. */
bool file_endpoints_parse(struct file_endpoints *f, struct str text, const char *name, struct str base, struct err *err) MUST_CHECK;
/* For readers of one form (file_plain.h). What is said of an instance with a text as value, metadata not; false: it is none of these, makes no
 * sense, or there is no memory. */
bool file_endpoints_set(struct file_endpoints *f, struct registry_endpoint *e, struct str key, struct str value) MUST_CHECK;
bool file_endpoints_name(struct file_endpoints *f, struct str name, struct str *ret) MUST_CHECK; /* of a service, in lower case; kept */
bool file_endpoints_add(struct file_endpoints *f, struct str service, const struct registry_endpoint *e) MUST_CHECK;
/* Sorts by service and address and drops duplicates; of them one that is up stays. */
void file_endpoints_sort(struct file_endpoints *f);
/* [*from, *to) of f->at are the service's. false: it is not there. */
bool file_endpoints_find(const struct file_endpoints *f, struct str service, size_t *from, size_t *to);
/* A number that is the same when the instances are. */
uint64_t file_endpoints_sum(const struct file_endpoints *f, size_t from, size_t to);

#endif
