/* The service's own properties in the forms in which services take them: environment variables, .properties, a template
 * file. Options of the agent (outrider.*) are not among them. Pure, but for app_template_write(). */
#ifndef OUTRIDER_CONTROL_APP_ENV_H
#define OUTRIDER_CONTROL_APP_ENV_H

#include "base/text.h"
#include "control/properties.h"

#define APP_TEMPLATE_MAX (1u << 20) /* bytes of a template, and of what becomes of it */

/* Is it the service's own? */
bool app_owns(struct str key);
/* "my.service-name[0].url" to "MY_SERVICENAME_0_URL", as Spring's relaxed binding expects it. false: the key gives no name
 * that a variable can have, or one that changes how programs are loaded (LD_*, PATH …) or is the agent's own. */
bool app_env_name(struct text *t, struct str key);
/* One line each: NAME='value' for a shell; key=value as java.util.Properties reads it. */
void app_print_env(struct text *t, const struct properties *p);
void app_print_properties(struct text *t, const struct properties *p);

/* What of the properties becomes variables: "all", "prefix:my.service." (the prefix is cut). */
bool app_selects(struct str selection, struct str key, struct str *rest);
/* "NAME=value" entries for all that are selected, NULL-terminated, in the arena. NULL: no memory. */
char **app_environment(struct arena *a, const struct properties *p, struct str selection) MUST_CHECK;

/* Reads the template, replaces ${key} and ${key:default} by properties and environment, writes the result beside the target
 * (0600) and renames it. `spec`: "/path/of/template:/path/of/target". false: err. */
bool app_template_write(const struct properties *p, struct str spec, char *const *environ_, struct err *err) MUST_CHECK;

#endif
