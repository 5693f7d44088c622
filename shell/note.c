/* SPDX-License-Identifier: GPL-3.0-or-later */
/* note.c - notes of a stage or commit: what programs said while they changed it. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/escape.h"
#include "shell/note.h"

static void add_object(struct domu_notes *n, const struct domu_note *note)
{
	struct json_object *o = json_object_new_object();
	char *text = domu_to_utf8(note->text, strlen(note->text));

	json_object_object_add(o, "device", json_object_new_string(note->device));
	json_object_object_add(o, "source", json_object_new_string(note->source));
	json_object_object_add(o, "text", json_object_new_string(text != NULL ? text : ""));
	json_object_object_add(o, "cut", json_object_new_boolean(note->cut));
	json_object_array_add(n->list, o);
	free(text);
}

static void say(struct domu_run *r, const char *text, size_t len, const char *before)
{
	char *safe = domu_escape(text, len, false);

	if (safe != NULL)
		domu_out_line(r->out, "%s%s", before, safe);
	free(safe);
}

int domu_notes_show(void *notes, const struct domu_note *note)
{
	struct domu_notes *n = notes;
	const char *line = note->text;
	char *device = domu_escape(note->device, strlen(note->device), false);
	char *source = domu_escape(note->source, strlen(note->source), false);

	if (n->list != NULL)
		add_object(n, note);
	if (n->text && device != NULL && source != NULL) {
		domu_out_line(n->r->out, "%s: %s:", device, source);
		while (*line != '\0') {
			size_t len = strcspn(line, "\n");

			if (len > 0)
				say(n->r, line, len, "    ");
			line += len + (line[len] != '\0');
		}
		if (note->cut)
			domu_out_line(n->r->out, "    (more was printed)");
	}
	free(device);
	free(source);
	return 0;
}
