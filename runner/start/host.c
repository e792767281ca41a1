/* host.c - see host.h. */
#define _GNU_SOURCE
#include "start/host.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capabilities.h"
#include "kernel/fork_into.h"
#include "log.h"

const uint64_t host_broker_namespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;

void
host_instance_name(const char *socket_path, uint32_t slot, char name[HOST_NAME_SIZE])
{
	uint32_t hash = 2166136261u;
	int at;

	for (const char *c = socket_path; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	at = snprintf(name, HOST_NAME_SIZE, "cellblock-%08x", hash);
	if (slot > 0)
		snprintf(name + at, HOST_NAME_SIZE - (size_t)at, "-%u", slot);
}

void
host_use_slot(struct config *config, uint32_t slot)
{
	if (geteuid() == 0)
		config->first_uid += slot * HOST_SLOT_UIDS;
}

bool
host_has_user_namespaces(void)
{
	pid_t pid = fork_into(CLONE_NEWUSER);

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid > 0;
}

bool
host_has_proc(void)
{
	pid_t pid = fork_into(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS);
	int status;

	if (pid == 0)
		_exit(mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 ? errno : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	return errno == 0;
}

void
host_leave_chroot(void)
{
	char directory[PATH_MAX];
	int root_fd, tree_fd, namespace_fd;

	if (host_has_user_namespaces() || errno != EPERM || getcwd(directory, sizeof directory) == NULL)
		return;
	if (unshare(CLONE_NEWNS) != 0)
		return; /* the start reports what it cannot do */
	root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	namespace_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	/*
	 * Joining our own mount namespace sets our root to the namespace's, which is outside of the
	 * chroot.
	 */
	if (root_fd < 0 || namespace_fd < 0 || setns(namespace_fd, CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0 ||
	    (tree_fd = (int)syscall(SYS_open_tree, root_fd, "",
	         OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH)) < 0 ||
	    syscall(SYS_move_mount, tree_fd, "", root_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0 ||
	    fchdir(tree_fd) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 ||
	    chdir(directory) != 0)
		die("make the chroot's root the root of a mount namespace: %s", strerror(errno));
	close(namespace_fd);
	close(tree_fd);
	close(root_fd);
}

void
host_become_namespace_root(bool single_uid)
{
	/*
	 * An ordinary user's groups cannot be dropped. They are of no use inside, where no file is
	 * theirs.
	 */
	if ((!single_uid && setgroups(0, NULL) != 0) || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
		die("become root of the user namespace: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die("set no_new_privs: %s", strerror(errno));
}

void
host_become_container_root(void)
{
	const uint64_t keep = CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_KILL) | CAPABILITY(CAP_MKNOD) | CAPABILITY(CAP_SETGID) |
	    CAPABILITY(CAP_SETPCAP) | CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SYS_CHROOT);

	if (setgroups(0, NULL) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die("become the parent of all cells: %s", strerror(errno));
	if (capabilities_keep(keep) != 0)
		die("keep the capabilities chown, kill, mknod, setgid, setpcap, setuid and sys_chroot, and no other: %s "
		    "(cellblock-runner --check-host says what this host offers)",
		    strerror(errno));
}

void
host_drop_privileges(uid_t owner)
{
	if (geteuid() == 0) {
		/*
		 * A container's root may lack the right. With no_new_privs the bounding set is of
		 * no use.
		 */
		capabilities_bound(0);
		if (setgroups(0, NULL) != 0 || setresgid(owner, owner, owner) != 0 || setresuid(owner, owner, owner) != 0)
			die("become uid %u: %s", (unsigned)owner, strerror(errno));
	}
	if (capabilities_set(0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die("drop all capabilities: %s", strerror(errno));
	/* Verified, like the capabilities. */
	if (getuid() == 0 || geteuid() == 0 || setresuid(0, 0, 0) == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		die("privileges are still there after they were dropped");
}
