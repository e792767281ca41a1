/*
 * from_worker.c - what workers send to the runner, into the real broker: several workers at once, messages of any size and
 * in any order, descriptors of any kind and number, runs that end in every way, answers that nobody reads.
 *
 * The processes around it are played here, and may misbehave as well: children.h is implemented below, a warden, a zygote
 * or a guest is the other end of a socket, a process's end is an entry of a list, time is a number. What the broker would
 * ask the kernel for that comes from here too (ld --wrap). An input is a list of steps, each a few bytes; `steps` has them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "cell.h"
#include "children.h"
#include "door.h"
#include "fdpass.h"
#include "fuzz.h"
#include "orders.h"
#include "selftest.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define CELLS 4
#define WORKERS 4
#define ZYGOTES 16 /* of a language */
#define DEATHS 64
#define LISTENERS 8
#define FIRST_PID 0x50000000 /* above every real one */
#define TURNS_MAX 1000       /* of the broker's loop, until it waits */
#define ROUNDS_MAX 100       /* of a second each, until every run is answered */
#define SENT_FDS 16

/* ---- what there is ------------------------------------------------------------------------------------------------ */

static char *words[] = { "/bin/true" };
static char *hints[] = { "json" };

#define STANDARD { 1000, 1000, 1 << 20, 1, 1000, 4096 }
#define LIMITS { STANDARD, { 5000, 5000, 1 << 24, 8, 5000, 1 << 20 } }

static struct language_config configs[] = {
	{ .name = "c", .start = START_COLD, .compile = { .command = { words, 1 }, .limits = STANDARD }, .version = { words, 1 },
	    .warm_count = 1, .warm = { { .armed = 0, .zygotes = 1 } }, .idle_s = 3, .recycle_runs = 2, .limits = LIMITS },
	{ .name = "perl", .start = START_ZYGOTE, .run = { words, 1 }, .warm_count = 1, .warm = { { .armed = 1, .zygotes = 1 } },
	    .idle_s = 3, .recycle_runs = 3, .limits = LIMITS },
	{ .name = "python3", .start = START_ZYGOTE, .driver = (char *)"python3", .warm_count = 2,
	    .warm = { { .armed = 1, .zygotes = 2 }, { .armed = 1, .zygotes = 1, .hints = { hints, 1 } } }, .idle_s = 20,
	    .recycle_runs = 5, .limits = LIMITS },
	{ .name = "ruby", .start = START_COLD, .run = { words, 1 }, .warm_count = 1, .warm = { { .zygotes = 1 } }, .idle_s = 3,
	    .recycle_runs = 1, .limits = LIMITS },
};

#define LANGUAGES LENGTH(configs)

static struct config config = { .cells = CELLS, .queue = 3, .queue_ms = 500, .cpu_percent = 100, .threads = 4,
	.compiled_bytes = 8192, .language = { &configs[0], &configs[1], &configs[2], &configs[3] },
	.language_count = LANGUAGES };

static struct broker broker;
static struct language languages[LANGUAGES];
static struct zygote zygotes[LANGUAGES][ZYGOTES];
static struct cell cells[CELLS];

/* The other ends; -1 where there is none. */
static int door_end;
static int warden_end[LANGUAGES];
static int zygote_end[LANGUAGES][ZYGOTES];
static int guest_end[CELLS];
static int init_end[CELLS]; /* an init lives as long as this is open */
static int listener_end[LISTENERS];

static struct worker {
	int fd;
	bool broke_rules;
	uint32_t asked, answered; /* questions */
	uint32_t runs, results;
} workers[WORKERS];

static struct {
	pid_t pid;
	int wait_status;
} deaths[DEATHS];
static size_t death_count;

static uint64_t now_us;
static pid_t our_pid, next_pid;
static unsigned turns, rounds;
static enum { PLAYING, SETTLING, PARTING, EMPTYING, LEAVING } phase;
static jmp_buf left;

/* What is passed around; kept from one input to the next. */
static int things[6];
enum { A_FOLDER, A_MEMFD, A_PIPE = 4, A_JOB };

static const uint8_t *script;
static size_t script_left;

static uint8_t
next(void)
{
	if (script_left == 0)
		return 0;
	script_left--;
	return *script++;
}

