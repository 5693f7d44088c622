/* SPDX-License-Identifier: GPL-3.0-or-later */
/* change.h - what the commands that change a guest's files share, in the worker. */
#ifndef DOMU_CHANGE_H
#define DOMU_CHANGE_H

#include "shell/command.h"

/* The operand for messages: its path, else as typed. */
const char *domu_change_shown(const struct domu_run *r, size_t operand);
/* Walks an operand that must name a path; the guest alone is DOMU_USAGE. */
int domu_change_walk(struct domu_run *r, size_t operand, unsigned flags, struct domu_path *p);
/* Records "COMMAND: TEXT: strerror", or in place of that what was recorded already, and returns rc. */
int domu_change_fail(struct domu_run *r, int rc, const char *fmt, ...) DOMU_PRINTF(3, 4);
/* With -v: a line about what was done. */
int domu_change_tell(struct domu_run *r, const char *fmt, ...) DOMU_PRINTF(2, 3);
/* The file of the guest that an option names: PATH or GUEST:/PATH. */
int domu_change_reference(struct domu_run *r, const char *option, struct domu_stat *st);
/* Runs walk and forgets its failure when it is only that the path is not there: p->ino is 0 then. */
int domu_change_look(struct domu_run *r, const char *path, unsigned flags, struct domu_path *p);
/* What path's last name is "." or "..": such a thing is never removed or renamed. */
bool domu_change_is_dots(const char *path);
/* The last name of path without slashes; "" when there is none. */
int domu_change_base(struct domu_run *r, const char *path, char name[256]);
/* A new inode in the directory parent: root's, as of now, set-group-ID inherited; mode as a program asks for it. */
void domu_change_attr(const struct domu_stat *parent, uint32_t mode, struct domu_stat *attr);
/* Makes it at p, whose last name is not there, as the guest would: see domu_fs_create_new(). */
int domu_change_create(struct domu_run *r, const struct domu_path *p, struct domu_stat *attr, const char *target,
                       uint64_t *ino);
struct timespec domu_change_now(void);
/* The directory that a new name goes into. */
int domu_change_parent(struct domu_run *r, const struct domu_path *p, struct domu_stat *st);
/* Applies fn to p and, recursive, to all below it; links are not followed. */
typedef int (*domu_change_fn)(struct domu_run *r, const struct domu_path *p, const char *shown, void *user);
int domu_change_tree(struct domu_run *r, const struct domu_path *p, const char *shown, bool recursive,
                     domu_change_fn fn, void *user);

/* Removes name of dir and all that is in it.  A mount point in it is refused before anything is removed. */
int domu_change_remove(struct domu_run *r, const struct domu_path *p, const char *shown);

#endif
