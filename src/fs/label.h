/* SPDX-License-Identifier: GPL-3.0-or-later */
/* label.h - the SELinux labels that a guest's own policy has for its paths. */
#ifndef DOMU_LABEL_H
#define DOMU_LABEL_H

#include "fs/fs.h"

#define DOMU_LABEL_XATTR "security.selinux"

struct domu_labels;

/* What the texts of file_contexts and its companions say, as libselinux reads them; each may be NULL. */
struct domu_label_texts {
	char *contexts[3]; /* file_contexts, .homedirs, .local: in this order, the last match counts */
	char *subs[2]; /* .subs, .subs_dist: paths that are labelled like others */
};
/* Takes the texts over, also when it fails; lines that make no sense are passed over.  0 or -ENOMEM. */
int domu_labels_new(struct domu_label_texts *texts, struct domu_labels **labels);
void domu_labels_free(struct domu_labels *labels);
/* The label of an absolute path for a file of mode's type; NULL: none. It lives as long as labels. */
const char *domu_labels_find(struct domu_labels *labels, const char *path, uint32_t mode);
/* True once: the expressions take for ever, and no label is found any more. */
bool domu_labels_gave_up(struct domu_labels *labels);

/* Loads what labels need, before a fence closes; that it is not there is told when labels are needed. */
void domu_labels_prepare(void);
/* The labels of the guest: *labels NULL where it does not use SELinux.  Read once, until forgotten. */
int domu_tree_labels(struct domu_tree *t, struct domu_labels **labels);

#endif
