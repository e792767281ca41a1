/*
 * from_worker.c - the messages of workers to the real broker. Several workers send at the same
 * time, messages of any size and in any order, with descriptors of any kind and number. Runs end in
 * every way, and some workers read no answers.
 *
 * broker_world.h plays the other processes around the broker. An input is a list of steps of a few
 * bytes each (see `steps`).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker_world.h"
#include "broker/client.h"
#include "broker/serve.h"
#include "fdpass.h"
#include "fuzz.h"

#define WORKERS 4
#define TURNS_MAX 1000 /* the most turns of the broker's loop until it waits */
#define ROUNDS_MAX 100 /* the most seconds until every run has its answer */

static struct worker {
	int fd;
	bool broke_rules;
	uint32_t asked, answered; /* numbers of questions */
	uint32_t runs, results;
} workers[WORKERS];

static int door_end; /* the other one is the broker's */
static unsigned turns, rounds;
static enum { PLAYING, SETTLING, PARTING, EMPTYING, LEAVING } phase;
static jmp_buf left;

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
	pair(&worker->fd, &fd, 0);
	must(fdpass_send(door_end, &visitor, sizeof visitor, &fd, 1) == 0);
	close(fd);
}

/* Values of `which`: the descriptors of a run, of which `which` - RIGHT at the end are memfds. */
#define RIGHT 0xfcu

static void
worker_sends(struct worker *worker, const void *bytes, size_t size, uint8_t which, size_t count)
{
	int fds[SENT_FDS];

	for (size_t i = 0; i < SENT_FDS; i++)
		fds[i] = which >= RIGHT  ? things[i == 0 || i + (which - RIGHT) >= count ? A_JOB : A_PIPE] :
		    (which + i) % 8 == 7 ? worker->fd :
		                           things[(which + i) % THINGS];
	send_anything(worker->fd, bytes, size, fds, count);
}

static bool
fits(uint64_t asked, uint64_t most)
{
	return asked > 0 && asked <= most;
}

static bool
is_legal_share(const struct run_share *share)
{
	return memchr(share->name, '\0', sizeof share->name) != NULL && share->name[0] > ' ' && share->name[0] < 0x7f &&
	    share->weight > 0 && share->weight <= 1000 && share->running <= 4096 &&
	    (share->waiting <= 65536 || share->waiting == UINT32_MAX) && share->rate <= 1000000 && share->burst <= 1000000 &&
	    share->reserved == 0;
}

/* The share of one of a few keys, whose numbers change. Now and then it is an invalid one. */
static struct run_share
make_share(uint8_t which)
{
	static const uint32_t odd[] = { UINT32_MAX, 1001, 4097, 65537, 1000001, 0 };
	struct run_share share = { .name = { (char)('a' + (which & 3)) },
		.weight = 1 + (which >> 2 & 3) * 9,
		.waiting = UINT32_MAX };
	uint32_t *const number[] = { &share.weight, &share.running, &share.waiting, &share.rate, &share.burst, &share.reserved };
	uint8_t change = which >= 0x80 ? next() : 0;

	if ((which & 0x10) != 0)
		share.running = 1;
	if ((which & 0x20) != 0)
		share.waiting = which & 1;
	if ((which & 0x40) != 0)
		share.rate = 1 + (which & 7);
	if (change == 0xff)
		memset(share.name, next(), sizeof share.name);
	else if (change >= 0x80)
		*number[change % LENGTH(number)] = odd[(change >> 3) % LENGTH(odd)];
	return share;
}

/* Check the rules of proto.h that depend on nothing but the message itself. */
static bool
is_legal(const struct proto_request *request, size_t fd_count)
{
	bool is_run = request->kind == PROTO_RUN, is_compile = request->kind == PROTO_COMPILE;
	const struct run_limits *limits = &request->limits, *most = &languages[0].config->limits.maximum;

	if (request->kind < PROTO_RUN || request->kind > PROTO_STATE)
		return false;
	if ((is_run || is_compile || request->kind == PROTO_FIND) && !is_legal_share(&request->share))
		return false;
	if (is_run && (request->flags & RUN_COLLECT) != 0)
		fd_count--; /* the patterns */
	if ((is_run || is_compile) && (request->flags & RUN_PACK) != 0)
		fd_count--;
	if ((is_run && fd_count != 3 && fd_count != 4) || (is_compile && fd_count != 3) ||
	    (!is_run && !is_compile && fd_count != 0))
		return false;
	if ((is_run || is_compile || request->kind == PROTO_FIND) && request->index >= LANGUAGES)
		return false;
	if ((is_compile || request->kind == PROTO_FIND) && request->index != 0)
		return false;
	if ((is_run || is_compile) && request->warm >= languages[request->index].config->warm_count)
		return false;
	return !is_run ||
	    (fits(limits->wall_ms, most->wall_ms) && fits(limits->cpu_ms, most->cpu_ms) &&
	        fits(limits->memory_bytes, most->memory_bytes) && fits(limits->processes, most->processes) &&
	        fits(limits->output_bytes, most->output_bytes) && fits(limits->disk_bytes, most->disk_bytes) &&
	        (limits->threads == 0 || fits(limits->threads, most->threads)) && limits->open_files >= 64 &&
	        fits(limits->open_files, most->open_files) && limits->inodes >= 16 && fits(limits->inodes, most->inodes) &&
	        limits->stack_bytes >= 1 << 20 && fits(limits->stack_bytes, most->stack_bytes));
}