static void
shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
pair(int *ours, int *theirs)
{
	int both[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) == 0);
	*ours = both[0];
	*theirs = both[1];
}

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

int
children_start_warden(struct broker *of, struct language *language)
{
	int *end = &warden_end[language - languages];

	must(of == &broker && language->warden.sock < 0);
	shut(end);
	pair(end, &language->warden.sock);
	language->warden.pid = next_pid++;
	return 0;
}

int
children_start_zygote(struct broker *of, struct zygote *zygote)
{
	int *end = &zygote_end[zygote->language - languages][zygote->number];
	int fd;

	shut(end);
	pair(end, &fd);
	must(zygote->report.fd < 0 && event_add(of, &zygote->report, fd, broker_zygote_reported) == 0);
	zygote->starting_pid = next_pid++;
	zygote->deadline_us = now_us + 30000000;
	return 0;
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
		return pid == our_pid && (script_left == 0 || script[0] != 0xff) ? 0 : -1;
	process_ends(pid, number);
	return 0;
}

/* ---- wardens, zygotes, guests ------------------------------------------------------------------------------------- */

/* A guest_report, or something else, with descriptors. */
static void
send_report(int fd, int32_t error, size_t size, const int *fds, size_t fd_count)
{
	struct guest_report report = { .error = error };

	memset(report.step, 'x', sizeof report.step);
	fdpass_send(fd, &report, size < sizeof report ? size : sizeof report, fds, fd_count);
}

static void
collect(int fd, uint8_t how)
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
	default: /* ends without a word */
		break;
	}
}

/* Let a warden carry out the next of its orders, if there is any. Returns whether there was one. */
static bool
warden_works(size_t l, uint8_t how)
{
	struct warden_order order;
	struct pollfd waits = { .fd = warden_end[l], .events = POLLIN };
	int fds[FDPASS_MAX];
	size_t count;

	if (warden_end[l] < 0 || poll(&waits, 1, 0) != 1 ||
	    fdpass_recv(warden_end[l], &order, sizeof order, fds, FDPASS_MAX, &count, NULL) != (ssize_t)sizeof order)
		return false;
	switch (order.kind) {
	case WARDEN_MAKE:
		must(order.cell < CELLS && order.zygote < languages[l].zygote_count && count == 1);
		shut(&guest_end[order.cell]);
		shut(&init_end[order.cell]);
		if ((how & 7) != 7) {
			guest_end[order.cell] = fds[0];
			fds[0] = -1;
		}
		break;
	case WARDEN_DROP:
		must(order.cell < CELLS && count == 0);
		shut(&guest_end[order.cell]);
		break;
	case WARDEN_ZYGOTE:
		must(order.zygote < languages[l].zygote_count && count == 1);
		break;
	case WARDEN_COLLECT:
		must(count == 2);
		collect(fds[0], how);
		break;
	case WARDEN_RESIZE:
		must(order.cell < CELLS && order.disk_bytes > 0 && count == 1);
		send_report(fds[0], how >> 7, SIZE_MAX, NULL, 0);
		break;
	default:
		must(!"an order that there is");
	}
	fdpass_close(fds, count);
	return true;
}

static void
warden_step(void)
{
	uint8_t how = next();

	warden_works(how % LANGUAGES, how >> 3);
}

/* The broker waits for one answer, to WARDEN_RESIZE. */
int __real_poll(struct pollfd *waits, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *waits, nfds_t count, int timeout_ms);
int
__wrap_poll(struct pollfd *waits, nfds_t count, int timeout_ms)
{
	uint8_t how;

	if (timeout_ms == 0)
		return __real_poll(waits, count, 0);
	how = next();
	for (size_t l = 0; l < LANGUAGES && how != 0xff; l++) {
		while (warden_works(l, how))
			continue;
	}
	return __real_poll(waits, count, 0);
}

