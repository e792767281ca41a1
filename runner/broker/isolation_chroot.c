/*
 * isolation_chroot.c - level chroot (isolation.h): each cell has a tree of hard links as its root,
 * a uid, and a reaper (warden/reaper.h) that kills all that has the uid.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_network.h"
#include "broker/cell_run.h"
#include "broker/handed_socket.h"
#include "broker/isolation.h"
#include "broker/language.h"
#include "broker/run.h"
#include "broker/warden_link.h"
#include "clock.h"
#include "fdpass.h"
#include "capabilities.h"
#include "log.h"
#include "messages.h"
#include "warden/first_tree.h"
#include "warden/reaper.h"

#define ARMING_LIMIT_US 120000000u /* a tree that has to be made first takes its time */
#define MEASURE_LIMIT_US 1000000u
#define REAPER_RETRY_US 200000u /* from one reaper that died to the next */
#define TREE_POLL_NS 5000000

/* A warden starts reapers and makes trees. A zygote drops more when it has walled itself in. */
#define WARDEN_CAPABILITIES (CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SETUID))
#define ZYGOTE_CAPABILITIES \
	(CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SETPCAP) | CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SYS_CHROOT))

/* ---- the reaper ------------------------------------------------------------------------------------------------- */

static void
tell(const struct cell *cell, enum reaper_request_kind kind)
{
	struct reaper_request request = { .kind = kind, .disk_bytes = cell->limits.disk_bytes, .inodes = cell->limits.inodes };
	bool has_patterns = kind == REAPER_COLLECT;

	/* The end of a reaper is an event of its own. */
	if (cell->reaper.fd >= 0)
		fdpass_send(cell->reaper.fd, &request, sizeof request, has_patterns ? &cell->run->patterns_fd : NULL,
		    has_patterns);
}

static uid_t
uid(const struct config *config, const struct cell *cell)
{
	return config->first_uid + 1 + cell->number;
}

/* Whether a process of the cell is left. */
static bool
is_left(const struct broker *broker, const struct cell *cell)
{
	return reaper_is_left(uid(broker->config, cell));
}

/*
 * The reaper has ended as it should, or died. Only if nothing of the cell's uid is left is the cell
 * free.
 */
static void
reaper_gone(struct broker *broker, struct cell *cell)
{
	bool left = is_left(broker, cell);

	loop_unwatch(&broker->loop, &cell->reaper);
	if (left)
		log_warn("cell %u: its reaper died; it is given another one, which ends the cell", cell->number);
	switch (cell->state) {
	case CELL_ENDING:
		if (!left) {
			cell_gone(broker, cell);
			return;
		}
		/* One that cannot live is not asked for without a pause. */
		cell->check_us = clock_us() + REAPER_RETRY_US;
		loop_wake_at(&broker->loop, cell->check_us);
		return;
	case CELL_SETTLING:
		cell_run_settled(broker, cell);
		return;
	case CELL_RUNNING:
		if (!left)
			return; /* the guest's end comes next */
		cell_reaper_lost(broker, cell);
		kill(cell->guest_pid, SIGKILL);
		return;
	default:
		cell_reaper_lost(broker, cell);
		return;
	}
}

static void
reaper_ready(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct cell *cell = watch_owner(watch, struct cell, reaper);
	struct reaper_report report = { 0 };
	size_t count = 0;
	int fd = -1;
	ssize_t n = fdpass_recv(watch->fd, &report, sizeof report, &fd, 1, &count, NULL);

	(void)events;
	if (n != (ssize_t)sizeof report) {
		reaper_gone(broker, cell);
	} else if (report.kind == REAPER_WATCH) {
		cell_run_end(broker, cell, END_DISK);
	} else if (report.kind == REAPER_MEASURE && cell->state == CELL_SETTLING) {
		cell->disk_full = report.is_full == DISK_FULL_INODES ? DISK_FULL_INODES :
		    report.is_full != 0                              ? DISK_FULL_BYTES :
		                                                       DISK_FULL_NOT;
		cell_run_settled(broker, cell);
	} else if ((report.kind == REAPER_EXTRACT || report.kind == REAPER_COLLECT) && cell->state == CELL_ENDING &&
	    cell->run != NULL && run_needs_box(cell->run)) {
		struct run *run = cell->run;

		cell->run = NULL;
		*(run->is_compile ? &run->program_fd : &run->files_fd) = fd;
		fd = -1;
		run_answer(broker, run);
	}
	fdpass_close(&fd, 1);
}

