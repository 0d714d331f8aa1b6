/* Lists of instances in their plainest form, read without a YAML parser: that takes 20 times as long, and a list of thousands of
 * instances is read whole for each change of one.
 *
 *     quotes:
 *       - 10.0.0.1:8080
 *       - {address: 10.0.0.2:8080, node: n2, weight: 50, state: down}
 *
 * Names at the beginning of a line, items all indented alike, one a line; plain texts of letters, digits, and . _ - : within; empty lines
 * and lines of comment. Whatever else stands there is left to the YAML parser, so both always agree. Pure; any thread. */
#ifndef OUTRIDER_PLUGINS_FILE_PLAIN_H
#define OUTRIDER_PLUGINS_FILE_PLAIN_H

#include "file_endpoints.h"

/* true: all of it was read. false: it is not plain, or something is wrong with it; f has some of it then. */
bool file_plain_read(struct file_endpoints *f, struct str text) MUST_CHECK;

#endif
