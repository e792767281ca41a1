/*
 * isolation_ns.c - level namespaces (isolation.h): each cell has namespaces and a tmpfs of its own,
 * and an init that holds them. When the init is killed, the kernel kills all that is in the cell.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_network.h"
#include "broker/cell_run.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "broker/meminfo.h"
#include "broker/run.h"
#include "broker/warden_link.h"
#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"

#define ARMING_LIMIT_US 10000000u
#define TORN_DOWN_WAIT_US 100000u /* for an init to follow its guest */
#define WATCH_RETRY_US 100000u

/* ---- a cell ----------------------------------------------------------------------------------------------------- */

static int
begin(struct broker *broker, struct cell *cell, int *fd)
{
	(void)broker;
	(void)cell;
	*fd = -1;
	return 0;
}

static void
abandon(struct broker *broker, struct cell *cell)
{
	(void)broker;
	(void)cell;
}

static void
armed(struct cell *cell, int fds[2])
{
	/* Those of a cell that was renewed lead to the same. */
	fdpass_close(&cell->init_fd, 1);
	fdpass_close(&cell->box_fd, 1);
	cell->init_fd = fds[0];
	cell->box_fd = fds[1];
}

/* Whether the disk of this run is the one that every cell is made with. */
static bool
has_usual_disk(const struct cell *cell)
{
	const struct run_limits *mounted = &cell->language->config->limits.default_;

	return cell->limits.disk_bytes == mounted->disk_bytes && cell->limits.inodes == mounted->inodes;
}

static bool
may_renew(const struct broker *broker, const struct cell *cell)
{
	return broker->last_pid_fd >= 0 && !cell->is_torn && has_usual_disk(cell);
}

/* Have /proc/meminfo tell the memory of this run, if it tells something else. */
static int
tell_memory(const struct broker *broker, struct cell *cell)
{
	uint64_t bytes = cell->limits.memory_bytes;

	if (broker->proc_files_fd < 0 || cell->meminfo_bytes == bytes)
		return 0;
	if (meminfo_write(broker->proc_files_fd, cell->number, bytes) != 0)
		return -1;
	cell->meminfo_bytes = bytes;
	return 0;
}

/*
 * Give the tmpfs the size that this run asked for, if it is not the one that every cell is made
 * with. The descriptor leads to the mount; nothing is looked up.
 */
