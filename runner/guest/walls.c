/*
 * walls.c - see walls.h. Runs in a zygote (uid 0 of the runner's user namespace, in the language's
 * read-only root), and in a guest until its program starts.
 */
#define _GNU_SOURCE
#include "guest/walls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capabilities.h"
#include "fdpass.h"
#include "guest/secrets.h"
#include "landlock.h"
#include "mark.h"
#include "paths.h"
#include "proto.h"

/* A step. `put_up` returns 0, or -1 with errno. It does nothing where the layer does not apply. */
struct wall {
	const char *name; /* shorter than REQUEST_STEP_SIZE */
	int (*put_up)(struct walls *walls);
};

static const char *
put_up(const struct wall *wall, size_t count, struct walls *walls)
{
	for (size_t i = 0; i < count; i++) {
		if (wall[i].put_up(walls) != 0)
			return wall[i].name;
	}
	return NULL;
}

static bool
is_level(const struct walls *walls, enum level level)
{
	return walls->setup->level == (uint32_t)level;
}

/* ---- around a zygote ----------------------------------------------------------------------------- */

/* The number of entries of /proc/self/task. */
static int
count_tasks(void)
{
	DIR *tasks = fdopendir(ZYGOTE_TASKS_FD);
	struct dirent *entry;
	int count = 0;

	if (tasks == NULL)
		return -1;
	while ((entry = readdir(tasks)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

/* A fork copies one thread. Locks and pending work of other threads would be lost in the guest. */
static int
have_one_thread(struct walls *walls)
{
	bool has_one;

	if (walls->has_threads) {
		if (is_level(walls, LEVEL_CHROOT))
			close(ZYGOTE_TASKS_FD);
		return 0;
	}
	/*
	 * unshare(CLONE_THREAD) fails in a process with a second thread. A container's filter may
	 * deny it.
	 */
	has_one = is_level(walls, LEVEL_CHROOT) ? count_tasks() == 1 : unshare(CLONE_THREAD) == 0;
	if (!has_one)
		errno = EBUSY;
	return has_one ? 0 : -1;
}

static int
empty_bounding_set(struct walls *walls)
{
	(void)walls;
	return capabilities_bound(0);
}

/* Uid 0 gets no capability by execve(2) or setuid(2) any more, and nothing becomes ambient. */
static int
lock_securebits(struct walls *walls)
{
	(void)walls;
	return (int)mark_syscall(SYS_prctl, PR_SET_SECUREBITS,
	    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
	        SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
	    0, 0, 0);
}

static int
set_no_new_privs(struct walls *walls)
{
	(void)walls;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* At level chroot the capabilities are the container's, not those of a user namespace of ours. */
static int
keep_guest_capabilities(struct walls *walls)
{
	return is_level(walls, LEVEL_CHROOT) ?
	    capabilities_set(CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SYS_CHROOT)) :
	    0;
}

/* Arguments of the filter below: an int is the lower half. */
#if __BYTE_ORDER == __LITTLE_ENDIAN
#define LOWER_HALF(arg) (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (arg))
#else
#define LOWER_HALF(arg) (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (arg) + 4)
#endif
#ifdef SYS_open
#define CALL_OPEN SYS_open
#else
#define CALL_OPEN UINT32_MAX /* this architecture has openat(2) alone */
#endif

/*
 * At level chroot a cell's disk is the host's. fallocate(2) would take all of it at once, even past
 * RLIMIT_FSIZE. Programs go on without it when they get EOPNOTSUPP. With O_DSYNC, which O_SYNC
 * contains, each write would wait for the disk, and the disk for it. The policy answers fsync(2)
 * at every level.
 */
static int
spare_disk(struct walls *walls)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 7, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALL_OPEN, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOWER_HALF(1)),
		BPF_STMT(BPF_JMP | BPF_JA, 1),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOWER_HALF(2)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_SYNC, 2, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
	};
	struct sock_fprog filter = { .len = sizeof code / sizeof code[0], .filter = code };

	if (!is_level(walls, LEVEL_CHROOT))
		return 0;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, walls->has_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0ul, &filter);
}

/*
 * The bounds are wider than a guest's: the cells lie in the same root. Landlock denies a zygote
 * every file outside of that root, signals to the runner, and a look into the runner's processes.
 * It does not restrict threads that an interpreter has already.
 */
