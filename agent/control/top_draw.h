/* The screen of `outrider top` as text: pure, from what is known (top_model.h) and what is wanted (top_ui.h).
 *
 * Lines end in '\n' and have at most ui->width columns; there are at most ui->height of them, exactly so many when it
 * is live; 0 stands for no bound (--once).
 * No byte of a name reaches the text uncleaned, and but for colours there is no byte below a blank in it except '\n'. */
#ifndef OUTRIDER_CONTROL_TOP_DRAW_H
#define OUTRIDER_CONTROL_TOP_DRAW_H

#include "control/style.h"
#include "control/top_ui.h"

/* m: NULL before the first look. ui: its offsets are moved so that the cursor is in sight. */
void top_draw(struct text *t, const struct top_model *m, struct top_ui *ui, const struct style *s);

/* --- pieces (top_cells.c), for the tests too ------------------------------------------------------------------------------- */

#define TOP_CELL 200u

/* A number in at most five columns, but for FORMAT_BYTES: six; "-" for NAN. */
void top_number_text(char dst[TOP_CELL], double v, enum top_format f);
/* At most `columns` of the newest values, the greatest of them being the full height; a dot in ASCII is nothing. */
void top_sparkline(struct text *t, const struct style *s, const float *v, unsigned n, unsigned columns);
void top_cell_text(char dst[TOP_CELL], const struct top_row *r, const struct top_column *c);
enum paint top_cell_paint(const struct top_row *r, const struct top_column *c);

struct top_layout {
	unsigned width[TOP_COLUMNS_MAX]; /* 0: not shown */
	unsigned all;                    /* columns that they take with the blanks between them */
};
/* Columns by their rank while there is room; what is left goes to names, notes, rare columns, the trend. width 0: all of them. */
void top_lay_out(const struct top_model *m, enum top_view view, const struct style *s, unsigned width, bool grouped, struct top_layout *ret);

#endif
