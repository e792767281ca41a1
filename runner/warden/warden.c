/*
 * warden.c - see warden.h. Runs as root of the runner's user namespace, in the language's read-only
 * root.
 */
#define _GNU_SOURCE
#include "warden/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "warden/collector.h"
#include "warden/extract_output.h"
#include "warden/mount_proc.h"
#include "warden/renewal.h"
#include "warden/warden_requests.h"
#include "fdpass.h"
#include "log.h"
#include "kernel/pidfd_ns.h"
#include "kernel/netns.h"
#include "messages.h"
#include "paths.h"

#define INIT_STACK_BYTES 16384
#define LOOK_AGAIN_NS 100000000 /* whether an init that has not reported yet still lives */

/*
 * The namespaces that are made anew for every cell. A network namespace takes 0.7 ms to make and
 * unmake. So a cell without a network has an empty one that it keeps from run to run. All cells
 * share an ipc namespace: it is empty, and the policy denies the calls that would put something
 * into it.
 */
#define CELL_NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS)

struct warden {
	const struct warden_config *config;
	int *zygote_fd; /* by number; -1: none */
	int *init_fd;   /* pidfd of each cell's init, by cell; -1: none */
	uint32_t *turn; /* futexes, by cell: an init that waits begins a renewal when this changes */
	char *stacks;   /* of the inits */
	int network_fd; /* of the cell that is being made: see enum cell_network; -1: none */
	int control_fd; /* of that cell: the guest's end of its control socket */
	struct making { /* of that cell */
		uint32_t cell;
		uint32_t network;            /* enum cell_network */
		uint32_t is_renewal;         /* it exists, and is emptied */
		uint32_t is_done;            /* a futex: the init has carried out its steps, or one has failed */
		struct guest_report failure; /* of such a step */
	} * making;
	int *namespace_fd; /* of that cell, if zygotes join by them: REQUEST_NAMESPACES_MAX, -1: none */
};

/* One step of making a cell. Returns 0, or -1 with errno. */
struct step {
	const char *name;
	int (*carry_out)(const struct warden *w, uint32_t cell);
};

static uint32_t
cell_uid(const struct warden *w, uint32_t cell)
{
	return w->config->single_uid ? 0 : cell + 1;
}

