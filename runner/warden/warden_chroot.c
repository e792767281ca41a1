/*
 * warden_chroot.c - the warden of a language at level chroot; see warden.h. Runs as root of the
 * container, in the directory of the language's trees, with the few capabilities that its steps
 * need.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpass.h"
#include "kernel/dirtree.h"
#include "kernel/inherit_fds.h"
#include "log.h"
#include "log_limit.h"
#include "messages.h"
#include "process_title.h"
#include "warden/reaper.h"
#include "warden/chroot_tree.h"
#include "warden/first_tree.h"
#include "warden/tree_stock.h"
#include "warden/warden.h"
#include "warden/warden_requests.h"
#include "paths.h"

struct warden {
	const struct warden_config *config;
	int sock;
	int first_tree_fd;
	int stock_fd;   /* see tree_stock.h; -1: it is not used */
	int *taken_fd;  /* by number of a tree: the one of the stock that it is, locked by this; -1: it is none */
	int *zygote_fd; /* by number; -1: none */
};

/* A cell that is being made. */
struct site {
	uint32_t cell;
	uint32_t tree;
	int reaper_sock; /* the reaper's end of its connection */
	int tree_fd;     /* -1: not opened yet */
	bool is_at_work; /* it was made before: its tree must be the same */
};

/* One step of making a cell. Returns 0, or -1 with errno. */
struct step {
	const char *name;
	int (*carry_out)(const struct warden *w, struct site *site);
};

static int
find_nothing_left(const struct warden *w, struct site *site)
{
	errno = EBUSY;
	return reaper_is_left(w->config->first_uid + site->cell) ? -1 : 0;
}

/*
 * Take a tree of the stock for the cell, and add to it what the first tree has. Its number is kept
 * in a link, for the warden that comes after this one. Returns 0, or -1 with errno, ENOENT if no
 * tree is free.
 */
static int
take_tree(const struct warden *w, const struct site *site)
{
	char link[32], target[16];
	uint32_t number;
	int fd = tree_stock_take(w->stock_fd, &number);

	if (fd < 0)
		return -1;
	snprintf(link, sizeof link, "stock-%u", site->tree);
	snprintf(target, sizeof target, "%u", (unsigned)number);
	if ((unlink(link) == 0 || errno == ENOENT) && symlink(target, link) == 0 &&
	    chroot_tree_copy_rest(w->first_tree_fd, fd) == 0) {
		w->taken_fd[site->tree] = fd;
		return 0;
	}
	close(fd);
	return -1;
}

/* Open the cell's tree, if it has one. Returns 0; or -1 with errno, ENOENT if there is none. */
static int
find_tree(const struct warden *w, struct site *site)
{
	char name[32], number[16];
	ssize_t n;

	if (w->stock_fd >= 0 && w->taken_fd[site->tree] >= 0) {
		/*
		 * A copy of the descriptor keeps the lock: a reaper's, until nothing of the cell is
		 * left.
		 */
		site->tree_fd = fcntl(w->taken_fd[site->tree], F_DUPFD_CLOEXEC, 0);
		return site->tree_fd < 0 ? -1 : 0;
	}
	snprintf(name, sizeof name, "tree-%u", site->tree);
	site->tree_fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (site->tree_fd >= 0 || w->stock_fd < 0 || !site->is_at_work)
		return site->tree_fd < 0 ? -1 : 0;
	/* The warden that made the cell has died. */
	snprintf(name, sizeof name, "stock-%u", site->tree);
	n = readlink(name, number, sizeof number - 1);
	number[n > 0 ? n : 0] = '\0';
	if (n > 0)
		site->tree_fd = tree_stock_open_tree(w->stock_fd, (uint32_t)strtoul(number, NULL, 10), false);
	return site->tree_fd < 0 ? -1 : 0;
}

/*
 * Open the cell's tree. It is made, or taken from the stock, when it is first wanted, and then used
 * by one run after the other.
 */
