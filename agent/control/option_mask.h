/* What must not be shown. Values of secret options never are; what stands before '@' in an address is a password in most
 * cases; and a key of somebody else's may say by its name that its value is a secret. Pure; any thread. */
#ifndef OUTRIDER_CONTROL_OPTION_MASK_H
#define OUTRIDER_CONTROL_OPTION_MASK_H

#include "base/text.h"
#include "control/options.h"

/* Does the key sound like a secret's ("db.password", "api-key")? */
bool mask_key_sounds_secret(struct str key);
/* Is there a URL in it with user or password before its host? */
bool mask_holds_credentials(struct str value);
/* The value for people onto t, masked as its row asks; row NULL: a key that is no option, perhaps a misspelt secret. */
void mask_value(struct text *t, const struct option_row *row, struct str key, struct str value);
/* A plug-in and its address without credentials: "redis:***@redis:6379". */
void mask_address(struct text *t, struct str item);

#endif