static int
mount_disk(const struct warden *w, uint32_t cell)
{
	char options[128];
	unsigned uid = cell_uid(w, cell);

	snprintf(options, sizeof options, "size=%llu,nr_inodes=%llu,mode=700,uid=%u,gid=%u",
	    (unsigned long long)w->config->disk_bytes, (unsigned long long)w->config->inodes, uid, uid);
	return mount("cell", PATH_BOX, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

/* One tmpfs, and so one limit, serves as both /tmp and /box, each with a directory of its own. */
static int
bind_directories(const struct warden *w, uint32_t cell)
{
	static const char *const parts[][2] = { { PATH_BOX "/tmp", PATH_TMP }, { PATH_BOX "/box", PATH_BOX } };
	uid_t uid = cell_uid(w, cell);

	for (size_t i = 0; i < 2; i++) {
		if (mkdir(parts[i][0], 0700) != 0 || (uid != 0 && chown(parts[i][0], uid, uid) != 0))
			return -1;
	}
	for (size_t i = 0; i < 2; i++) {
		if (mount(parts[i][0], parts[i][1], NULL, MS_BIND, NULL) != 0)
			return -1;
	}
	return 0;
}

/*
 * A process in a Landlock domain may not inspect an init outside of it, so it cannot join the
 * namespaces by the pidfd of the init.
 */
static int
open_namespaces(const struct warden *w, uint32_t cell)
{
	static const enum pidfd_ns_kind kinds[] = { NAMESPACE_PID, NAMESPACE_MOUNT, NAMESPACE_UTS };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if ((w->namespace_fd[i] = pidfd_ns_open(w->init_fd[cell], kinds[i])) < 0)
			return -1;
	}
	return 0;
}

static int
open_network(const struct warden *w, uint32_t cell)
{
	w->namespace_fd[REQUEST_NAMESPACES_MAX - 1] = pidfd_ns_open(w->init_fd[cell], NAMESPACE_NETWORK);
	return w->namespace_fd[REQUEST_NAMESPACES_MAX - 1] < 0 ? -1 : 0;
}

static int
new_network(const struct warden *w, uint32_t cell)
{
	(void)w;
	(void)cell;
	return unshare(CLONE_NEWNET);
}

/*
 * The namespace was the cell's before. It has no address, so it can have no connection. Sockets of
 * an earlier run may be left for a moment, with their names, if they were on the way in messages.
 * This run then gets another namespace.
 */
static int
enter_network(const struct warden *w, uint32_t cell)
{
	if (setns(w->network_fd, CLONE_NEWNET) != 0)
		return -1;
	return netns_has_unix_sockets() == 0 ? 0 : new_network(w, cell);
}

static int
raise_loopback(const struct warden *w, uint32_t cell)
{
	(void)w;
	(void)cell;
	return netns_raise_loopback();
}

/*
 * Listen for the relay, which is to accept the connections that programs make to their proxy. The
 * broker keeps both for the cell.
 */
static int
give_network(const struct warden *w, uint32_t cell)
{
	const struct cell_network_made made = { .is_made = 1 };
	int fds[2] = { -1, netns_listen(RELAY_PORT) };
	int result = -1, error;

	(void)cell;
	if (fds[1] >= 0 && (fds[0] = netns_of_socket(fds[1])) >= 0)
		result = fdpass_send(w->control_fd, &made, sizeof made, fds, 2);
	error = errno;
	fdpass_close(fds, 2);
	errno = error;
	return result;
}

/*
 * The namespace was the cell's before. Its runs had no socket of the internet there, but perhaps
 * some of AF_UNIX: see enter_network.
 */
static int
enter_relay_network(const struct warden *w, uint32_t cell)
{
	if (setns(w->network_fd, CLONE_NEWNET) != 0)
		return -1;
	if (netns_has_unix_sockets() == 0)
		return 0;
	return new_network(w, cell) != 0 || raise_loopback(w, cell) != 0 ? -1 : give_network(w, cell);
}

/*
 * A table of its own for the init: it is to hold none of the warden's descriptors, but the one that
 * a renewal needs.
 */
static int
leave_descriptors(const struct warden *w, uint32_t cell)
{
	unsigned kept = (unsigned)w->config->last_pid_fd;

	(void)cell;
	if (w->config->last_pid_fd < 0)
		return (int)syscall(SYS_close_range, 0u, ~0u, CLOSE_RANGE_UNSHARE);
	return syscall(SYS_close_range, kept + 1, ~0u, CLOSE_RANGE_UNSHARE) != 0 ||
	        syscall(SYS_close_range, 0u, kept - 1, 0u) != 0 ?
	    -1 :
	    0;
}

static int
make_proc(const struct warden *w, uint32_t cell)
{
	return w->config->has_proc ? mount_proc(cell) : 0;
}

static int
verify_alone(const struct warden *w, uint32_t cell)
{
	(void)w;
	(void)cell;
	return renewal_verify_alone();
}

static int
verify_sockets(const struct warden *w, uint32_t cell)
{
	(void)w;
	(void)cell;
	return renewal_verify_sockets();
}

static int
empty_disk(const struct warden *w, uint32_t cell)
{
	return renewal_empty_disk(cell_uid(w, cell));
}

static int
restart_pids(const struct warden *w, uint32_t cell)
{
	(void)cell;
	return renewal_restart_pids(w->config->last_pid_fd);
}

/* /etc/passwd and /etc/group lead there: the cell's user has the uid of this cell. */
static int
name_user(const struct warden *w, uint32_t cell)
{
	char path[sizeof PATH_ALL_IDS + 16];

	snprintf(path, sizeof path, PATH_ALL_IDS "/%u", (unsigned)cell);
	return w->config->single_uid ? 0 : mount(path, PATH_CELL_IDS, NULL, MS_BIND, NULL);
}

static const struct step empty_network_steps[] = {
	{ "enter the cell's network namespace", enter_network },
};

static const struct step network_steps[] = {
	{ "make a network namespace", new_network },
	{ "bring the loopback up", raise_loopback },
	{ "listen for the relay", give_network },
};

static const struct step relay_steps[] = {
	{ "enter the cell's network with a listener", enter_relay_network },
};

/* First, for each kind of network. In the init, as those that follow. */
static const struct {
	const struct step *step;
	size_t count;
	bool has_fd;
} networks[CELL_NETWORKS] = {
	[CELL_NETWORK_EMPTY] = { empty_network_steps, sizeof empty_network_steps / sizeof empty_network_steps[0], true },
	[CELL_NETWORK_LOOPBACK] = { network_steps, 2, false },
	[CELL_NETWORK_RELAY_NEW] = { network_steps, sizeof network_steps / sizeof network_steps[0], false },
	[CELL_NETWORK_RELAY] = { relay_steps, sizeof relay_steps / sizeof relay_steps[0], true },
};

static const struct step steps[] = {
	{ "leave the warden's descriptors", leave_descriptors },
	{ "mount the cell's /proc", make_proc }, /* before /tmp is covered */
	{ "mount the cell's tmpfs", mount_disk },
	{ "make /tmp and /box", bind_directories },
	{ "name the cell's user", name_user },
};

/* In the init of a cell that has served a run, which made no socket of the internet. */
static const struct step renewal_steps[] = {
	{ "verify that nothing runs in it", verify_alone }, /* first: now nothing changes any more */
	{ "verify that it has no socket", verify_sockets },
	{ "empty /tmp and /box", empty_disk },
	{ "start its pids anew", restart_pids },
};

/*
 * Last, in the warden, for zygotes behind Landlock; the second for a cell with a network namespace
 * of its own.
 */
static const struct step namespaces_steps[] = {
	{ "open its namespaces", open_namespaces },
	{ "open its network namespace", open_network },
};

/* Carry out steps, unless one has failed. */
static void
carry_out(const struct warden *w, uint32_t cell, const struct step *step, size_t count, struct guest_report *failure)
{
	for (size_t i = 0; failure->error == 0 && i < count; i++) {
		if (step[i].carry_out(w, cell) != 0) {
			failure->error = errno;
			snprintf(failure->step, sizeof failure->step, "%s", step[i].name);
		}
	}
}

/* ---- the init ----------------------------------------------------------------------------------------------------------- */

/*
 * Pid 1 of a cell. It shares the memory of the warden, which waits until the steps are done; errno
 * is the same one, too. After that it waits for its turn and touches nothing else: system calls
 * only. SIGCHLD is ignored, as in the warden: orphans are reaped by the kernel.
 */
static int
init_main(void *of)
{
	const struct warden *w = of;
	const uint32_t cell = w->making->cell, *turn = &w->turn[cell];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct making *making = w->making;
		uint32_t now = __atomic_load_n(turn, __ATOMIC_ACQUIRE);

		if (making->is_renewal != 0) {
			carry_out(w, cell, renewal_steps, sizeof renewal_steps / sizeof renewal_steps[0], &making->failure);
		} else {
			carry_out(w, cell, networks[making->network].step, networks[making->network].count, &making->failure);
			carry_out(w, cell, steps, sizeof steps / sizeof steps[0], &making->failure);
		}
		__atomic_store_n(&making->is_done, 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, &making->is_done, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) == now)
			syscall(SYS_futex, turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
	}
	return 0;
}