static void
request_step(void)
{
	struct worker *worker = &workers[next() % WORKERS];
	struct proto_request request = { .kind = next(), .id = next() & 7, .limits = languages[0].config->limits.default_ };
	uint8_t index = next(), flags = next(), limit = next(), fds = next();
	const struct run_limits *most = &languages[0].config->limits.maximum;
	size_t fd_count;
	unsigned more;

	if (worker->fd < 0)
		return;
	if (request.kind < 0xe0)
		request.kind = 1 + request.kind % 7;
	request.index = index % (LANGUAGES + 1);
	request.warm = (index >> 3) % 3;
	request.flags = flags & 3;
	request.cancel = (flags >> 2) & 3;
	request.digest[0] = flags >> 6;
	request.share = make_share((flags & 0x10) != 0 ? next() : 0);
	if ((flags & 0x20) != 0) {
		uint8_t wait = next();

		request.queue_ms = wait & 1 ? 0 : (uint64_t)wait * 10;
		request.waited_us = wait == 0xff ? UINT64_MAX : (uint64_t)(wait >> 4) * 20000;
	}
	if (limit >= 0x80) {
		const uint64_t *bound = (const uint64_t *)most + limit % 6;
		const uint64_t values[] = { *bound, 0, *bound + 1, UINT64_MAX, 1, *bound - 1 };

		((uint64_t *)&request.limits)[limit % 6] = values[(limit >> 3) % LENGTH(values)];
	}
	if (request.kind == PROTO_RUN && (fds & 2) != 0)
		request.flags |= RUN_COLLECT;
	if ((request.kind == PROTO_RUN || request.kind == PROTO_COMPILE) && (fds & 4) != 0)
		request.flags |= RUN_PACK;
	more = ((request.flags & RUN_COLLECT) != 0) + ((request.flags & RUN_PACK) != 0);
	fd_count = fds >= 0x80            ? fds % SENT_FDS :
	    request.kind == PROTO_RUN     ? 3u + (fds & 1) + more :
	    request.kind == PROTO_COMPILE ? 3u + more :
	                                    0;
	if (!is_legal(&request, fd_count) || (fds >= 0x80 && (request.kind == PROTO_RUN || request.kind == PROTO_COMPILE)))
		worker->broke_rules = true;
	else if (request.kind == PROTO_RUN || request.kind == PROTO_COMPILE)
		worker->runs++;
	else if (request.kind != PROTO_CANCEL)
		worker->asked++;
	worker_sends(worker, &request, sizeof request, fds >= 0x80 ? fds >> 4 : (uint8_t)(RIGHT + more), fd_count);
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
	/* A receiver takes an empty message for the end of the connection. */
	worker->broke_rules = true;
	worker_sends(worker, bytes, size, fds >> 4, fds % SENT_FDS);
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
		must(reply->id < 8 && reply->u.refused.refusal >= REFUSED_BUSY && reply->u.refused.refusal <= REFUSED_LOST);
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
		must(!"a kind of reply that exists");
	}
	must(worker->results <= worker->runs && worker->answered <= worker->asked);
}

/* Read and check all waiting replies. Returns whether the connection is still open. */
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

/* ---- checks, each time when the broker waits ------------------------------------------------------------------------ */

