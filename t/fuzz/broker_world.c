/* broker_world.c - see broker_world.h. */
#define _GNU_SOURCE
#include "broker_world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/isolation.h"
#include "broker/selftest.h"
#include "broker/spawn.h"
#include "fdpass.h"
#include "fuzz.h"
#include "guest/attack.h"
#include "messages.h"

#define ZYGOTES 32 /* places of a language */
#define DEATHS 64
#define LISTENERS 8
#define FIRST_PID 0x50000000 /* above every real one */

/* ---- the world ---------------------------------------------------------------------------------------------------- */

static char *words[] = { "/bin/true" };
static char policy[] = "guest";
static char *hints[] = { "json" };

/* clang-format off */
#define STANDARD { 1000, 1000, 1 << 20, 1, 1000, 4096, 4, 64, 16, 1 << 20 }
#define LIMITS { STANDARD, { 5000, 5000, 1 << 24, 8, 5000, 1 << 20, 8, 128, 64, 1 << 21 } }

static struct language_config configs[LANGUAGES] = {
	{ .name = "c", .start = START_COLD, .compile = { .command = { words, 1 }, .limits = STANDARD }, .version = { words, 1 },
	    .warm_count = 1, .warm = { { .armed = 0, .zygotes = 1 } }, .idle_s = 3, .recycle_runs = 2, .policy = policy,
	    .limits = LIMITS },
	{ .name = "perl", .start = START_ZYGOTE, .run = { words, 1 }, .warm_count = 1, .warm = { { .armed = 1, .zygotes = 1 } },
	    .idle_s = 3, .recycle_runs = 3, .policy = policy, .limits = LIMITS },
	{ .name = "python3", .start = START_ZYGOTE, .driver = (char *)"python3", .warm_count = 2,
	    .warm = { { .armed = 1, .zygotes = 2 }, { .armed = 1, .zygotes = 1, .hints = { hints, 1 } } }, .idle_s = 20,
	    .recycle_runs = 5, .policy = policy, .limits = LIMITS },
	{ .name = "ruby", .start = START_COLD, .run = { words, 1 }, .warm_count = 1, .warm = { { .zygotes = 1 } }, .idle_s = 3,
	    .recycle_runs = 1, .policy = policy, .limits = LIMITS }
};
/* clang-format on */

static struct config config = { .cells = CELLS,
	.reserve = 1,
	.queue = 3,
	.requests = 1,
	.queue_ms = 500,
	.cpu_percent = 100,
	.compiled_bytes = 8192,
	.language = { &configs[0], &configs[1], &configs[2], &configs[3] },
	.language_count = LANGUAGES };

struct broker broker;
struct language languages[LANGUAGES];
struct cell cells[CELLS];
int things[THINGS];

static struct zygote zygotes[LANGUAGES][ZYGOTES];
static size_t first_tested; /* the real self-test tests the languages from this one on; the zygotes before it all pass */

/* The other ends of the broker's connections; -1: none. */
static int warden_end[LANGUAGES];
static int zygote_end[LANGUAGES][ZYGOTES];
static int guest_end[CELLS];
static int init_end[CELLS]; /* an init lives as long as this is open */
static int listener_end[LISTENERS];

static struct {
	pid_t pid;
	int wait_status;
} deaths[DEATHS];
static size_t death_count;

static uint64_t now_us;
static pid_t our_pid, next_pid;

static void
process_ends(pid_t pid, int wait_status)
{
	if (pid == 0 || death_count == DEATHS)
		return;
	deaths[death_count].pid = pid;
	deaths[death_count++].wait_status = wait_status;
	raise(SIGCHLD);
}

/* ---- the broker's children, and its kernel ------------------------------------------------------------------------ */

pid_t
spawn_warden(const struct broker *of, const struct language *language, int *sock)
{
	int *end = &warden_end[language - languages];

	must(of == &broker && language->warden.sock < 0);
	shut(end);
	pair(end, sock, 0);
	return next_pid++;
}

pid_t
spawn_zygote(const struct broker *of, const struct zygote *zygote, int *report_fd)
{
	int *end = &zygote_end[zygote->language - languages][zygote->number];

	must(of == &broker && zygote->report.fd < 0);
	shut(end);
	pair(end, report_fd, 0);
	return next_pid++;
}

uint64_t __wrap_clock_us(void);
uint64_t
__wrap_clock_us(void)
{
	return now_us;
}

