/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kvm.h - is there a KVM that works? */
#ifndef DOMU_KVM_H
#define DOMU_KVM_H

#include <stdbool.h>
#include <sys/types.h>

/* Runs a guest of two instructions under a watch of a second.  group: whose members may use it; 0: everybody may. */
bool domu_kvm_works(gid_t *group);

#endif
