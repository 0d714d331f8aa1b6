#include "bus_event.h"

#include <cjson/cJSON.h>

#define REFRESH "RefreshRemoteApplicationEvent"
#define ID_PARTS_MAX 4

/* --- destinations -------------------------------------------------------------------------------------------------- */

/* A part against a pattern with * and ?. On a mismatch the last * takes one character more. */
static bool part_matches(struct str pattern, struct str part)
{
	size_t p = 0, s = 0, star = SIZE_MAX, taken = 0;

	while (s < part.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			taken = s;
		} else if (p < pattern.n && (pattern.p[p] == '?' || pattern.p[p] == part.p[s])) {
			p++;
			s++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			s = ++taken;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

static bool is_stars(struct str pattern)
{
	for (size_t i = 0; i < pattern.n; i++)
		if (pattern.p[i] != '*')
			return false;
	return true;
}

static bool one_matches(struct str pattern, struct str part)
{
	return part.n == 0 ? is_stars(pattern) : part_matches(pattern, part); /* empty: not known */
}

static bool is_any(struct str pattern)
{
	return str_eq(pattern, STR("**"));
}

/* As part_matches(), a level up: ** takes parts. */
static bool parts_match(const struct str *pattern, size_t n, const struct str *id, size_t id_n)
{
	size_t p = 0, s = 0, star = SIZE_MAX, taken = 0;

	while (s < id_n) {
		if (p < n && is_any(pattern[p])) {
			star = p++;
			taken = s;
		} else if (p < n && one_matches(pattern[p], id[s])) {
			p++;
			s++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			s = ++taken;
		} else {
			return false;
		}
	}
	while (p < n && is_any(pattern[p]))
		p++;
	return p == n;
}

bool bus_destination_matches(struct str destination, const struct bus_id *id)
{
	struct str parts[BUS_PARTS_MAX + 1], own[ID_PARTS_MAX], rest = str_trim(destination), part;
	size_t n = 0, own_n = 0, colons = 0;

	if (rest.n == 0)
		return true;
	if (rest.p[0] == ':')
		return false; /* an id does not begin so */
	for (size_t i = 0; i < rest.n; i++)
		colons += rest.p[i] == ':';
	bool whole = colons > 1 || str_eq(rest, STR("**")) || str_ends(rest, STR(":**"));
	while (str_next(&rest, ':', &part)) {
		if (part.n == 0)
			continue;
		if (n == BUS_PARTS_MAX)
			return false;
		parts[n++] = part;
	}
	if (!whole)
		parts[n++] = STR("**");
	own[own_n++] = id->service;
	if (id->profiles.n)
		own[own_n++] = id->profiles;
	own[own_n++] = STR(""); /* port */
	own[own_n++] = STR(""); /* random part */
	return parts_match(parts, n, own, own_n);
}

/* --- JSON ------------------------------------------------------------------------------------------------------------ */

static size_t after_string(struct str s, size_t at)
{
	for (at++; at < s.n && s.p[at] != '"'; at++)
		at += s.p[at] == '\\';
	return at + 1;
}

/* cJSON calls itself for each level and makes a node of each value: both are bounded before it begins. */
static bool is_small(struct str s)
{
	size_t depth = 0, values = 0;

	for (size_t at = 0; at < s.n;) {
		char c = s.p[at];
		if (c == '"') {
			at = after_string(s, at);
			continue;
		}
		if ((c == '{' || c == '[') && ++depth > BUS_DEPTH_MAX)
			return false;
		if ((c == '}' || c == ']') && depth > 0)
			depth--;
		if ((c == '{' || c == '[' || c == ',') && ++values > BUS_VALUES_MAX)
			return false;
		at++;
	}
	return true;
}

static enum bus_verdict judge(const cJSON *event, const struct bus_id *id)
{
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(event, "type");
	const cJSON *destination = cJSON_GetObjectItemCaseSensitive(event, "destinationService");

	if (!cJSON_IsObject(event))
		return BUS_NO_EVENT;
	if (!cJSON_IsString(type) || strcmp(type->valuestring, REFRESH) != 0)
		return BUS_OTHER_TYPE;
	if (!destination || cJSON_IsNull(destination))
		return BUS_REFRESH;
	if (!cJSON_IsString(destination))
		return BUS_FOR_OTHERS;
	return bus_destination_matches(str_of(destination->valuestring), id) ? BUS_REFRESH : BUS_FOR_OTHERS;
}

enum bus_verdict bus_event_judge(struct str body, const struct bus_id *id)
{
	if (body.n > BUS_BODY_MAX || !is_small(body))
		return BUS_NO_EVENT;
	cJSON *event = cJSON_ParseWithLength(body.p ? body.p : "", body.n);
	enum bus_verdict verdict = event ? judge(event, id) : BUS_NO_EVENT;
	cJSON_Delete(event);
	return verdict;
}