pid_t __wrap_wait4(pid_t pid, int *wait_status, int options, struct rusage *usage);
pid_t
__wrap_wait4(pid_t pid, int *wait_status, int options, struct rusage *usage)
{
	must(pid == -1 && options == WNOHANG);
	if (death_count == 0)
		return 0;
	memset(usage, 0, sizeof *usage);
	*wait_status = deaths[0].wait_status;
	pid = deaths[0].pid;
	memmove(deaths, deaths + 1, --death_count * sizeof deaths[0]);
	return pid;
}

int __wrap_kill(pid_t pid, int number);
int
__wrap_kill(pid_t pid, int number)
{
	must(pid > 0);
	if (number == 0) /* a guest that has just reported, and that may be gone already */
		return pid == our_pid && (play_ahead() != 0xff) ? 0 : -1;
	process_ends(pid, number);
	return 0;
}

/* ---- wardens, zygotes, guests ------------------------------------------------------------------------------------- */

/* Send a guest_report, or only its first `size` bytes, with descriptors. */
static void
send_report(int fd, int32_t error, size_t size, const int *fds, size_t fd_count)
{
	struct guest_report report = { .error = error };

	memset(report.step, 'x', sizeof report.step);
	fdpass_send(fd, &report, size < sizeof report ? size : sizeof report, fds, fd_count);
}

static void
extract(int fd, uint8_t how)
{
	switch (how & 7) {
	case 0:
	case 1:
		send_report(fd, 0, SIZE_MAX, &things[A_MEMFD], 1);
		break;
	case 2:
		send_report(fd, 0, SIZE_MAX, NULL, 0);
		break;
	case 3:
		send_report(fd, EIO, how, things, 1);
		break;
	case 4:
		send_report(fd, 0, SIZE_MAX, things, 3);
		break;
	default: /* it ends, and reports nothing */
		break;
	}
}

/*
 * Send the identity of the compiler, or something else. The identity changes with `how`, as when
 * the compiler is updated.
 */
static void
identify(int fd, uint8_t how)
{
	struct warden_compiler compiler = { { { 1, how >> 4, 1 }, { 2, 2, 2 } } };

	if ((how & 7) == 6)
		memset(&compiler, 0, sizeof compiler);
	if ((how & 7) != 7) /* 7: it ends, and reports nothing */
		fdpass_send(fd, &compiler, (how & 7) == 5 ? how : sizeof compiler, things, (how & 7) == 4 ? 2 : 0);
}

/* Let a warden carry out the next of its orders, if there is any. Returns whether there was one. */
static bool
warden_works(size_t l, uint8_t how)
{
	struct warden_request request;
	struct pollfd waits = { .fd = warden_end[l], .events = POLLIN };
	int fds[FDPASS_MAX];
	size_t count;

	if (warden_end[l] < 0 || poll(&waits, 1, 0) != 1 ||
	    fdpass_recv(warden_end[l], &request, sizeof request, fds, FDPASS_MAX, &count, NULL) != (ssize_t)sizeof request)
		return false;
	switch (request.kind) {
	case WARDEN_MAKE:
		/* No proxy is configured: the second descriptor is an empty namespace. */
		must(request.cell < CELLS && request.zygote < languages[l].zygote_count &&
		    count == (request.network == CELL_NETWORK_EMPTY ? 2 : 1));
		shut(&guest_end[request.cell]);
		shut(&init_end[request.cell]);
		if ((how & 7) != 7) {
			guest_end[request.cell] = fds[0];
			fds[0] = -1;
		}
		break;
	case WARDEN_DROP:
		must(request.cell < CELLS && count == 0);
		shut(&guest_end[request.cell]);
		break;
	case WARDEN_ZYGOTE:
		must(request.zygote < languages[l].zygote_count && count <= 1);
		break;
	case WARDEN_EXTRACT:
		must(count == 2);
		extract(fds[0], how);
		break;
	case WARDEN_COLLECT:
		must(count == 3);
		extract(fds[0], how);
		break;
	case WARDEN_IDENTIFY:
		must(count == 1);
		identify(fds[0], how);
		break;
	default:
		must(!"an order that there is");
	}
	fdpass_close(fds, count);
	return true;
}

void
warden_step(void)
{
	uint8_t how = next();

	warden_works(how % LANGUAGES, how >> 3);
}

/* The place of pair `number` of a language where something is going on. */
static size_t
place_of(const struct language *language, size_t number)
{
	size_t pairs = language->zygote_count / 2;

	number %= pairs;
	return language->zygote[number + pairs].starting_pid != 0 ||
	        (language->zygote[number].starting_pid == 0 && language->zygote[number + pairs].pid != 0) ?
	    number + pairs :
	    number;
}