static bool
has_ended(int pidfd)
{
	struct pollfd poller = { .fd = pidfd, .events = POLLIN };

	return poll(&poller, 1, 0) != 0;
}

/* Wait until the init has carried out its steps. A failure is noted in w->making. */
static void
await_init(const struct warden *w)
{
	const struct timespec most = { .tv_nsec = LOOK_AGAIN_NS };
	struct making *making = w->making;

	while (__atomic_load_n(&making->is_done, __ATOMIC_ACQUIRE) == 0) {
		if (syscall(SYS_futex, &making->is_done, FUTEX_WAIT_PRIVATE, 0, &most, NULL, 0) != 0 && errno == ETIMEDOUT &&
		    has_ended(w->init_fd[making->cell])) {
			making->failure = (struct guest_report){ .error = ESRCH, .step = "wait for the cell's init" };
			return;
		}
	}
}

/* Start the init of a cell, which makes it. A failure is noted in w->making. */
static void
start_init(const struct warden *w)
{
	struct making *making = w->making;
	char *stack = w->stacks + (size_t)(making->cell + 1) * INIT_STACK_BYTES;
	int pidfd = -1;

	/* CLONE_FILES: no table of descriptors to copy. */
	if (clone(init_main, stack, CELL_NAMESPACES | CLONE_VM | CLONE_FILES | CLONE_PIDFD | SIGCHLD, (void *)w, &pidfd) < 0) {
		making->failure.error = errno;
		snprintf(making->failure.step, sizeof making->failure.step, "make namespaces and start the cell's init");
		return;
	}
	w->init_fd[making->cell] = pidfd;
	await_init(w);
}

