/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seen.c - what list shows of a guest without looking: its root, size and use when it was last seen. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include <json-c/json.h>

#include "task/session-impl.h"

int domu_session_seen(struct domu_session *s)
{
	struct domu_nodes nodes;
	struct json_object *o;
	int rc;

	if (s->opts.state == NULL)
		return 0;
	rc = domu_session_nodes(s, true, &nodes);
	if (rc != 0)
		return rc;
	o = json_object_new_object();
	for (size_t i = 0; o != NULL && i < nodes.n; i++) {
		if (!nodes.v[i].root)
			continue;
		json_object_object_add(o, "root", json_object_new_string(nodes.v[i].name));
		json_object_object_add(o, "type", json_object_new_string(nodes.v[i].probe.type));
		json_object_object_add(o, "size", json_object_new_int64((int64_t)nodes.v[i].probe.size));
		json_object_object_add(o, "used", json_object_new_int64((int64_t)nodes.v[i].probe.used));
		rc = domu_seen_put(s->opts.state, domu_guest_shown(s->guest), json_object_to_json_string(o));
		break;
	}
	json_object_put(o);
	domu_nodes_free(&nodes);
	return rc;
}