void
zygote_step(void)
{
	uint8_t which = next(), how = next();
	int *end = &zygote_end[which % LANGUAGES][place_of(&languages[which % LANGUAGES], which >> 4)];
	struct zygote_report report = { .error = how == 1 };
	int listener[2] = { -1, -1 };

	if (*end < 0)
		return;
	memset(report.text, 'x', sizeof report.text);
	memset(report.version, how, sizeof report.version);
	if ((how & 0x10) != 0)
		must(pipe2(listener, O_CLOEXEC) == 0);
	if (how != 2) /* 2: it ends, and reports nothing */
		fdpass_send(*end, &report, how == 3 ? next() : sizeof report, listener, listener[0] >= 0);
	shut(&listener[0]);
	for (size_t i = 0; i < LISTENERS && listener[1] >= 0; i++) {
		if (listener_end[i] < 0) {
			listener_end[i] = listener[1];
			listener[1] = -1;
		}
	}
	shut(&listener[1]);
	shut(end);
}

/* Let a guest send its report over its cell's control socket. */
void
guest_step(void)
{
	uint8_t how = next();
	size_t c = how % CELLS;
	int fds[3] = { -1, things[A_FOLDER], things[A_MEMFD] }, init[2];

	if (guest_end[c] < 0)
		return;
	must(pipe2(init, O_CLOEXEC) == 0);
	fds[0] = init[0];
	how >>= 3;
	if (how < 24) {
		send_report(guest_end[c], 0, SIZE_MAX, fds, 2);
		if (cells[c].state == CELL_ARMING && init_end[c] < 0) {
			init_end[c] = init[1];
			init[1] = -1;
		}
	} else {
		send_report(guest_end[c], how & 1, how == 31 ? next() : SIZE_MAX, fds, (how >> 1) & 3);
		if (how == 30)
			shut(&guest_end[c]);
	}
	shut(&init[0]);
	shut(&init[1]);
}

/*
 * Write the findings of a guest of the self-test: no attack succeeded, or one did, or the guest
 * writes something else.
 */
static void
report_attacks(size_t c, int fd)
{
	struct attack_report report = { .stage = next() % (ATTACK_SURVIVED + 2) };
	uint8_t how = next();
	struct stat st;

	while (attack_name(report.count) != NULL)
		report.count++;
	must(fstat(things[A_FOLDER], &st) == 0);
	for (int i = 0; i < 3; i++)
		report.facts.uid[i] = report.facts.gid[i] = (uint32_t)c + 1;
	report.facts.box_device = st.st_dev;
	report.facts.box_inode = st.st_ino;
	if ((how & 7) == 4)
		report.got_out[next() % ATTACKS_MAX] = 1;
	else if ((how & 7) == 5)
		memset(&report.facts, next(), sizeof report.facts);
	else if ((how & 7) == 6)
		report.count = next();
	else if ((how & 7) == 7)
		memset(&report, next(), sizeof report);
	for (int i = 0; i <= how >> 6; i++)
		must(write(fd, &report, (how & 0x20) != 0 ? next() % sizeof report : sizeof report) >= 0);
}

