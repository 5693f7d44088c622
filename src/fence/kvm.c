/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kvm.c - is there a KVM that works?  On some hosts it is there, and guests hang in it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/confine.h"
#include "fence/kvm.h"

#define PATIENCE 1.0 /* seconds; a guest of two instructions takes microseconds */
#define PAGE     4096u

/* Under Xen there is none, whatever the device files say. */
static bool under_xen(void)
{
	char type[8] = "";
	FILE *f = fopen("/sys/hypervisor/type", "re");

	if (f != NULL) {
		if (fread(type, 1, sizeof type - 1, f) == 0)
			type[0] = '\0';
		fclose(f);
	}
	return strncmp(type, "xen", 3) == 0;
}

#if defined(__x86_64__)
/* Real mode, one page at address 0: MOV AL, 42; HLT. */
static bool run_guest(void)
{
	static const uint8_t code[] = { 0xb0, 42, 0xf4 };
	struct kvm_userspace_memory_region memory = { .memory_size = PAGE };
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_run *state;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, cpu, size;
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (kvm < 0 || page == MAP_FAILED || (vm = ioctl(kvm, KVM_CREATE_VM, 0)) < 0)
		return false;
	memcpy(page, code, sizeof code);
	memory.userspace_addr = (uintptr_t)page;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory) < 0 || (cpu = ioctl(vm, KVM_CREATE_VCPU, 0)) < 0)
		return false;
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof *state || ioctl(cpu, KVM_GET_SREGS, &sregs) < 0)
		return false;
	state = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	memset(&regs, 0, sizeof regs);
	regs.rflags = 2;
	if (state == MAP_FAILED || ioctl(cpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(cpu, KVM_SET_REGS, &regs) < 0)
		return false;
	return ioctl(cpu, KVM_RUN, 0) == 0 && state->exit_reason == KVM_EXIT_HLT &&
	       ioctl(cpu, KVM_GET_REGS, &regs) == 0 && (regs.rax & 0xff) == 42;
}
#else
static bool run_guest(void)
{
	return false;
}
#endif

bool domu_kvm_works(gid_t *group)
{
	double end = domu_now() + PATIENCE;
	struct stat st;
	int status = 1;
	pid_t pid, got = 0;

	*group = 0;
	if (under_xen() || stat("/dev/kvm", &st) < 0 || !S_ISCHR(st.st_mode))
		return false;
	pid = fork();
	if (pid == 0)
		_exit(run_guest() ? 0 : 1);
	while (pid > 0 && (got = waitpid(pid, &status, WNOHANG)) == 0 && domu_now() < end)
		domu_nap(1);
	if (got == 0 && pid > 0) {
		/* It may hang where no signal reaches it: it is not waited for long either. */
		kill(pid, SIGKILL);
		domu_nap(20);
		waitpid(pid, NULL, WNOHANG);
	}
	*group = (st.st_mode & S_IRWXO) == (S_IROTH | S_IWOTH) ? 0 : st.st_gid;
	return got > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