static void
check_account(const struct key_account *account, uint64_t *charged_bytes)
{
	uint32_t holds = 0, listed = 0, waiting = 0, running = 0, in_cells = 0;
	const struct client *client;

	LIST_FOREACH(client, &broker.clients, in_all) {
		const struct run *run = &client->run;

		holds += (client->account == account) + (run->account == account);
		if (run->account != account)
			continue;
		listed += run->place == PLACE_LISTED;
		waiting += run->place == PLACE_LISTED || run->place == PLACE_PARKED;
		running += run->is_running;
		in_cells += run->charged_bytes > 0;
		*charged_bytes += run->charged_bytes;
	}
	for (size_t c = 0; c < CELLS; c++) {
		if (cells[c].charge.account != account)
			continue;
		holds++;
		in_cells++;
		*charged_bytes += cells[c].charge.bytes;
	}
	must(holds == account->holds && listed == account->listed && waiting == account->waiting);
	must(running == account->running && in_cells == account->cells);
	must(in_cells <= CELLS - broker.config->reserve);
}

/*
 * The accounts with listed runs are in one of the two lists, and no other is. Returns their number.
 */
static uint32_t
check_ring(const struct key_ring *ring, bool rests)
{
	const struct key_account *account;
	uint32_t count = 0;

	TAILQ_FOREACH(account, ring, in_ring) {
		must(account->listed > 0 && account->rests == rests && TAILQ_FIRST(&account->runs) != NULL);
		count++;
	}
	return count;
}

static void
check_accounts(void)
{
	uint64_t charged_bytes = 0;
	uint32_t count = 0, taken = 0, emptying = 0, with_listed = 0;
	const struct key_account *account;

	for (size_t i = 0; i < KEY_ACCOUNT_HASHES; i++) {
		SLIST_FOREACH(account, &broker.accounts.hash[i], in_hash) {
			check_account(account, &charged_bytes);
			with_listed += account->listed > 0;
			must(account->listed > 0 || !account->rests);
			count++;
		}
	}
	must(count == broker.accounts.count);
	must(with_listed == check_ring(&broker.queue.ring, false) + check_ring(&broker.queue.resting, true));
	must(charged_bytes == broker.queue.charged_bytes && charged_bytes <= broker.memory_most_bytes);
	for (size_t c = 0; c < CELLS; c++) {
		taken += !cells[c].is_reserved && cells[c].state >= CELL_RUNNING;
		emptying += !cells[c].is_reserved && cells[c].state >= CELL_ENDING;
		must(cells[c].state != CELL_FREE || cells[c].charge.account == NULL);
	}
	must(taken == broker.taken && emptying == broker.emptying);
}

static void
check_clients(void)
{
	uint32_t queued = 0, of_pools = 0, listed = 0, parked = 0;
	const struct client *client;

	for (uint32_t i = 0; i < run_queue_count(&broker.queue); i++, queued++) {
		const struct run *run = broker.queue.deadlines.run[i];

		must(run->state == RUN_QUEUED && run->heap_at == i && run->account != NULL);
		must(i == 0 || broker.queue.deadlines.run[(i - 1) / 2]->deadline_us <= run->deadline_us);
		listed += run->place == PLACE_LISTED;
		parked += run->place == PLACE_PARKED;
	}
	LIST_FOREACH(client, &broker.clients, in_all) {
		const struct run *run = &client->run;
		bool has_cell = run->state == RUN_STARTED || (run->state == RUN_LEAVING && run->cell != NULL);

		must(client->watch.fd >= 0 && run->fd_count <= RUN_FDS);
		must((run->state == RUN_QUEUED) == (run->fd_count > 0));
		must((run->state == RUN_QUEUED) == (run->place != PLACE_NONE));
		must((run->state != RUN_IDLE) == (run->account != NULL) &&
		    (run->account == NULL || run->account == client->account));
		must(run->is_running == (run->state != RUN_IDLE && run->place != PLACE_LISTED && run->place != PLACE_PARKED));
		must((run->cell != NULL) == has_cell && (run->cell == NULL || run->cell->run == run));
		/* The broker extracts the output of a compilation that has no cell any more. */
		must((run->extraction.fd >= 0) == (run->state == RUN_LEAVING && run->cell == NULL));
		must((client->state == CLIENT_WAITING) == (run->state != RUN_IDLE));
	}
	for (size_t l = 0; l < LANGUAGES; l++) {
		for (size_t p = 0; p < languages[l].kinds * GRANT_COUNT; p++)
			of_pools += languages[l].pool[p].queued;
		for (client = languages[l].compiler.asking; client != NULL; client = client->next_finding)
			must(client->state == CLIENT_FINDING && client->key.language == l);
	}
	must(queued == 0 || layers_broken(&broker.layers) == NULL);
	must(queued <= broker.config->queue + CELLS);
	must(listed == broker.queue.listed && parked == broker.queue.parked && of_pools == broker.queue.admitted &&
	    listed + parked + of_pools == queued);
	check_accounts();
}