static int
enter_zygote_landlock(struct walls *walls)
{
	struct landlock_rule root = { .allowed = LANDLOCK_ALL };
	int result;

	if (walls->setup->zygote_landlock == 0)
		return 0;
	root.fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	result = root.fd < 0 ?
	    -1 :
	    landlock_enter(walls->setup->landlock_abi, walls->setup->landlock_flags & ~(uint32_t)LANDLOCK_QUIET, &root, 1);
	fdpass_close(&root.fd, 1);
	return result;
}

static int
load_base_filter(struct walls *walls)
{
	walls->listener_fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    SECCOMP_FILTER_FLAG_NEW_LISTENER |
	        (walls->has_threads ? SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH : 0ul),
	    &walls->base_filter);
	return walls->listener_fd < 0 ? -1 : 0;
}

static const struct wall zygote_walls[] = {
	{ "have one thread", have_one_thread },
	{ "empty the bounding set", empty_bounding_set },
	{ "lock the securebits", lock_securebits },
	{ "set no_new_privs", set_no_new_privs },
	{ "drop the container's capabilities", keep_guest_capabilities },
	{ "spare the host's disk", spare_disk },
	{ "enter the zygote's Landlock domain", enter_zygote_landlock },
	{ "load the base filter", load_base_filter },
};

const char *
walls_around_zygote(struct walls *walls)
{
	return put_up(zygote_walls, sizeof zygote_walls / sizeof zygote_walls[0], walls);
}

/* ---- around a guest ------------------------------------------------------------------------------ */

/* The guest was born in the pid namespace: its zygote joined that before the fork. */
static int
join_namespaces(struct walls *walls)
{
	const struct guest_request *request = walls->request;
	long kinds = CLONE_NEWNS | CLONE_NEWUTS | (request->has_network != 0 ? CLONE_NEWNET : 0);

	if (!is_level(walls, LEVEL_NAMESPACES))
		return 0;
	if (request->namespaces == 0)
		return (int)mark_syscall(SYS_setns, walls->place_fd, kinds, 0, 0, 0);
	for (uint32_t i = 1; i < request->namespaces; i++) {
		if (mark_syscall(SYS_setns, walls->namespace_fds[i], 0, 0, 0, 0) != 0)
			return -1;
	}
	return 0;
}

static int
enter_root(struct walls *walls)
{
	if (!is_level(walls, LEVEL_CHROOT))
		return 0;
	return fchdir(walls->place_fd) != 0 ? -1 : (int)mark_syscall(SYS_chroot, MARK_ADDRESS("."), 0, 0, 0, 0);
}

static int
leave_session(struct walls *walls)
{
	(void)walls;
	return mark_syscall(SYS_setsid, 0, 0, 0, 0, 0) < 0 ? -1 : 0;
}

/* "0" moves the writer. Version 2 needs no write: there the guest was born in its control group. */
static int
join_cgroup(struct walls *walls)
{
	for (size_t i = 0; i < walls->cgroup_count; i++) {
		if (write(walls->cgroup_fds[i], "0", 1) != 1)
			return -1;
	}
	return 0;
}

/*
 * /proc/self/cgroup then tells that the guest is in the root of all control groups, and not where
 * its group is on the host. Its children inherit that.
 */
static int
hide_cgroup(struct walls *walls)
{
	return walls->setup->has_proc == 0 ? 0 : (int)mark_syscall(SYS_unshare, CLONE_NEWCGROUP, 0, 0, 0, 0);
}

/*
 * With a single uid a guest gets a user namespace that nobody maps an id into: in it the guest is
 * no user at all. It also gets all capabilities of that namespace, which owns nothing. Later steps
 * drop them. The kernel counts processes by namespace and uid, and so for each cell.
 */
static int
new_user_namespace(struct walls *walls)
{
	return walls->setup->single_uid == 0 ? 0 : (int)mark_syscall(SYS_unshare, CLONE_NEWUSER, 0, 0, 0, 0);
}

/* A new user namespace comes with a full bounding set, ... */
static int
empty_its_bounding_set(struct walls *walls)
{
	return walls->setup->single_uid == 0 ? 0 : capabilities_bound(0);
}