static int
open_tree(const struct warden *w, struct site *site)
{
	static struct log_limit limit;
	char name[32], unfinished[32];

	if (find_tree(w, site) == 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	if (w->stock_fd >= 0 && take_tree(w, site) == 0)
		return find_tree(w, site);
	if (w->stock_fd >= 0)
		log_limit_warn(&limit, "no tree of the stock can be taken (%s): one is made, which takes seconds",
		    errno == ENOENT ? "all are in use" : strerror(errno));
	snprintf(name, sizeof name, "tree-%u", site->tree);
	snprintf(unfinished, sizeof unfinished, "unfinished-%u", site->tree);
	if (dirtree_remove(AT_FDCWD, unfinished) != 0 || chroot_tree_copy(w->first_tree_fd, AT_FDCWD, unfinished) != 0 ||
	    rename(unfinished, name) != 0)
		return -1;
	site->tree_fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return site->tree_fd < 0 ? -1 : 0;
}

/*
 * Empty a directory whose reaper died before it could do so, with no more rights than its owner
 * has. Returns 0, or -1 if it cannot be emptied.
 */
static int
empty_for(const struct warden *w, const struct site *site, const char *name, uid_t owner)
{
	int status = -1;
	pid_t pid;

	if (owner < w->config->first_uid || owner >= w->config->first_uid + w->config->cells)
		return -1;
	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (pid == 0)
		_exit(reaper_become(owner, owner + w->config->cells) != 0 || dirtree_empty(site->tree_fd, name) != 0);
	if (pid > 0)
		waitpid(pid, &status, 0);
	signal(SIGCHLD, SIG_IGN);
	return status == 0 ? 0 : -1;
}

/*
 * Make new directories in the place of the last run's, so that nothing of that run shows, not even
 * how large they had become.
 */
static int
renew_directories(const struct warden *w, struct site *site)
{
	static const char *const directories[] = { &PATH_BOX[1], &PATH_TMP[1] };
	uid_t uid = w->config->first_uid + site->cell;
	struct stat st;

	for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
		if (fstatat(site->tree_fd, directories[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    unlinkat(site->tree_fd, directories[i], AT_REMOVEDIR) != 0 &&
		    (empty_for(w, site, directories[i], st.st_uid) != 0 ||
		        unlinkat(site->tree_fd, directories[i], AT_REMOVEDIR) != 0))
			return -1;
		if (mkdirat(site->tree_fd, directories[i], 0700) != 0 ||
		    fchownat(site->tree_fd, directories[i], uid, uid, AT_SYMLINK_NOFOLLOW) != 0)
			return -1;
	}
	return 0;
}

/*
 * Have /etc/passwd and /etc/group, which are links into this one, tell the uid of this cell. A tree
 * that was this cell's before has it.
 */
static int
name_user(const struct warden *w, struct site *site)
{
	static const char *const own = &PATH_CELL_IDS[1], *const next = &(PATH_CELL_IDS ".next")[1];
	char target[32], wanted[32];
	ssize_t size;

	(void)w;
	snprintf(wanted, sizeof wanted, "%s/%u", strrchr(PATH_ALL_IDS, '/') + 1, (unsigned)site->cell);
	size = readlinkat(site->tree_fd, own, target, sizeof target);
	if (size == (ssize_t)strlen(wanted) && memcmp(target, wanted, strlen(wanted)) == 0)
		return 0;
	if ((unlinkat(site->tree_fd, next, 0) != 0 && errno != ENOENT) || symlinkat(wanted, site->tree_fd, next) != 0)
		return -1;
	return renameat(site->tree_fd, next, site->tree_fd, own);
}

static int
start_reaper(const struct warden *w, struct site *site)
{
	uid_t uid = w->config->first_uid + site->cell;
	struct reaper reaper = { .sock = INHERIT_FDS_FIRST,
		.tree_fd = INHERIT_FDS_FIRST + 1,
		.uid = uid,
		.own_uid = uid + w->config->cells,
		.output = w->config->output,
		.output_bytes = w->config->output_bytes,
		.collector = { .policy = w->config->collector_policy,
		    .landlock_abi = w->config->collector_landlock,
		    .most_bytes = w->config->collect_bytes } };
	const int kept[] = { site->reaper_sock, site->tree_fd };
	pid_t pid = fork();

	if (pid != 0)
		return pid < 0 ? -1 : 0;
	if (inherit_fds_only(kept, 2, true) != 0)
		_exit(1);
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, 0);
	process_title_set("reaper %u", (unsigned)site->cell);
	reaper_main(&reaper);
}

static const struct step steps[] = {
	{ "find nothing left of the cell's uid", find_nothing_left },
	{ "make the cell's tree", open_tree },
	{ "make /tmp and /box", renew_directories },
	{ "name the cell's user", name_user },
	{ "start the cell's reaper", start_reaper },
};

/*
 * Make a cell, and have a guest forked for it. A failure is reported on the control socket; the
 * reaper, if there is one, sees the end of its connection.
 */
static void
make(const struct warden *w, const struct warden_request *request, int *fds, size_t fd_count)
{
	struct site site = { .cell = request->cell, .tree = request->tree, .reaper_sock = fds[1], .tree_fd = -1 };
	struct guest_request guest = { .cell = request->cell,
		.uid = w->config->first_uid + request->cell,
		.rehearses = request->rehearses };
	struct guest_report failure = { 0 };
	int passed[2 + REQUEST_CGROUPS_MAX];

	for (size_t i = 0; failure.error == 0 && i < sizeof steps / sizeof steps[0]; i++) {
		if (steps[i].carry_out(w, &site) != 0) {
			failure.error = errno != 0 ? errno : EPROTO;
			snprintf(failure.step, sizeof failure.step, "%s", steps[i].name);
		}
	}
	if (failure.error == 0) {
		passed[0] = site.tree_fd;
		passed[1] = fds[0];
		memcpy(passed + 2, fds + 2, (fd_count - 2) * sizeof *fds);
		if (w->zygote_fd[request->zygote] < 0) {
			failure.error = ESRCH;
			snprintf(failure.step, sizeof failure.step, "find the zygote");
		} else if (fdpass_send(w->zygote_fd[request->zygote], &guest, sizeof guest, passed, fd_count) != 0) {
			failure.error = errno;
			snprintf(failure.step, sizeof failure.step, "request a guest from the zygote");
		}
	}
	fdpass_close(&site.tree_fd, 1);
	if (failure.error != 0)
		fdpass_send(fds[0], &failure, sizeof failure, NULL, 0);
}

/* The reaper of a cell died, while processes of the cell may be alive: start another. */
static void
restart_reaper(const struct warden *w, const struct warden_request *request, int reaper_sock)
{
	struct site site = { .cell = request->cell,
		.tree = request->tree,
		.reaper_sock = reaper_sock,
		.tree_fd = -1,
		.is_at_work = true };

	if (open_tree(w, &site) != 0 || start_reaper(w, &site) != 0)
		log_warn("warden: cannot start a reaper: %s", strerror(errno));
	fdpass_close(&site.tree_fd, 1);
}

void
warden_chroot_main(int sock, const struct warden_config *config, const struct planted *planted)
{
	struct warden w = { .config = config, .sock = sock, .first_tree_fd = planted->tree_fd, .stock_fd = planted->stock_fd };

	/* The kernel reaps the reapers. */
	signal(SIGCHLD, SIG_IGN);
	w.zygote_fd = malloc(config->zygotes * sizeof *w.zygote_fd);
	w.taken_fd = malloc(config->cells * sizeof *w.taken_fd);
	if (w.zygote_fd == NULL || w.taken_fd == NULL)
		die("warden: out of memory");
	for (uint32_t i = 0; i < config->cells; i++)
		w.taken_fd[i] = -1;
	for (uint32_t i = 0; i < config->zygotes; i++)
		w.zygote_fd[i] = -1;
	umask(022);
	for (;;) {
		struct warden_request request;
		int fds[REQUEST_FDS];
		size_t count = warden_requests_wait(config, sock, &request, fds);

		if (request.kind == WARDEN_MAKE && count >= 2) {
			make(&w, &request, fds, count);
		} else if (request.kind == WARDEN_IDENTIFY && count == 1) {
			warden_requests_identify(config, w.first_tree_fd, fds[0]);
		} else if (request.kind == WARDEN_RECLAIM && count == 2) {
			warden_requests_reclaim(fds[0], fds[1], request.bytes);
		} else if (request.kind == WARDEN_KEEP && count == 1) {
			restart_reaper(&w, &request, fds[0]);
		} else if (request.kind == WARDEN_ZYGOTE && count <= 1) {
			fdpass_close(&w.zygote_fd[request.zygote], 1);
			w.zygote_fd[request.zygote] = count == 1 ? fds[0] : -1;
			count = 0;
		}
		fdpass_close(fds, count);
	}
}