static void
check_cells(void)
{
	bool is_broken = layers_broken(&broker.layers) != NULL;
	uint32_t armed = 0, arming = 0, running = 0, listed = 0, reserved = 0;

	for (size_t c = 0; c < CELLS; c++) {
		const struct cell *cell = &cells[c];
		const struct run_limits *most = cell->language != NULL ? &cell->language->config->limits.maximum : NULL;

		armed += cell->state == CELL_ARMED && !cell->is_reserved;
		arming += cell->state == CELL_ARMING;
		running += cell->state == CELL_RUNNING;
		reserved += cell->is_reserved;
		must(cell->state != CELL_RUNNING || cell->guest_pid != 0);
		must(cell->run == NULL || cell->is_reserved || cell->state == CELL_RUNNING || cell->state == CELL_SETTLING ||
		    cell->state == CELL_ENDING);
		/*
		 * While a layer is broken, there is no run. The broker still extracts an earlier
		 * compiler's output, but runs nothing with it.
		 */
		must(!is_broken || cell->is_reserved || cell->state != CELL_RUNNING || cell->end != END_ITSELF);
		must(!is_broken || cell->is_reserved || cell->run == NULL || cell->run->state == RUN_LEAVING);
		must(cell->state != CELL_FREE ||
		    (cell->control.fd < 0 && cell->control_fd < 0 && cell->init.fd < 0 && cell->init_fd < 0 && cell->box_fd < 0 &&
		        cell->run == NULL));
		/* The self-test gives its runs other limits. */
		if (cell->state == CELL_RUNNING && !cell->is_reserved)
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
		must(language_is_awake(&languages[l]) || !language_serves(&languages[l]));
		must((languages[l].state == LANGUAGE_SERVING) == language_serves(&languages[l]));
	}
	must(armed == 0 && arming == 0 && listed == 0 && running == broker.running && reserved == broker.reserved);
}

/* ---- an input, from its beginning to its end ------------------------------------------------------------------------ */

static void (*const steps[])(void) = { connect_step, request_step, request_step, warden_step, zygote_step, guest_step,
	guest_end_step, init_end_step, time_step, read_step, hang_up_step, bytes_step, process_step };

/* Whether every request has its answer. */
static bool
is_settled(void)
{
	const struct client *client;

	LIST_FOREACH(client, &broker.clients, in_all) {
		if (client->state != CLIENT_IDLE)
			return false;
	}
	return broker.running == 0;
}

/*
 * Check what each worker got, and close its connection. A worker that kept the rules has every
 * answer. A worker that broke one has lost its connection.
 */
static void
part(void)
{
	for (size_t w = 0; w < WORKERS; w++) {
		struct worker *worker = &workers[w];
		bool is_connected = worker->fd >= 0 && read_replies(worker);

		must(!is_connected || !worker->broke_rules);
		must(!is_connected || (worker->answered == worker->asked && worker->results == worker->runs));
		hang_up(&worker->fd);
	}
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

/* Go on with the input, because the broker waits. */
static void
happen(void)
{
	check_clients();
	check_cells();
	switch (phase) {
	case PLAYING:
		for (uint8_t op = 0x80; play_left() > 0 && (op & 0x80) != 0;) {
			op = next();
			steps[(op & 0x7f) % LENGTH(steps)]();
		}
		if (play_left() == 0)
			phase = SETTLING;
		break;
	case SETTLING:
		if (!is_settled()) {
			world_settle();
			must(++rounds < ROUNDS_MAX);
			break;
		}
		part();
		phase = PARTING;
		break;
	case PARTING:
		must(LIST_EMPTY(&broker.clients) && run_queue_count(&broker.queue) == 0 && broker.running == 0);
		world_give_up();
		phase = EMPTYING;
		break;
	case EMPTYING:
		if (!are_cells_free()) {
			world_settle();
			must(++rounds < ROUNDS_MAX);
			break;
		}
		phase = LEAVING;
		hang_up(&door_end);
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

	world_number_guests();
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
try(const uint8_t *data, size_t size)
{
	int door_fd;

	play_begin(data, size);
	world_begin(size);
	for (size_t w = 0; w < WORKERS; w++)
		workers[w].fd = -1;
	turns = rounds = 0;
	phase = PLAYING;
	pair(&door_end, &door_fd, 0);
	if (setjmp(left) == 0)
		serve(&broker, door_fd);
	world_end();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;

	if (!ready)
		world_make();
	ready = true;
	do {
		fuzz_begin();
		try(data, size);
	} while (!fuzz_end());
	return 0;
}
