/* What a person has chosen in `outrider top`, how keys change it, and which columns each view has. Pure; any thread. */
#ifndef OUTRIDER_CONTROL_TOP_UI_H
#define OUTRIDER_CONTROL_TOP_UI_H

#include "base/clock.h"
#include "control/top_model.h"

#define TOP_COLUMNS_MAX 16u
#define TOP_RANK_RARE 8u /* columns of this rank and above are there when names have room enough */

enum top_cell { CELL_NAME, CELL_OTHER, CELL_NODE, CELL_STATE, CELL_NOTE, CELL_KEY, CELL_NUMBER, CELL_PAIR, CELL_TREND };
enum top_format { FORMAT_RATE, FORMAT_PERCENT, FORMAT_MS, FORMAT_COUNT, FORMAT_BYTES, FORMAT_AGE, FORMAT_STATUS };

struct top_column {
	const char *word; /* of --sort; NULL: nothing to sort by */
	const char *head;
	enum top_cell cell;
	enum top_number number; /* TOP_NUMBERS: sorted by name */
	enum top_format format;
	unsigned width; /* the least */
	unsigned rank;	/* those of lower rank are shown first; 0 always */
	const char *says; /* for the help */
};

const struct top_column *top_columns(enum top_view view, size_t *n);
/* The column of that word, or SIZE_MAX. */
size_t top_column_find(enum top_view view, struct str word);

/* Numbers begin with the greatest, names and times with the least. */
static inline bool top_column_descends(const struct top_column *c)
{
	return c->number < TOP_NUMBERS && c->number != TOP_AGE;
}

enum top_key {
	KEY_CHAR = 0, /* below 256: itself */
	KEY_UP = 256,
	KEY_DOWN,
	KEY_LEFT,
	KEY_RIGHT,
	KEY_PAGE_UP,
	KEY_PAGE_DOWN,
	KEY_HOME,
	KEY_END,
	KEY_ENTER,
	KEY_TAB,
	KEY_BACK, /* backspace, Escape */
	KEY_NONE
};

struct top_ui {
	enum top_scope scope;
	enum top_view view;
	size_t sort[TOP_VIEWS]; /* index of a column */
	bool descending[TOP_VIEWS];
	size_t cursor[TOP_VIEWS], offset[TOP_VIEWS];
	uint32_t shown[TOP_VIEWS]; /* columns that the screen has, a bit each; top_draw() says so */
	bool can[TOP_SCOPES]; /* what the agent offers; a page of one sidecar says nothing of its node's */
	int group; /* -1: in scope swarm only; 0 never, 1 always */
	bool paused, help, quit;
	bool live; /* there is somebody at the keys */
	char service[128]; /* of scope sidecar, as /sidecars/NAME takes it; "": the agent's own */
	char said[160];    /* why a key did nothing; until the next key */
	char trouble[320]; /* why the last look failed, or "" */
	usec trouble_for;  /* how long ago the figures are from, then */
	unsigned width, height; /* 0: without bounds */
	usec interval;
};

void top_ui_init(struct top_ui *ui);
bool top_ui_groups(const struct top_ui *ui);

enum top_act { ACT_NOTHING, ACT_DRAW, ACT_ASK /* scope, view or service is another: look at once */ };
/* Takes over what an agent offers. */
void top_ui_learn(struct top_ui *ui, const struct top_model *m);
/* m: what is shown, or NULL; its rows are in the order of the screen. */
enum top_act top_ui_key(struct top_ui *ui, int key, const struct top_model *m);
/* Takes one key off the front of a terminal's input; KEY_NONE: an unknown sequence, taken away. 0 bytes: more must come. */
int top_key_read(struct str *input);

#endif
