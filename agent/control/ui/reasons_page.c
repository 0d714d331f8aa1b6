/* /ui/reasons: the table of docs/reasons.md as JSON. */
#include "control/ui/page.h"

#include "base/json.h"
#include "base/reason.h"

static void put_row(struct json *j, const struct reason_row *row)
{
	json_object(j);
	json_put_strz(j, "word", row->word);
	json_key(j, "status"); /* 0: the connection could only be cut */
	json_u64(j, row->status);
	json_put_strz(j, "stage", row->stage);
	json_put_strz(j, "blame", row->blame);
	json_put_strz(j, "cause", row->cause);
	json_put_strz(j, "remedy", row->remedy);
	json_end(j);
}

void ui_page_reasons(struct admin *a, struct httpd_request *r)
{
	struct text t;

	(void)a;
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_key(&j, "reasons");
	json_array(&j);
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++)
		put_row(&j, reason_row((enum reason)i));
	json_end(&j);
	json_end(&j);
	admin_reply(r, 200, &t);
}