/* Make the connection to a reaper: its end becomes *fd. Returns 0, or -1 with errno. */
static int
connect_reaper(struct broker *broker, struct cell *cell, int *fd)
{
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	if (loop_watch(&broker->loop, &cell->reaper, pair[0], reaper_ready) != 0) {
		error = errno;
		fdpass_close(pair, 2);
		errno = error;
		return -1;
	}
	*fd = pair[1];
	return 0;
}

/* Ask for another reaper, where there is none and processes are left. */
static void
replace_reaper(struct broker *broker, struct cell *cell)
{
	const struct warden_request request = { .kind = WARDEN_KEEP, .cell = cell->number, .tree = cell->tree };
	int fd = -1;

	cell->check_us = clock_us() + REAPER_RETRY_US;
	if (connect_reaper(broker, cell, &fd) != 0)
		return;
	if (warden_link_send(cell->language, &request, &fd, 1) != 0)
		loop_unwatch(&broker->loop, &cell->reaper);
	close(fd);
}

/* ---- a cell ----------------------------------------------------------------------------------------------------- */

/*
 * The lowest tree that no other cell of the language uses. There are as many as there were ever
 * cells at the same time.
 */
static uint32_t
free_tree(const struct broker *broker, const struct cell *cell)
{
	uint32_t tree = 0;

	for (uint32_t i = 0; i < broker->config->cells; i++) {
		const struct cell *other = &broker->cell[i];

		if (other == cell || other->state == CELL_FREE || other->language != cell->language || other->tree != tree)
			continue;
		tree++;
		i = (uint32_t)-1; /* once more from the start */
	}
	return tree;
}

static int
begin(struct broker *broker, struct cell *cell, int *fd)
{
	cell->tree = free_tree(broker, cell);
	return connect_reaper(broker, cell, fd);
}

static void
abandon(struct broker *broker, struct cell *cell)
{
	loop_unwatch(&broker->loop, &cell->reaper);
}

/* Its reaper knows them better. */
static void
armed(struct cell *cell, int fds[2])
{
	(void)cell;
	fdpass_close(fds, 2);
}

static int
start(struct broker *broker, struct cell *cell)
{
	(void)broker;
	tell(cell, REAPER_WATCH);
	return 0;
}

/* Its reaper says whether a run that failed had used up its disk. */
static bool
settle(struct broker *broker, struct cell *cell)
{
	(void)broker;
	if (cell->end != END_ITSELF || cell->wait_status == 0 || cell->run == NULL || cell->reaper.fd < 0)
		return false;
	tell(cell, REAPER_MEASURE);
	cell->check_us = cell->ended_us + MEASURE_LIMIT_US;
	return true;
}

static enum disk_full
disk_full(const struct cell *cell)
{
	return cell->disk_full;
}

static void
kill_all(const struct cell *cell)
{
	if (cell->reaper.fd >= 0)
		tell(cell, REAPER_END);
	else
		kill(cell->guest_pid, SIGKILL); /* the rest when it has a reaper again */
}

static bool
end(struct broker *broker, struct cell *cell)
{
	bool needs_box = cell->run != NULL && run_needs_box(cell->run);

	if (cell->reaper.fd < 0 && !is_left(broker, cell))
		return false;
	if (cell->reaper.fd < 0)
		replace_reaper(broker, cell);
	tell(cell, !needs_box ? REAPER_END : cell->run->is_compile ? REAPER_EXTRACT : REAPER_COLLECT);
	return true;
}

/* Its reaper takes the output before it ends. */
static void
extract(struct broker *broker, struct cell *cell, struct run *run)
{
	(void)cell;
	run_refuse(broker, run, REFUSED_FAULT, "its reaper ended before it had extracted a compiler's output", 0);
}

/* The program must not have a socket of the container's network that is not connected. */
static int
make_socket(struct broker *broker, struct cell *cell, const struct asked_socket *asked)
{
	int error;

	if (cell == NULL || cell->state != CELL_RUNNING || !cell_network_has_proxy(broker, cell))
		return ENETDOWN;
	if (asked->is_one_too_many)
		return ENOBUFS;
	error = handed_socket_make(broker, cell, asked->notify_fd, asked->id, asked->domain, asked->type);
	return error == 0 ? SOCKET_IS_ANSWERED : error;
}

/* The same. A run has its result, whatever becomes of its files. */
static void
collect(struct broker *broker, struct cell *cell, struct run *run)
{
	static struct log_limit limit;

	log_limit_warn(&limit, "%s: the files of a run were not collected: its reaper ended", cell->language->config->name);
	run_answer(broker, run);
}

