/*
 * plain.c - reduces root on this host, for a command, to the rights of root in a plain container.
 *
 *     plain COMMAND [ARGUMENT]...
 *
 * It keeps the capabilities that Docker leaves to root by default. It denies the system calls that
 * Docker's default filter denies without CAP_SYS_ADMIN, if they matter to us. It hides the control
 * groups. Children inherit all of it, and nothing can undo it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLONE_NAMESPACES 0x7e020000u /* all of CLONE_NEW*, as Docker's filter has it */

static const unsigned refused[] = { SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_sethostname,
	SYS_setdomainname, SYS_bpf, SYS_perf_event_open, SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount,
	SYS_fspick, SYS_mount_setattr, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot,
	SYS_swapon, SYS_swapoff, SYS_acct, SYS_add_key, SYS_keyctl, SYS_request_key, SYS_userfaultfd, SYS_io_uring_setup,
	SYS_io_uring_enter, SYS_io_uring_register, SYS_clock_settime, SYS_settimeofday, SYS_quotactl, SYS_name_to_handle_at,
	SYS_open_by_handle_at, SYS_fanotify_init };

static const int kept[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
	CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT, CAP_MKNOD, CAP_AUDIT_WRITE, CAP_SETFCAP };

static void
check(int result, const char *what)
{
	if (result == 0)
		return;
	perror(what);
	exit(125);
}

static void
load_filter(void)
{
	static struct sock_filter code[2 * sizeof refused / sizeof refused[0] + 16];
	struct sock_fprog filter = { .filter = code };
	size_t n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	}
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NAMESPACES, 0, 1);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter.len = (unsigned short)n;
	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), "load the filter");
}

static void
drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct set[2] = { { 0 } };

	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
		set[CAP_TO_INDEX(kept[i])].permitted |= CAP_TO_MASK(kept[i]);
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if ((set[CAP_TO_INDEX(cap)].permitted & CAP_TO_MASK(cap)) == 0)
			check(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0), "drop from the bounding set");
	}
	for (int i = 0; i < 2; i++)
		set[i].effective = set[i].permitted;
	check((int)syscall(SYS_capset, &head, set), "drop capabilities");
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return 125;
	check(unshare(CLONE_NEWNS), "make a mount namespace");
	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make the mounts private");
	check(mount("none", "/sys/fs/cgroup", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k"), "hide the control groups");
	/*
	 * In this order: loading a filter takes CAP_SYS_ADMIN or no_new_privs, and root here has
	 * only the former.
	 */
	load_filter();
	drop_capabilities();
	execvp(argv[1], argv + 1);
	check(-1, argv[1]);
}