/* ... without securebits, ... */
static int
lock_its_securebits(struct walls *walls)
{
	return walls->setup->single_uid == 0 ? 0 : lock_securebits(walls);
}

/* ... and without a change of uid, which makes other guests undumpable. */
static int
become_undumpable(struct walls *walls)
{
	return walls->setup->single_uid == 0 ? 0 : (int)mark_syscall(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int
drop_groups(struct walls *walls)
{
	return walls->setup->single_uid != 0 ? 0 : (int)mark_syscall(SYS_setgroups, 0, 0, 0, 0, 0);
}

static int
become_group(struct walls *walls)
{
	long gid = walls->request->uid;

	return walls->setup->single_uid != 0 ? 0 : (int)mark_syscall(SYS_setresgid, gid, gid, gid, 0, 0);
}

static int
become_user(struct walls *walls)
{
	long uid = walls->request->uid;

	return walls->setup->single_uid != 0 ? 0 : (int)mark_syscall(SYS_setresuid, uid, uid, uid, 0, 0);
}

static int
stay_user(struct walls *walls)
{
	if (walls->setup->single_uid != 0 || mark_syscall(SYS_setresuid, 0, 0, 0, 0, 0) != 0)
		return 0;
	errno = EPERM;
	return -1;
}

static int
drop_capabilities(struct walls *walls)
{
	(void)walls;
	return capabilities_set(0);
}

static int
verify_no_new_privs(struct walls *walls)
{
	(void)walls;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -1;
}

static int
renew_secrets(struct walls *walls)
{
	(void)walls;
	return secrets_renew();
}

/*
 * A run without input finds a pipe that is at its end: programs ask epoll(7) about their stdin,
 * which has no answer for /dev/null. The cell's user owns the pipe, and so may open it again. A
 * run's own input replaces it.
 */
static int
have_empty_stdin(struct walls *walls)
{
	int ends[2];

	(void)walls;
	close(STDIN_FILENO);
	if (pipe2(ends, 0) != 0)
		return -1;
	errno = EBUSY;
	return ends[0] == STDIN_FILENO ? close(ends[1]) : -1;
}

static int
enter_box(struct walls *walls)
{
	if (chdir(PATH_BOX) != 0)
		return -1;
	walls->box_fd = open(PATH_BOX, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return walls->box_fd < 0 ? -1 : 0;
}

/*
 * The mounts and the permissions deny the same already; this is another part of the kernel.
 * Landlock also denies signals and abstract sockets across cells.
 */
static int
enter_landlock(struct walls *walls)
{
	static const struct {
		const char *path;
		uint64_t allowed;
	} places[] = {
		{ "/", LANDLOCK_READ },
		{ "/dev", LANDLOCK_READ | LANDLOCK_WRITE },
		{ PATH_TMP, LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_MAKE },
		{ PATH_BOX, LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_MAKE },
	};
	enum { PLACES = sizeof places / sizeof places[0] };
	struct landlock_rule rules[PLACES];
	int result = 0;

	if (walls->setup->landlock_abi == 0)
		return 0;
	for (size_t i = 0; i < PLACES; i++) {
		rules[i] = (struct landlock_rule){ .fd = open(places[i].path, O_PATH | O_DIRECTORY | O_CLOEXEC),
			.allowed = places[i].allowed };
		if (rules[i].fd < 0)
			result = -1;
	}
	if (result == 0)
		result = landlock_enter(walls->setup->landlock_abi, walls->setup->landlock_flags, rules, PLACES);
	for (size_t i = 0; i < PLACES; i++)
		fdpass_close(&rules[i].fd, 1);
	return result;
}

/*
 * /proc/self is the guest's own, as it is for any program: the change of uid has given it to root.
 * Only processes of the cell have the same uid. With a single uid the guests of all cells have it,
 * so there it stays as it is.
 */
static int
become_dumpable(struct walls *walls)
{
	return walls->setup->has_proc == 0 || walls->setup->single_uid != 0 ?
	    0 :
	    (int)mark_syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static const struct wall guest_walls[] = {
	{ "join the cell's namespaces", join_namespaces },
	{ "enter the cell's root", enter_root },
	{ "leave the runner's session", leave_session },
	{ "join the cell's cgroup", join_cgroup },
	{ "hide the path of its cgroup", hide_cgroup },
	{ "make the cell's user namespace", new_user_namespace },
	{ "empty its bounding set", empty_its_bounding_set },
	{ "lock its securebits", lock_its_securebits },
	{ "become undumpable", become_undumpable },
	{ "drop the runner's groups", drop_groups },
	{ "become the cell's group", become_group },
	{ "become the cell's user", become_user },
	{ "stay the cell's user", stay_user },
	{ "drop all capabilities", drop_capabilities },
	{ "verify no_new_privs", verify_no_new_privs },
	{ "renew its random bytes", renew_secrets },
	{ "have an empty stdin", have_empty_stdin },
	{ "enter the working directory", enter_box },
	{ "enter the Landlock domain", enter_landlock },
	{ "become dumpable", become_dumpable },
};

const char *
walls_around_guest(struct walls *walls)
{
	return put_up(guest_walls, sizeof guest_walls / sizeof guest_walls[0], walls);
}

/* ---- around a run -------------------------------------------------------------------------------- */

/*
 * The kernel gave the descriptors of the run the lowest free numbers, in their order. So none of
 * them is overwritten before its turn.
 */
static int
place_descriptors(struct walls *walls)
{
	const int *fds = walls->run_fds;

	if (dup2(fds[RUN_STDOUT], STDOUT_FILENO) < 0 || dup2(fds[RUN_STDERR], STDERR_FILENO) < 0 ||
	    (walls->start->has_stdin != 0 && dup2(fds[RUN_STDIN], STDIN_FILENO) < 0))
		return -1;
	return walls->start->has_output == 0 || dup3(fds[walls->run_fd_count - 1], GUEST_OUTPUT_FD, O_CLOEXEC) >= 0 ? 0 : -1;
}

static int
limit(int resource, uint64_t value)
{
	struct rlimit both = { (rlim_t)value, (rlim_t)value };

	return setrlimit((__rlimit_resource_t)resource, &both);
}

static int
set_rlimits(struct walls *walls)
{
	const struct guest_start *start = walls->start;

	return limit(RLIMIT_CPU, start->cpu_seconds) != 0 || limit(RLIMIT_NOFILE, start->open_files) != 0 ||
	        limit(RLIMIT_STACK, start->stack_bytes) != 0 ||
	        (start->data_bytes != 0 && limit(RLIMIT_DATA, start->data_bytes + walls->data_bytes) != 0) ||
	        (start->tasks != 0 && limit(RLIMIT_NPROC, start->tasks) != 0) ||
	        (start->file_bytes != 0 && limit(RLIMIT_FSIZE, start->file_bytes) != 0) ?
	    -1 :
	    0;
}

/*
 * Close all descriptors but stdio, the control socket, and those that are kept: the job, the
 * compiler's output, and an interpreter's own.
 */
static int
close_others(struct walls *walls)
{
	unsigned first = GUEST_CONTROL_FD + 1u;

	for (size_t i = RUN_STDOUT; walls->has_interpreter && i < walls->run_fd_count; i++) {
		if (walls->run_fds[i] > STDERR_FILENO && close(walls->run_fds[i]) != 0)
			return -1;
	}
	if (walls->has_interpreter)
		return 0;
	for (size_t i = 0; i < walls->kept_count; i++) {
		unsigned fd = (unsigned)walls->kept_fds[i];

		if (fd > first && syscall(SYS_close_range, first, fd - 1u, 0u) != 0)
			return -1;
		first = fd + 1u;
	}
	return (int)syscall(SYS_close_range, first, ~0u, 0u);
}

static int
load_last_filter(struct walls *walls)
{
	return (int)mark_syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
	    MARK_ADDRESS(&walls->last_filter), 0, 0);
}

static const struct wall run_walls[] = {
	{ "place the run's descriptors", place_descriptors },
	{ "set the run's rlimits", set_rlimits },
	{ "close all other descriptors", close_others },
	{ "load the last filter", load_last_filter },
};

const char *
walls_around_run(struct walls *walls)
{
	return put_up(run_walls, sizeof run_walls / sizeof run_walls[0], walls);
}
