#include "control/nearest.h"

static unsigned min2(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Optimal string alignment, three rows at a time. */
unsigned nearest_distance(struct str a, struct str b)
{
	unsigned rows[3][NEAREST_NAME_MAX + 1];
	if (a.n > NEAREST_NAME_MAX || b.n > NEAREST_NAME_MAX)
		return UINT32_MAX;
	unsigned *two = rows[0], *one = rows[1], *now = rows[2];
	for (unsigned j = 0; j <= b.n; j++)
		one[j] = two[j] = j;
	for (unsigned i = 1; i <= a.n; i++) {
		now[0] = i;
		for (unsigned j = 1; j <= b.n; j++) {
			char x = fold(a.p[i - 1]), y = fold(b.p[j - 1]);
			now[j] = min2(min2(one[j] + 1, now[j - 1] + 1), one[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == fold(b.p[j - 2]) && fold(a.p[i - 2]) == y)
				now[j] = min2(now[j], two[j - 2] + 1);
		}
		unsigned *spare = two;
		two = one;
		one = now;
		now = spare;
	}
	return one[b.n];
}

bool nearest_is_near(struct str asked, struct str name)
{
	if (asked.n == 0 || name.n == 0)
		return false;
	if (asked.n >= 2 && name.n >= 2 && (str_istarts(name, asked) || str_istarts(asked, name)))
		return true;
	size_t longer = asked.n > name.n ? asked.n : name.n;
	unsigned most = longer < 6 ? 2 : (unsigned)(longer / 3);
	return nearest_distance(asked, name) <= (longer < 4 ? 1 : most);
}