/* Have the init of a cell empty it. A failure is noted in w->making. */
static void
renew(const struct warden *w)
{
	struct making *making = w->making;
	uint32_t *turn = &w->turn[making->cell];

	if (w->init_fd[making->cell] < 0 || has_ended(w->init_fd[making->cell])) {
		making->failure = (struct guest_report){ .error = ESRCH, .step = "find the cell's init" };
		return;
	}
	__atomic_add_fetch(turn, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	await_init(w);
}

/* ---- requests ----------------------------------------------------------------------------------------------------------- */

static void
drop(struct warden *w, uint32_t cell)
{
	if (w->init_fd[cell] < 0)
		return;
	syscall(SYS_pidfd_send_signal, w->init_fd[cell], SIGKILL, NULL, 0);
	close(w->init_fd[cell]);
	w->init_fd[cell] = -1;
}

/*
 * Make a cell, or renew it, and have a guest forked into it. A failure is reported on the control
 * socket, and the cell is dropped.
 */
static void
make(struct warden *w, const struct warden_request *request, const int *fds, size_t fd_count)
{
	struct making making = { .cell = request->cell, .network = request->network, .is_renewal = request->is_renewal };
	struct guest_report *failure = &making.failure;
	struct guest_request guest = { .cell = request->cell,
		.uid = cell_uid(w, request->cell),
		.has_network = request->network != CELL_NETWORK_OF_ZYGOTE,
		.rehearses = request->rehearses };
	int passed[GUEST_REQUEST_FDS];
	size_t count = 0;

	w->making = &making;
	w->network_fd = networks[request->network].has_fd ? fds[--fd_count] : -1;
	w->control_fd = fds[0];
	if (request->is_renewal != 0) {
		renew(w);
	} else {
		drop(w, request->cell);
		start_init(w);
	}
	if (w->config->zygote_landlock)
		carry_out(w, request->cell, namespaces_steps, guest.has_network != 0 ? 2 : 1, failure);
	if (failure->error == 0) {
		passed[count++] = w->init_fd[request->cell];
		passed[count++] = fds[0];
		for (size_t i = 0; i < REQUEST_NAMESPACES_MAX; i++) {
			if (w->namespace_fd[i] >= 0)
				passed[count++] = w->namespace_fd[i];
		}
		guest.namespaces = (uint32_t)(count - 2);
		memcpy(passed + count, fds + 1, (fd_count - 1) * sizeof *fds);
		count += fd_count - 1;
		errno = ESRCH;
		if (w->zygote_fd[request->zygote] < 0 ||
		    fdpass_send(w->zygote_fd[request->zygote], &guest, sizeof guest, passed, count) != 0) {
			failure->error = errno;
			snprintf(failure->step, sizeof failure->step, "request a guest from the zygote");
		}
	}
	fdpass_close(w->namespace_fd, REQUEST_NAMESPACES_MAX);
	w->making = NULL;
	if (failure->error == 0)
		return;
	drop(w, request->cell);
	fdpass_send(fds[0], failure, sizeof *failure, NULL, 0);
}

/*
 * Extract the output of a compiler from a cell in which nothing runs any more. The warden does it
 * rather than the guest, because the cell's control group would be charged for the copy.
 */
static void
extract(struct warden *w, int answer_fd, int box_fd)
{
	struct guest_report report = { 0 };
	int fd = w->config->output == NULL ? -1 : extract_output(box_fd, w->config->output, w->config->output_bytes);

	if (fd < 0) {
		report.error = errno != 0 ? errno : EINVAL;
		snprintf(report.step, sizeof report.step, "extract the compiler's output");
	}
	fdpass_send(answer_fd, &report, sizeof report, &fd, fd < 0 ? 0 : 1);
	fdpass_close(&fd, 1);
}

/* Have the files of a run collected from a cell in which nothing runs any more. */
static void
collect(const struct warden *w, uint32_t cell, const int *fds)
{
	const struct collector collector = { .policy = w->config->collector_policy,
		.landlock_abi = w->config->collector_landlock,
		.most_bytes = w->config->collect_bytes,
		.becomes_user = !w->config->single_uid,
		.uid = cell_uid(w, cell) };

	/* Without a collector nobody answers, and the broker sees that. */
	if (collector_start(&collector, fds[0], fds[1], fds[2]) < 0)
		log_warn("warden: start a collector: %s", strerror(errno));
}

void
warden_main(int sock, const struct warden_config *config)
{
	int namespaces[REQUEST_NAMESPACES_MAX] = { -1, -1, -1, -1 };
	struct warden w = { .config = config, .namespace_fd = namespaces };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root_fd < 0)
		die("warden: open its root: %s", strerror(errno));
	sigaction(SIGCHLD, &ignore, NULL);
	/*
	 * A zygote may join a cell's namespaces only if their owner, init, lets itself be looked
	 * at.
	 */
	prctl(PR_SET_DUMPABLE, 1);
	w.zygote_fd = malloc(config->zygotes * sizeof *w.zygote_fd);
	w.init_fd = malloc(config->cells * sizeof *w.init_fd);
	w.turn = calloc(config->cells, sizeof *w.turn);
	w.stacks = aligned_alloc(INIT_STACK_BYTES, (size_t)config->cells * INIT_STACK_BYTES);
	if (w.zygote_fd == NULL || w.init_fd == NULL || w.turn == NULL || w.stacks == NULL)
		die("warden: out of memory");
	for (uint32_t i = 0; i < config->zygotes; i++)
		w.zygote_fd[i] = -1;
	for (uint32_t i = 0; i < config->cells; i++)
		w.init_fd[i] = -1;
	umask(077);
	for (;;) {
		struct warden_request request;
		int fds[REQUEST_FDS];
		size_t count = warden_requests_wait(config, sock, &request, fds);

		if (request.kind == WARDEN_MAKE && request.network < CELL_NETWORKS &&
		    count >= 1u + networks[request.network].has_fd) {
			make(&w, &request, fds, count);
		} else if (request.kind == WARDEN_DROP) {
			drop(&w, request.cell);
		} else if (request.kind == WARDEN_EXTRACT && count == 2) {
			extract(&w, fds[0], fds[1]);
		} else if (request.kind == WARDEN_COLLECT && count == 3) {
			collect(&w, request.cell, fds);
		} else if (request.kind == WARDEN_IDENTIFY && count == 1) {
			warden_requests_identify(config, root_fd, fds[0]);
		} else if (request.kind == WARDEN_RECLAIM && count == 2) {
			warden_requests_reclaim(fds[0], fds[1], request.bytes);
		} else if (request.kind == WARDEN_ZYGOTE && count <= 1) {
			fdpass_close(&w.zygote_fd[request.zygote], 1);
			w.zygote_fd[request.zygote] = count == 1 ? fds[0] : -1;
			count = 0;
		}
		fdpass_close(fds, count);
	}
}