static void
zygote_step(void)
{
	uint8_t which = next(), how = next();
	int *end = &zygote_end[which % LANGUAGES][(which >> 4) % ZYGOTES];
	struct zygote_report report = { .error = how == 1 };
	int listener[2] = { -1, -1 };

	if (*end < 0)
		return;
	memset(report.text, 'x', sizeof report.text);
	memset(report.version, how, sizeof report.version);
	if ((how & 0x10) != 0)
		must(pipe2(listener, O_CLOEXEC) == 0);
	if (how != 2) /* ends without a word */
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

/* A guest reports, from its cell's control socket. */
static void
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

/* What a guest was given is what a run must have. */
static void
take_start(size_t c)
{
	struct guest_start start;
	struct pollfd waits = { .fd = guest_end[c], .events = POLLIN };
	int fds[FDPASS_MAX];
	size_t count;

	if (guest_end[c] >= 0 && poll(&waits, 1, 0) == 1 &&
	    fdpass_recv(guest_end[c], &start, sizeof start, fds, FDPASS_MAX, &count, NULL) > 0) {
		must(count == 3 + start.has_stdin + start.has_output);
		must(start.has_stdin <= 1 && start.has_output <= 1 && start.cpu_seconds > 0);
		must(start.data_bytes > 0 && start.tasks > 0);
		must(start.is_compile == 0 || (start.has_output == 0 && start.has_stdin == 0));
		for (size_t i = 0; i < count; i++)
			must((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
		fdpass_close(fds, count);
	}
	shut(&guest_end[c]);
}

static void
guest_ends(size_t c, int wait_status)
{
	if (cells[c].guest_pid < FIRST_PID)
		return;
	take_start(c);
	process_ends(cells[c].guest_pid, wait_status);
}

static void
guest_end_step(void)
{
	static const int statuses[] = { 0, 1 << 8, 7 << 8, SIGKILL, SIGSEGV, SIGSYS, SIGXCPU, GUEST_OUT_OF_MEMORY };
	uint8_t how = next();

	guest_ends(how % CELLS, statuses[(how >> 3) % LENGTH(statuses)]);
}

/* An init is gone when all that was in its cell has been reaped. */
static void
init_end_step(void)
{
	size_t c = next() % CELLS;

	if (cells[c].guest_pid == 0)
		shut(&init_end[c]);
}

/* A warden or a zygote dies. */
static void
process_step(void)
{
	uint8_t which = next();
	struct language *language = &languages[which % LANGUAGES];
	size_t z = (which >> 4) % ZYGOTES;

	if ((which & 8) != 0) {
		process_ends(language->warden.pid, SIGKILL);
		shut(&warden_end[which % LANGUAGES]);
	} else if (z < language->zygote_count) {
		process_ends(language->zygote[z].starting_pid != 0 && (which & 4) != 0 ? language->zygote[z].starting_pid :
		    language->zygote[z].pid, SIGSEGV);
		shut(&zygote_end[which % LANGUAGES][z]);
	}
}

static void
time_step(void)
{
	static const uint64_t spans_us[] = { 1000, 20000, 100000, 500000, 1000000, 5000000, 10000000, 60000000 };

	now_us += spans_us[next() % LENGTH(spans_us)];
}

/* ---- the self-test, which has tests of its own: here every zygote passes it --------------------------------------- */

int
selftest_arm(struct broker *one, struct cell *cell, struct zygote *zygote)
{
	(void)one;
	(void)cell;
	zygote->is_proved = zygote->language->is_proved = true;
	return -1;
}

void
selftest_start(struct broker *one, struct cell *cell)
{
	(void)one;
	(void)cell;
}

void
selftest_end(struct broker *one, struct cell *cell)
{
	(void)one;
	(void)cell;
}

/* ---- workers ------------------------------------------------------------------------------------------------------ */

static void
connect_step(void)
{
	struct worker *worker = &workers[next() % WORKERS];
	struct door_visitor visitor = { .pid = 1 + (int)(worker - workers) };
	int fd;

	if (worker->fd >= 0)
		return;
	*worker = (struct worker){ .fd = -1 };
	pair(&worker->fd, &fd);
	must(fdpass_send(door_end, &visitor, sizeof visitor, &fd, 1) == 0);
	close(fd);
}

#define RIGHT 0xffu /* which descriptors: those that a run has */

/* Send what no decent worker would: any bytes, and more descriptors than anybody takes. */
static void
send_anything(struct worker *worker, const void *bytes, size_t size, uint8_t which, size_t count)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * SENT_FDS)];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { (void *)bytes, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		int fds[SENT_FDS];
		struct cmsghdr *head;

		for (size_t i = 0; i < count; i++)
			fds[i] = which == RIGHT ? things[i == 1 || i == 2 ? A_PIPE : A_JOB] : (which + i) % 8 == 7 ? worker->fd :
			    things[(which + i) % LENGTH(things)];
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
	}
	/* It fails when the broker has hung up, or takes no more. */
	sendmsg(worker->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool
fits(uint64_t asked, uint64_t most)
{
	return asked > 0 && asked <= most;
}

/* The rules of proto.h that can be checked with nothing but the message in hand. */
static bool
is_legal(const struct proto_request *request, size_t fd_count)
{
	bool is_run = request->kind == PROTO_RUN, is_compile = request->kind == PROTO_COMPILE;
	const struct run_limits *limits = &request->limits, *most = &configs[0].limits.maximum;

	if (request->kind < PROTO_RUN || request->kind > PROTO_STATE)
		return false;
	if ((is_run && fd_count != 3 && fd_count != 4) || (is_compile && fd_count != 3) ||
	    (!is_run && !is_compile && fd_count != 0))
		return false;
	if ((is_run || is_compile || request->kind == PROTO_FIND) && request->index >= LANGUAGES)
		return false;
	if ((is_compile || request->kind == PROTO_FIND) && request->index != 0)
		return false;
	if ((is_run || is_compile) && request->warm >= configs[request->index].warm_count)
		return false;
	return !is_run || (fits(limits->wall_ms, most->wall_ms) && fits(limits->cpu_ms, most->cpu_ms) &&
	    fits(limits->memory_bytes, most->memory_bytes) && fits(limits->processes, most->processes) &&
	    fits(limits->output_bytes, most->output_bytes) && fits(limits->disk_bytes, most->disk_bytes));
}

static void
request_step(void)
{
	struct worker *worker = &workers[next() % WORKERS];
	struct proto_request request = { .kind = next(), .id = next() & 7, .limits = configs[0].limits.standard };
	uint8_t index = next(), flags = next(), limit = next(), fds = next();
	const struct run_limits *most = &configs[0].limits.maximum;
	size_t fd_count;

	if (worker->fd < 0)
		return;
	if (request.kind < 0xe0)
		request.kind = 1 + request.kind % 7;
	request.index = index % (LANGUAGES + 1);
	request.warm = (index >> 3) % 3;
	request.flags = flags & 3;
	request.cancel = (flags >> 2) & 3;
	request.digest[0] = flags >> 6;
	if (limit >= 0x80) {
		const uint64_t *bound = (const uint64_t *)most + limit % 6;
		const uint64_t values[] = { *bound, 0, *bound + 1, UINT64_MAX, 1, *bound - 1 };

		((uint64_t *)&request.limits)[limit % 6] = values[(limit >> 3) % LENGTH(values)];
	}
	fd_count = fds >= 0x80 ? fds % SENT_FDS : request.kind == PROTO_RUN ? 3 + (fds & 1) : request.kind == PROTO_COMPILE ? 3 : 0;
	if (!is_legal(&request, fd_count) || (fds >= 0x80 && (request.kind == PROTO_RUN || request.kind == PROTO_COMPILE)))
		worker->broke_rules = true;
	else if (request.kind == PROTO_RUN || request.kind == PROTO_COMPILE)
		worker->runs++;
	else if (request.kind != PROTO_CANCEL)
		worker->asked++;
	send_anything(worker, &request, sizeof request, fds < 0x80 ? RIGHT : fds >> 4, fd_count);
}

static void
bytes_step(void)
{
	struct worker *worker = &workers[next() % WORKERS];
	uint8_t size = next(), fds = next();
	static char bytes[255];

	if (worker->fd < 0 || size == sizeof(struct proto_request))
		return;
	memset(bytes, size, sizeof bytes);
	/* What is empty is the end of a connection to who receives it. */
	worker->broke_rules = true;
	send_anything(worker, bytes, size, fds >> 4, fds % SENT_FDS);
}

static void
check_reply(struct worker *worker, const struct proto_reply *reply)
{
	switch (reply->kind) {
	case PROTO_WELCOME:
		must(reply->u.welcome.version == PROTO_VERSION && reply->u.welcome.languages == LANGUAGES);
		break;
	case PROTO_RESULT:
		must(reply->id < 8 && reply->u.result.verdict < VERDICT_COUNT);
		must((reply->u.result.verdict == VERDICT_OK) == (reply->u.result.exit_code == 0));
		worker->results++;
		break;
	case PROTO_REFUSED:
		must(reply->id < 8 && reply->u.refusal >= REFUSED_BUSY && reply->u.refusal <= REFUSED_MALFORMED);
		worker->results++;
		break;
	case PROTO_FIND:
		must(reply->u.found <= 1);
		worker->answered++;
		break;
	case PROTO_LANGUAGE:
		must(reply->u.language.start <= START_COLD);
		must(memchr(reply->u.language.version, '\0', PROTO_NAME_SIZE) != NULL);
		must(memchr(reply->u.language.reason, '\0', PROTO_TEXT_SIZE) != NULL);
		worker->answered++;
		break;
	case PROTO_LAYER:
		must(memchr(reply->u.layer.name, '\0', PROTO_NAME_SIZE) != NULL);
		worker->answered++;
		break;
	case PROTO_STATE:
		must(memchr(reply->u.state.reason, '\0', PROTO_TEXT_SIZE) != NULL);
		must((reply->u.state.healthy != 0) == (reply->u.state.reason[0] == '\0'));
		worker->answered++;
		break;
	default:
		must(!"a reply that there is");
	}
	must(worker->results <= worker->runs && worker->answered <= worker->asked);
}

/* Read all that there is. Returns whether the connection is still there. */
static bool
read_replies(struct worker *worker)
{
	struct proto_reply reply;
	ssize_t n;

	while ((n = recv(worker->fd, &reply, sizeof reply, MSG_DONTWAIT | MSG_TRUNC)) == (ssize_t)sizeof reply)
		check_reply(worker, &reply);
	must(n <= 0);
	return n < 0 && errno == EAGAIN;
}

static void
read_step(void)
{
	struct worker *worker = &workers[next() % WORKERS];

	if (worker->fd >= 0)
		read_replies(worker);
}

static void
hang_up_step(void)
{
	shut(&workers[next() % WORKERS].fd);
}

/* ---- what must be true whenever the broker waits -------------------------------------------------------------------- */

static void
check_clients(void)
{
	uint32_t queued = 0, of_pools = 0;

	for (const struct client *client = broker.queue; client != NULL; client = client->next_queued, queued++)
		must(client->state == CLIENT_QUEUED);
	for (const struct client *client = broker.clients; client != NULL; client = client->next) {
		must(client->event.fd >= 0 && client->fd_count <= CLIENT_RUN_FDS);
		must((client->state == CLIENT_QUEUED) == (client->fd_count > 0));
		must((client->cell != NULL) == (client->state == CLIENT_RUNNING || client->state == CLIENT_COLLECTING) ||
		    (client->state == CLIENT_COLLECTING && client->collected.fd >= 0));
		must(client->cell == NULL || client->cell->client == client);
		must(client->collected.fd < 0 || client->state == CLIENT_COLLECTING);
	}
	for (size_t l = 0; l < LANGUAGES; l++) {
		for (size_t p = 0; p < languages[l].kinds * GRANT_COUNT; p++)
			of_pools += languages[l].pool[p].queued;
	}
	must(queued == broker.queued && of_pools == queued && queued <= config.queue);
}

static void
check_cells(void)
{
	uint32_t armed = 0, arming = 0, running = 0, listed = 0;

	for (size_t c = 0; c < CELLS; c++) {
		const struct cell *cell = &cells[c];
		const struct run_limits *most = cell->language != NULL ? &cell->language->config->limits.maximum : NULL;

		armed += cell->state == CELL_ARMED;
		arming += cell->state == CELL_ARMING;
		running += cell->state == CELL_RUNNING && cell->guest_pid != 0;
		must(cell->client == NULL || cell->state == CELL_RUNNING || cell->state == CELL_ENDING);
		must(cell->state != CELL_FREE || (cell->control.fd < 0 && cell->init.fd < 0 && cell->init_fd < 0 && cell->box_fd < 0));
		if (cell->state == CELL_RUNNING)
			must(fits(cell->limits.wall_ms, most->wall_ms) && fits(cell->limits.memory_bytes, most->memory_bytes) &&
			    fits(cell->limits.processes, most->processes) && fits(cell->limits.disk_bytes, most->disk_bytes) &&
			    cell->check_us < UINT64_MAX);
	}
	for (size_t l = 0; l < LANGUAGES; l++) {
		for (size_t p = 0; p < languages[l].kinds * GRANT_COUNT; p++) {
			const struct pool *pool = &languages[l].pool[p];

			armed -= pool->armed_count;
			arming -= pool->arming_count;
			for (const struct cell *cell = pool->armed; cell != NULL; cell = cell->next_armed, listed++)
				must(cell->state == CELL_ARMED && cell->language == &languages[l] && cell->pool == p);
			listed -= pool->armed_count;
		}
	}
	must(armed == 0 && arming == 0 && listed == 0 && running == broker.running);
}

/* ---- an input, from its beginning to its end ------------------------------------------------------------------------ */

static void (*const steps[])(void) = { connect_step, request_step, request_step, warden_step, zygote_step, guest_step,
	guest_end_step, init_end_step, time_step, read_step, hang_up_step, bytes_step, process_step };

/* All in order, and nobody starts anything any more, until every run has an answer. */
static void
settle(void)
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
	must(++rounds < ROUNDS_MAX);
}

static bool
is_settled(void)
{
	for (const struct client *client = broker.clients; client != NULL; client = client->next) {
		if (client->state != CLIENT_IDLE)
			return false;
	}
	return broker.running == 0;
}

/* Who kept to the rules has had every answer, and who did not has no connection any more. */
static void
part(void)
{
	for (size_t w = 0; w < WORKERS; w++) {
		struct worker *worker = &workers[w];
		bool is_connected = worker->fd >= 0 && read_replies(worker);

		must(!is_connected || !worker->broke_rules);
		must(!is_connected || (worker->answered == worker->asked && worker->results == worker->runs));
		shut(&worker->fd);
	}
}

static void
give_up_cells(void)
{
	must(broker.clients == NULL && broker.queued == 0 && broker.running == 0);
	for (size_t l = 0; l < LANGUAGES; l++) {
		for (size_t p = 0; p < LANGUAGE_POOLS; p++) {
			while (languages[l].pool[p].armed != NULL)
				cell_give_up(&broker, languages[l].pool[p].armed);
		}
		language_sleep(&languages[l]);
		shut(&warden_end[l]);
	}
	for (size_t i = 0; i < LISTENERS; i++)
		shut(&listener_end[i]);
}

static bool
are_cells_free(void)
{
	for (size_t c = 0; c < CELLS; c++) {
		if (cells[c].state != CELL_FREE)
			return false;
	}
	return true;
}

/* The broker waits: let something happen. */
static void
happen(void)
{
	check_clients();
	check_cells();
	switch (phase) {
	case PLAYING:
		for (uint8_t op = 0x80; script_left > 0 && (op & 0x80) != 0;) {
			op = next();
			steps[(op & 0x7f) % LENGTH(steps)]();
		}
		if (script_left == 0)
			phase = SETTLING;
		break;
	case SETTLING:
		if (!is_settled()) {
			settle();
			break;
		}
		part();
		phase = PARTING;
		break;
	case PARTING:
		give_up_cells();
		phase = EMPTYING;
		break;
	case EMPTYING:
		if (!are_cells_free()) {
			settle();
			break;
		}
		phase = LEAVING;
		shut(&door_end);
		break;
	case LEAVING:
		must(!"a broker that ends with its door");
	}
}

int __real_epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms);
int
__wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms)
{
	int count = __real_epoll_wait(fd, events, most, 0);

	/* The kernel's word for who has reported. Here it is always us, but each guest has a number of its own. */
	for (size_t c = 0; c < CELLS; c++) {
		if (cells[c].guest_pid == our_pid)
			cells[c].guest_pid = next_pid++;
	}
	must(++turns < TURNS_MAX);
	if (count != 0 || timeout_ms == 0)
		return count;
	turns = 0;
	happen();
	return 0;
}

