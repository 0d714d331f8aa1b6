#include "base/reason.h"

static const struct reason_row rows[REASON_COUNT] = {
	[REASON_NONE] = { "none", 0, "", "", "Nothing went wrong.", "" },
#define REASON(id, word_, status_, stage_, blame_, cause_, remedy_)                                          \
	[REASON_##id] = { word_, status_, stage_, blame_, cause_, remedy_ },
#include "reasons.def"
#undef REASON
};

const struct reason_row *reason_row(enum reason r)
{
	return (unsigned)r < REASON_COUNT ? &rows[r] : &rows[REASON_NONE];
}
