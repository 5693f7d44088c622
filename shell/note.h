/* SPDX-License-Identifier: GPL-3.0-or-later */
/* note.h - notes of a stage or commit as text and JSON. */
#ifndef DOMU_NOTE_H
#define DOMU_NOTE_H

#include "shell/command.h"

/* What a domu_note_fn needs: it shows notes as lines, and puts them into a list for JSON. */
struct domu_notes {
	struct domu_run *r;
	bool text;
	struct json_object *list; /* NULL: not wanted */
};

int domu_notes_show(void *notes, const struct domu_note *note); /* a domu_note_fn */

#endif