void __wrap__exit(int status) __attribute__((noreturn));
void
__wrap__exit(int status)
{
	must(phase == LEAVING && status == 0);
	longjmp(left, 1);
}

static void
set_up_language(size_t l)
{
	struct language *language = &languages[l];
	const struct language_config *from = &configs[l];

	*language = (struct language){ .all = &config, .config = from, .start = from->start, .root_fd = things[A_FOLDER],
		.warden = { .sock = -1 }, .zygote = zygotes[l], .kinds = (uint32_t)from->warm_count };
	language->kinds += from->start != START_COLD && from->run.count > 0;
	for (uint32_t pool = 0; pool < language->kinds * GRANT_COUNT; pool++) {
		for (uint32_t i = 0; i < (pool == 0 ? from->warm[0].zygotes : 1); i++) {
			must(language->zygote_count < ZYGOTES);
			zygotes[l][language->zygote_count] = (struct zygote){ .language = language,
				.number = (uint32_t)language->zygote_count, .pool = pool, .report = { .fd = -1 } };
			language->zygote_count++;
		}
		language->pool[pool].is_wanted = language_armed(language, pool) > 0;
	}
	warden_end[l] = -1;
	for (size_t z = 0; z < ZYGOTES; z++)
		zygote_end[l][z] = -1;
	/* The last one is not what it should be, in one way or the other. */
	if (l == LANGUAGES - 1) {
		memset(language->reason, 'x', sizeof language->reason - 1);
		language->is_missing = script_left % 2 == 0;
	}
}