/* Receive the message that starts a guest, and check that it has all that a run needs. */
static void
take_start(size_t c, int wait_status)
{
	struct guest_start start;
	struct pollfd waits = { .fd = guest_end[c], .events = POLLIN };
	int fds[FDPASS_MAX];
	size_t count;

	if (guest_end[c] >= 0 && poll(&waits, 1, 0) == 1 &&
	    fdpass_recv(guest_end[c], &start, sizeof start, fds, FDPASS_MAX, &count, NULL) > 0) {
		must(count == 3 + start.has_stdin + start.has_output + start.has_pack);
		must(start.has_stdin <= 1 && start.has_output <= 1 && start.has_pack <= 1 && start.cpu_seconds > 0);
		must(start.data_bytes > 0 && start.tasks > 0);
		must(start.is_compile == 0 || (start.has_output == 0 && start.has_stdin == 0));
		for (size_t i = 0; i < count; i++)
			must((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
		must((start.attack != ATTACK_NONE) == cells[c].is_reserved);
		if (start.attack != ATTACK_NONE)
			report_attacks(c, fds[1]);
		fdpass_close(fds, count);
		/* A guest that could not set up a layer reports so, or sends something else. */
		if (wait_status == 127 << 8)
			send_report(guest_end[c], next() & 1 ? EPERM : 0, play_ahead() == 0xff ? 1 : SIZE_MAX, things,
			    play_ahead() == 0xfe);
	}
	shut(&guest_end[c]);
}

static void
guest_ends(size_t c, int wait_status)
{
	if (cells[c].guest_pid < FIRST_PID)
		return;
	take_start(c, wait_status);
	process_ends(cells[c].guest_pid, wait_status);
}

void
guest_end_step(void)
{
	static const int statuses[] = { 0, 1 << 8, 127 << 8, SIGKILL, SIGSEGV, SIGSYS, SIGXCPU, GUEST_OUT_OF_MEMORY };
	uint8_t how = next();

	guest_ends(how % CELLS, statuses[(how >> 3) % LENGTH(statuses)]);
}

/* An init ends when all processes of its cell have been reaped. */
void
init_end_step(void)
{
	size_t c = next() % CELLS;

	if (cells[c].guest_pid == 0)
		shut(&init_end[c]);
}

/* Kill a warden or a zygote. */
void
process_step(void)
{
	uint8_t which = next();
	struct language *language = &languages[which % LANGUAGES];
	size_t z = place_of(language, which >> 4);

	if ((which & 8) != 0) {
		process_ends(language->warden.pid, SIGKILL);
		shut(&warden_end[which % LANGUAGES]);
	} else {
		process_ends(language->zygote[z].starting_pid != 0 && (which & 4) != 0 ? language->zygote[z].starting_pid :
		                                                                         language->zygote[z].pid,
		    SIGSEGV);
		shut(&zygote_end[which % LANGUAGES][z]);
	}
}

void
time_step(void)
{
	static const uint64_t spans_us[] = { 1000, 20000, 100000, 500000, 1000000, 5000000, 10000000, 60000000 };

	now_us += spans_us[next() % LENGTH(spans_us)];
}

/* ---- the self-test -------------------------------------------------------------------------------------------------- */

/* A zygote of a language before `first_tested` passes at once, and needs no cell. */
int __real_selftest_arm(struct broker *of, struct cell *cell, struct zygote *zygote);
int __wrap_selftest_arm(struct broker *of, struct cell *cell, struct zygote *zygote);
int
__wrap_selftest_arm(struct broker *of, struct cell *cell, struct zygote *zygote)
{
	if ((size_t)(zygote->language - languages) >= first_tested)
		return __real_selftest_arm(of, cell, zygote);
	zygote->is_verified = zygote->language->is_verified = true;
	language_event(of, zygote->language, LANGUAGE_SERVES, NULL);
	return -1;
}

/* ---- from beginning to end ------------------------------------------------------------------------------------------ */

void
world_make(void)
{
	int pipes[2];

	our_pid = getpid();
	must((things[A_FOLDER] = open(fuzz_folder(), O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0);
	must((things[A_MEMFD] = memfd_create("compiled", MFD_CLOEXEC)) >= 0 && ftruncate(things[A_MEMFD], 5000) == 0);
	must((things[A_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0);
	must((things[AN_EVENT] = eventfd(0, EFD_CLOEXEC)) >= 0);
	must(pipe2(pipes, O_CLOEXEC) == 0);
	things[A_PIPE] = pipes[1];
	must((things[A_JOB] = memfd_create("job", MFD_CLOEXEC | MFD_ALLOW_SEALING)) >= 0 &&
	    fcntl(things[A_JOB], F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
}

static void
set_up_language(size_t l, size_t seed)
{
	struct language *language = &languages[l];
	const struct language_config *from = &configs[l];
	uint32_t pairs, number = 0;

	*language = (struct language){ .all = &config,
		.config = from,
		.start = from->start,
		.state = LANGUAGE_ASLEEP,
		.warden = { .sock = -1 },
		.compiler = { .answer = { .fd = -1 } },
		.zygote = zygotes[l],
		.kinds = (uint32_t)from->warm_count };
	language->is_verified = seed % 8 == 7;
	language->kinds += from->start != START_COLD && from->run.count > 0;
	pairs = language->kinds * GRANT_COUNT + from->warm[0].zygotes - 1;
	language->zygote_count = 2 * (size_t)pairs;
	must(language->zygote_count <= ZYGOTES);
	for (uint32_t pool = 0; pool < language->kinds * GRANT_COUNT; pool++) {
		for (uint32_t i = 0; i < (pool == 0 ? from->warm[0].zygotes : 1); i++)
			language_place_zygote(language, number++, pairs, pool);
		language->pool[pool].is_wanted = language_armed(language, pool) > 0;
	}
	warden_end[l] = -1;
	for (size_t z = 0; z < ZYGOTES; z++)
		zygote_end[l][z] = -1;
	/* The last language is missing, or fails. */
	if (l == LANGUAGES - 1) {
		memset(language->reason, 'x', sizeof language->reason - 1);
		language->state = seed % 2 == 0 ? LANGUAGE_MISSING : LANGUAGE_FAILING;
	}
}

void
world_begin(size_t seed)
{
	memset(&broker, 0, sizeof broker);
	broker.config = &config;
	broker.isolation = &isolation_ns;
	broker.null_fd = things[A_NULL];
	broker.proc_fd = broker.handed_fd = broker.relay.fd = broker.handed.listener.fd = -1;
	broker.relay.fd = broker.no_network_fd = -1;
	broker.language = languages;
	broker.language_count = LANGUAGES;
	broker.cell = cells;
	broker.compile_cache.most_bytes = config.compiled_bytes;
	/* Two of the largest runs, or many usual ones. */
	broker.memory_most_bytes = UINT64_C(2) << 24;
	/*
	 * If the self-test tests only some languages, a run of another one can be in progress when
	 * a layer turns out to be broken.
	 */
	first_tested = seed % 4 == 3 ? 0 : seed % 4 == 2 ? 2 : LANGUAGES;
	layers_add(&broker.layers, "seccomp", true, true, "a filter");
	layers_add(&broker.layers, "uid_per_cell", true, true, "ids");
	layers_add(&broker.layers, "rlimits", false, true, "limits");
	layers_add(&broker.layers, "deadlines", false, true, "clocks");
	for (size_t l = 0; l < LANGUAGES; l++)
		set_up_language(l, seed);
	for (uint32_t c = 0; c < CELLS; c++) {
		cell_init(&cells[c], c);
		cells[c].net.empty_fd = things[A_NULL];
		guest_end[c] = init_end[c] = -1;
	}
	for (size_t i = 0; i < LISTENERS; i++)
		listener_end[i] = -1;
	now_us = 1000000;
	next_pid = FIRST_PID;
	death_count = 0;
}

void
world_number_guests(void)
{
	for (size_t c = 0; c < CELLS; c++) {
		if (cells[c].guest_pid == our_pid)
			cells[c].guest_pid = next_pid++;
	}
}

void
world_settle(void)
{
	for (size_t l = 0; l < LANGUAGES; l++) {
		while (warden_works(l, 7))
			continue;
	}
	for (size_t c = 0; c < CELLS; c++) {
		shut(&guest_end[c]);
		guest_ends(c, SIGKILL);
		if (cells[c].guest_pid == 0)
			shut(&init_end[c]);
	}
	now_us += 1000000;
}

void
world_give_up(void)
{
	for (size_t l = 0; l < LANGUAGES; l++) {
		for (size_t p = 0; p < LANGUAGE_POOLS; p++) {
			while (languages[l].pool[p].armed != NULL)
				cell_give_up(&broker, languages[l].pool[p].armed);
		}
		language_sleep(&broker, &languages[l]);
		shut(&warden_end[l]);
	}
	for (size_t i = 0; i < LISTENERS; i++)
		shut(&listener_end[i]);
}

void
world_end(void)
{
	struct signalfd_siginfo info;

	while (read(broker.children.fd, &info, sizeof info) > 0)
		continue;
	shut(&broker.children.fd);
	shut(&broker.door.fd);
	for (size_t l = 0; l < LANGUAGES; l++) {
		for (size_t z = 0; z < ZYGOTES; z++) {
			if (z < languages[l].zygote_count)
				loop_unwatch(&broker.loop, &zygotes[l][z].report);
			shut(&zygote_end[l][z]);
		}
	}
	shut(&broker.loop.poller.epoll_fd);
	for (size_t c = 0; c < CELLS; c++) {
		shut(&guest_end[c]);
		shut(&init_end[c]);
	}
	compile_cache_free(&broker.compile_cache);
	deadline_heap_free(&broker.queue.deadlines);
	/* Those whose rate is not used up. The rest was forgotten. */
	while (!TAILQ_EMPTY(&broker.accounts.idle)) {
		struct key_account *account = TAILQ_FIRST(&broker.accounts.idle);

		TAILQ_REMOVE(&broker.accounts.idle, account, in_idle);
		free(account);
		broker.accounts.count--;
	}
	must(broker.accounts.count == 0);
	if (broker.metrics != NULL) {
		munmap(broker.metrics, sizeof *broker.metrics);
		close(broker.metrics_fd);
	}
}