static int
start(struct broker *broker, struct cell *cell)
{
	char size[24], inodes[24];
	int fd, result, error;

	if (tell_memory(broker, cell) != 0)
		return -1;
	if (has_usual_disk(cell))
		return 0;
	snprintf(size, sizeof size, "%llu", (unsigned long long)cell->limits.disk_bytes);
	snprintf(inodes, sizeof inodes, "%llu", (unsigned long long)cell->limits.inodes);
	fd = (int)syscall(SYS_fspick, cell->box_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	if (fd < 0)
		return -1;
	result = syscall(SYS_fsconfig, fd, FSCONFIG_SET_STRING, "size", size, 0) != 0 ||
	        syscall(SYS_fsconfig, fd, FSCONFIG_SET_STRING, "nr_inodes", inodes, 0) != 0 ||
	        syscall(SYS_fsconfig, fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) != 0 ?
	    -1 :
	    0;
	error = errno;
	close(fd);
	errno = error;
	return result;
}

/*
 * An init's exit waits for every process of its namespace to be reaped: nothing is left in the
 * cell.
 */
static void
init_exited(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct cell *cell = watch_owner(watch, struct cell, init);

	(void)events;
	loop_unwatch(&broker->loop, watch);
	if (cell->state == CELL_SETTLING) {
		cell_run_lost(broker, cell, "the cell was killed under its run");
		cell_run_settled(broker, cell);
	} else {
		cell_gone(broker, cell);
	}
}

/*
 * A guest that dies of SIGKILL, and not by us, may have killed itself or been killed for memory; or
 * somebody has killed its init or our warden, and the kernel the whole cell. Then its init, which
 * waited for the guest to be reaped, is gone in a moment too, and the run has not come to its end.
 * Only such a death has its answer wait, and not one of which the cause is known. On a busy host an
 * init may take longer; but a warden's death is known before that of its guests.
 */
static bool
settle(struct broker *broker, struct cell *cell)
{
	if (cell->end != END_ITSELF || !WIFSIGNALED(cell->wait_status) || WTERMSIG(cell->wait_status) != SIGKILL ||
	    (broker->cgroup.version != 0 && cgroup_oom_kills(&cell->cgroup) > cell->oom_base))
		return false;
	if (cell->is_torn) {
		cell_run_lost(broker, cell, "its warden died under its run");
		return false;
	}
	if (loop_watch(&broker->loop, &cell->init, cell->init_fd, init_exited) != 0)
		return false;
	cell->init_fd = -1;
	cell->check_us = cell->ended_us + TORN_DOWN_WAIT_US;
	return true;
}

static enum disk_full
disk_full(const struct cell *cell)
{
	struct statfs fs;

	if (cell->box_fd < 0 || fstatfs(cell->box_fd, &fs) != 0)
		return DISK_FULL_NOT;
	return fs.f_bavail == 0 ? DISK_FULL_BYTES : fs.f_ffree == 0 ? DISK_FULL_INODES : DISK_FULL_NOT;
}

static void
kill_all(const struct cell *cell)
{
	int fd = cell->init.fd >= 0 ? cell->init.fd : cell->init_fd;

	if (fd >= 0)
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

static bool
end(struct broker *broker, struct cell *cell)
{
	const struct warden_request drop = { .kind = WARDEN_DROP, .cell = cell->number };

	if (cell->init_fd < 0 && cell->init.fd < 0) {
		/* Its guest never reported. The warden knows whether there is an init. */
		warden_link_send(cell->language, &drop, NULL, 0);
		return false;
	}
	kill_all(cell);
	if (cell->init_fd >= 0) {
		/*
		 * Until its end is seen the cell is not used again, whatever stands in the way of
		 * that.
		 */
		if (loop_watch(&broker->loop, &cell->init, cell->init_fd, init_exited) == 0) {
			cell->init_fd = -1;
		} else {
			log_warn("cell %u: watch its end: %s", cell->number, strerror(errno));
			cell->check_us = clock_us() + WATCH_RETRY_US;
		}
	}
	return true;
}

/* ---- the output of a compilation -------------------------------------------------------------------------------- */

/*
 * Whether an output could not be extracted for want of something of ours, rather than because the
 * compiler made none.
 */
static bool
is_our_fault(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO || error == EPROTO;
}

static void
extracted(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct run *run = watch_owner(watch, struct run, extraction);
	struct guest_report report = { 0 };
	size_t count = 0;
	int fd = -1;
	ssize_t n = fdpass_recv(watch->fd, &report, sizeof report, &fd, 1, &count, NULL);

	(void)events;
	loop_unwatch(&broker->loop, watch);
	report.step[sizeof report.step - 1] = '\0';
	if (n != (ssize_t)sizeof report || (fd < 0 && is_our_fault(report.error))) {
		fdpass_close(&fd, 1);
		run_refuse(broker, run, REFUSED_FAULT,
		    n == (ssize_t)sizeof report ? report.step : "the warden died with a compiler's output", report.error);
		return;
	}
	run->program_fd = fd;
	run_answer(broker, run);
}

static void
extract(struct broker *broker, struct cell *cell, struct run *run)
{
	const struct warden_request request = { .kind = WARDEN_EXTRACT, .cell = cell->number };

	if (warden_link_ask(broker, cell->language, &request, &cell->box_fd, 1, &run->extraction, extracted) != 0)
		run_refuse(broker, run, REFUSED_FAULT, "have the warden extract a compiler's output", errno);
}

/*
 * The socket is of the cell's network namespace, which leads to the relay alone. Before Linux 6.11
 * the kernel does not tell whose a caller is that has begun a session of its own. Then it may be of
 * any cell.
 */
static int
make_socket(struct broker *broker, struct cell *cell, const struct asked_socket *asked)
{
	(void)asked;
	if (cell != NULL)
		return cell->state == CELL_RUNNING ? cell_network_socket(broker, cell) : ENETDOWN;
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		if (broker->cell[i].state == CELL_RUNNING && cell_network_has_proxy(broker, &broker->cell[i]))
			cell_network_socket(broker, &broker->cell[i]);
		else
			cell_network_suspect(&broker->cell[i]);
	}
	return 0;
}

/* ---- the files of a run ------------------------------------------------------------------------------------------ */

/* A run has its result, whatever becomes of its files. */
static void
collected(void *context, struct watch *watch, uint32_t events)
{
	static struct log_limit limit;
	struct broker *broker = context;
	struct run *run = watch_owner(watch, struct run, extraction);
	struct guest_report report = { 0 };
	size_t count = 0;
	ssize_t n = fdpass_recv(watch->fd, &report, sizeof report, &run->files_fd, 1, &count, NULL);

	(void)events;
	loop_unwatch(&broker->loop, watch);
	report.step[sizeof report.step - 1] = '\0';
	if (n != (ssize_t)sizeof report)
		log_limit_warn(&limit, "%s: the files of a run were not collected: the collector died",
		    run->language->config->name);
	else if (count == 0)
		log_limit_warn(&limit, "%s: the files of a run were not collected: %s: %s", run->language->config->name,
		    report.step, strerror(report.error));
	run_answer(broker, run);
}

static void
collect(struct broker *broker, struct cell *cell, struct run *run)
{
	static struct log_limit limit;
	const struct warden_request request = { .kind = WARDEN_COLLECT, .cell = cell->number };
	const int fds[] = { cell->box_fd, run->patterns_fd };

	if (warden_link_ask(broker, cell->language, &request, fds, 2, &run->extraction, collected) == 0)
		return;
	log_limit_warn(&limit, "%s: the files of a run were not collected: ask the warden: %s", cell->language->config->name,
	    strerror(errno));
	run_answer(broker, run);
}

static uid_t
uid(const struct config *config, const struct cell *cell)
{
	(void)config;
	return cell->number + 1;
}

/* ---- a warden or zygote to be ----------------------------------------------------------------------------------- */

static size_t
root_fds(const struct broker *broker, const struct language *language, bool is_interpreter, int fds[ISOLATION_FDS])
{
	(void)broker;
	fds[0] = is_interpreter ? language->zygote_mount_fd : language->cell_mount_fd;
	return 1;
}

static void
enter_root(int fds)
{
	if (setns(fds, CLONE_NEWNS) != 0 || close(fds) != 0 || chdir("/") != 0)
		die("enter the root of the language: %s", strerror(errno));
}

static void __attribute__((noreturn))
be_warden(const struct broker *broker, const struct language *language, const struct warden_config *config, int sock, int fds)
{
	(void)broker;
	(void)language;
	enter_root(fds);
	warden_main(sock, config);
}

/* Its root is made of mounts, which show whatever is there. */
static void
waken(const struct broker *broker, const struct language *language)
{
	(void)broker;
	(void)language;
}

const struct isolation isolation_ns = {
	.begin = begin,
	.abandon = abandon,
	.armed = armed,
	.start = start,
	.may_renew = may_renew,
	.settle = settle,
	.disk_full = disk_full,
	.kill = kill_all,
	.end = end,
	.extract = extract,
	.make_socket = make_socket,
	.collect = collect,
	.waken = waken,
	.uid = uid,
	.arming_limit_us = ARMING_LIMIT_US,
	.sockets_at_once = 256,
	.sockets_in_second = 100,
	.files_are_on_host = false,
	.root_layer = "mount_namespace",
	.root_fds = root_fds,
	.be_warden = be_warden,
	.enter_root = enter_root,
};