static void
set_up(void)
{
	memset(&broker, 0, sizeof broker);
	broker.config = &config;
	broker.relay.fd = broker.no_network_fd = -1;
	broker.language = languages;
	broker.language_count = LANGUAGES;
	broker.cell = cells;
	broker.compiled.most_bytes = config.compiled_bytes;
	layers_add(&broker.layers, "seccomp", true, true, "a filter");
	for (size_t l = 0; l < LANGUAGES; l++)
		set_up_language(l);
	for (uint32_t c = 0; c < CELLS; c++) {
		cells[c] = (struct cell){ .number = c, .control = { .fd = -1 }, .init = { .fd = -1 }, .init_fd = -1, .box_fd = -1,
			.link_fd = -1, .check_us = UINT64_MAX, .cgroup = cgroup_no_cell };
		guest_end[c] = init_end[c] = -1;
	}
	for (size_t i = 0; i < LISTENERS; i++)
		listener_end[i] = -1;
	for (size_t w = 0; w < WORKERS; w++)
		workers[w].fd = -1;
	now_us = 1000000;
	next_pid = FIRST_PID;
	death_count = 0;
	turns = rounds = 0;
	phase = PLAYING;
}

static void
clean_up(void)
{
	struct signalfd_siginfo info;

	while (read(broker.children.fd, &info, sizeof info) > 0)
		continue;
	shut(&broker.children.fd);
	shut(&broker.door.fd);
	for (size_t l = 0; l < LANGUAGES; l++) {
		for (size_t z = 0; z < ZYGOTES; z++) {
			if (z < languages[l].zygote_count)
				event_close(&broker, &zygotes[l][z].report);
			shut(&zygote_end[l][z]);
		}
	}
	shut(&broker.epoll_fd);
	for (size_t c = 0; c < CELLS; c++) {
		shut(&guest_end[c]);
		shut(&init_end[c]);
	}
	for (size_t i = 0; i < broker.compiled.count; i++)
		close(broker.compiled.entry[i].fd);
	free(broker.compiled.entry);
}

static void
try(const uint8_t *data, size_t size)
{
	int door_fd;

	script = data;
	script_left = size;
	set_up();
	pair(&door_end, &door_fd);
	if (setjmp(left) == 0)
		broker_serve(&broker, door_fd);
	clean_up();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;

	if (!ready) {
		int pipes[2];

		our_pid = getpid();
		must((things[A_FOLDER] = open(fuzz_folder(), O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0);
		must((things[A_MEMFD] = memfd_create("compiled", MFD_CLOEXEC)) >= 0 && ftruncate(things[A_MEMFD], 5000) == 0);
		must((things[2] = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0);
		must((things[3] = eventfd(0, EFD_CLOEXEC)) >= 0);
		must(pipe2(pipes, O_CLOEXEC) == 0);
		things[A_PIPE] = pipes[1];
		must((things[A_JOB] = memfd_create("job", MFD_CLOEXEC | MFD_ALLOW_SEALING)) >= 0 &&
		    fcntl(things[A_JOB], F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
		ready = true;
	}
	do {
		fuzz_begin();
		try(data, size);
	} while (!fuzz_end());
	return 0;
}