/*
 * Packages may have been installed meanwhile. The warden looks at the first tree, and gives it its
 * name back or makes another one; zygotes wait for that name.
 */
static void
waken(const struct broker *broker, const struct language *language)
{
	(void)broker;
	if (language->trees_fd >= 0 && renameat(language->trees_fd, FIRST_TREE_NAME, language->trees_fd, FIRST_TREE_KEPT) != 0 &&
	    errno != ENOENT)
		log_warn("%s: packages that were installed since do not show: rename its first tree: %s", language->config->name,
		    strerror(errno));
}

/* ---- a warden or zygote to be ----------------------------------------------------------------------------------- */

enum { FD_TREES, FD_HOST, FD_PROC };

static size_t
root_fds(const struct broker *broker, const struct language *language, bool is_interpreter, int fds[ISOLATION_FDS])
{
	(void)is_interpreter;
	fds[FD_TREES] = language->trees_fd;
	fds[FD_HOST] = broker->host_fd;
	fds[FD_PROC] = broker->proc_fd;
	return 3;
}

/* Change the root to a directory. */
static void
enter(int fd)
{
	if (fchdir(fd) != 0 || chroot(".") != 0 || close(fd) != 0 || chdir("/") != 0)
		die("enter the root of the language: %s", strerror(errno));
}

/*
 * See to it that the language has its first tree: as root of the container, which sees its files.
 */
static void
plant(const struct broker *broker, const struct language *language, int trees_fd, struct planted *planted)
{
	struct first_tree tree = { .config = broker->config,
		.language = language->config->name,
		.list = &language->fs,
		.trees_fd = trees_fd };
	char error[512], driver[4096];

	if (language->start == START_ZYGOTE && language->config->driver != NULL) {
		snprintf(driver, sizeof driver, "%s/%s", broker->config->driver_dir, language->config->driver);
		tree.driver_dir = driver;
	} else if (language->start == START_ZYGOTE) {
		tree.main_file = language->config->main_file;
	}
	if (first_tree_make(&tree, planted, error, sizeof error) != 0)
		die("%s: %s", language->config->name, error);
}

static void __attribute__((noreturn))
be_warden(const struct broker *broker, const struct language *language, const struct warden_config *config, int sock, int fds)
{
	struct planted planted;

	close(fds + FD_PROC);
	enter(fds + FD_HOST);
	plant(broker, language, fds + FD_TREES, &planted);
	enter(fds + FD_TREES);
	if (capabilities_keep(WARDEN_CAPABILITIES) != 0)
		die("warden: drop capabilities: %s", strerror(errno));
	warden_chroot_main(sock, config, &planted);
}

/* Wait for the first tree, which the warden may still be at work on, and open it. */
static int
wait_for_tree(int trees_fd, int host_fd)
{
	const struct timespec wait = { .tv_nsec = TREE_POLL_NS };
	int fd;

	/* The broker ends a zygote that does not report in time. */
	while ((fd = first_tree_open(trees_fd, host_fd)) < 0 && errno == ENOENT)
		nanosleep(&wait, NULL);
	close(trees_fd);
	close(host_fd);
	return fd;
}

/* There is no /proc in its root, but it will want to know how many threads it has. */
static void
show_tasks(int proc_fd)
{
	int fd = openat(proc_fd, "self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (fd != ZYGOTE_TASKS_FD && dup2(fd, ZYGOTE_TASKS_FD) < 0) || fcntl(ZYGOTE_TASKS_FD, F_SETFD, 0) != 0)
		die("zygote: open its /proc/self/task: %s", strerror(errno));
	if (fd != ZYGOTE_TASKS_FD)
		close(fd);
	close(proc_fd);
}

static void
enter_root(int fds)
{
	enter(wait_for_tree(fds + FD_TREES, fds + FD_HOST));
	show_tasks(fds + FD_PROC);
	if (capabilities_keep(ZYGOTE_CAPABILITIES) != 0)
		die("zygote: drop capabilities: %s", strerror(errno));
}

/* The tree of a cell serves all its runs already. A reaper empties it, and ends itself. */
static bool
may_renew(const struct broker *broker, const struct cell *cell)
{
	(void)broker;
	(void)cell;
	return false;
}

const struct isolation isolation_chroot = {
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
	.files_are_on_host = true,
	.root_layer = "chroot",
	.root_fds = root_fds,
	.be_warden = be_warden,
	.enter_root = enter_root,
};
