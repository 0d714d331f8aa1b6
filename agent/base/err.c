#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool err_set(struct err *e, const char *fmt, ...)
{
	/* Built aside: an argument may be the old message itself. */
	char text[ERR_MAX];
	va_list ap;

	if (!e)
		return false;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		text[0] = '\0';
	memcpy(e->text, text, strlen(text) + 1);
	return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
	char prefix[ERR_MAX];
	va_list ap;

	if (!e)
		return false;
	va_start(ap, fmt);
	int n = vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	if (n < 0)
		return false;
	return err_set(e, "%s: %s", prefix, e->text);
}
