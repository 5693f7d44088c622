# SPDX-License-Identifier: GPL-3.0-or-later
# light.sh - sourced: what a kernel of Debian need not do under an emulator, in the Dom0 and in its guests.
# shellcheck shell=bash disable=SC2034
light="mitigations=off cryptomgr.notests init_on_alloc=0 audit=0"
# What takes longest as it begins, and nobody here needs: types for TCP, IPv6, certificates, probes, zswap.  One by one,
# since qemu takes a comma for the end of a module's words.
for call in cubictcp_register inet6_init load_system_certificate_list init_kprobe_trace init_zswap; do
	light+=" initcall_blacklist=$call"
done
