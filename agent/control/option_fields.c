#include "control/option_fields.h"

#include "http/head.h"
#include "http/octets.h"

/* Whoever set these would contradict what stands beside them. */
static bool is_reserved(struct str name)
{
	static const enum field_id ids[] = { FIELD_CONTENT_LENGTH, FIELD_CONTENT_TYPE,
		FIELD_TRANSFER_ENCODING, FIELD_CONNECTION, FIELD_KEEP_ALIVE, FIELD_TRAILER, FIELD_UPGRADE,
		FIELD_X_REQUEST_ID };
	enum field_id id = field_lookup(name);

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (id == ids[i])
			return true;
	return str_istarts(name, STR("x-outrider-"));
}

bool option_fields(struct str s, struct text *lines)
{
	struct str rest = s, item;

	while (str_next(&rest, '|', &item)) {
		size_t colon = str_find(item, ':');
		if (!item.n)
			continue;
		if (colon == SIZE_MAX || colon == 0)
			return false;
		struct str name = str_make(item.p, colon),
			   value = str_trim(str_make(item.p + colon + 1, item.n - colon - 1));
		if (octets_span(name.p, name.p + name.n, OCTET_TOKEN) != name.p + name.n || is_reserved(name))
			return false;
		for (size_t i = 0; i < value.n; i++)
			if ((unsigned char)value.p[i] < ' ' || value.p[i] == 127)
				return false;
		text_fmt(lines, "%.*s: %.*s\r\n", STR_ARG(name), STR_ARG(value));
	}
	if (!lines->n)
		text_add(lines, STR(""));
	return !lines->failed;
}

bool option_fields_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why)
{
	struct text t;

	(void)ret;
	if (s.n > row->max)
		return err_set(why, "it is longer than %llu bytes", (unsigned long long)row->max);
	text_init(&t, 2 * s.n + 16);
	bool good = option_fields(s, &t);
	text_release(&t);
	return good;
}
