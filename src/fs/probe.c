/* SPDX-License-Identifier: GPL-3.0-or-later */
/* probe.c - which driver a filesystem belongs to. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/plugins.h"
#include "fs/tree.h"

/* A driver's strings end where its arrays do. */
static void close_strings(struct domu_probe *p)
{
	p->type[sizeof p->type - 1] = '\0';
	p->uuid[sizeof p->uuid - 1] = '\0';
	p->label[sizeof p->label - 1] = '\0';
	p->closed_by[sizeof p->closed_by - 1] = '\0';
	p->features[sizeof p->features - 1] = '\0';
}

const struct domu_fs_ops *domu_probe_drivers(struct domu_block *b, struct domu_probe *probe)
{
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_FS); *p != NULL; p++) {
		const struct domu_fs_ops *ops = (*p)->fs;

		if (ops->probe == NULL)
			continue;
		memset(probe, 0, sizeof *probe);
		if (ops->probe(b, probe) == 0) {
			close_strings(probe);
			return ops;
		}
	}
	memset(probe, 0, sizeof *probe);
	return NULL;
}

const struct domu_fs_ops *domu_fs_probe(struct domu_block *b, struct domu_probe *probe)
{
	const struct domu_fs_ops *ops = domu_probe_drivers(b, probe);

	if (ops != NULL)
		return ops;
	if (domu_blkid_probe(b, probe) != 0) {
		memset(probe, 0, sizeof *probe);
		memcpy(probe->type, "unknown", sizeof "unknown");
	}
	close_strings(probe);
	return domu_fs_driver(probe->type);
}

static const struct domu_plugin *plugin_for(const char *type)
{
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_FS); *p != NULL; p++)
		for (const char *const *t = (*p)->fs->types; t != NULL && *t != NULL; t++)
			if (strcmp(*t, type) == 0)
				return *p;
	return NULL;
}

const struct domu_fs_ops *domu_fs_driver(const char *type)
{
	const struct domu_plugin *p = plugin_for(type);

	return p != NULL ? p->fs : NULL;
}

bool domu_driver_is_here(const struct domu_fs_ops *ops)
{
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_FS); *p != NULL; p++)
		if ((*p)->fs == ops)
			return (*p)->place != DOMU_IN_APPLIANCE && ops->open != NULL;
	return false;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* libblkid's names of what is not a filesystem: members of volumes and arrays, swap, tables. */
bool domu_has_fast_commits(const struct domu_probe *probe)
{
	return probe->needs_replay && strstr(probe->features, "fast_commit") != NULL;
}

bool domu_type_is_fs(const char *type)
{
	static const char *const others[] = { "",
		                              "unknown",
		                              "empty",
		                              "swap",
		                              "swsuspend",
		                              "swap_suspend",
		                              "dos",
		                              "gpt",
		                              "extended",
		                              "bcache",
		                              "drbd",
		                              "lvm2pv",
		                              "jbd",
		                              "xfs_external_log",
		                              "crypto_LUKS",
		                              "BitLocker",
		                              "mpath_member",
		                              "vmfs_volume_member" };

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(type, others[i]) == 0)
			return false;
	return !ends_with(type, "_member") && !ends_with(type, "_raid") && strncmp(type, "DM_", 3) != 0;
}
