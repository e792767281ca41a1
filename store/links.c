/*
 * links.c - see links.h. Runs in the store. The peers are processes of this user, and checked all
 * the same.
 */
#define _GNU_SOURCE
#include "links.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdpass.h"
#include "log.h"
#include "log_limit.h"

#define BACKLOG 512
#define BLOCK_BYTES (64 * 1024)
#define NEEDED_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

/* The longest message. */
struct message {
	struct store_request request;
	uint8_t digest[STORE_IDS_MOST][PROTO_DIGEST_SIZE];
};

struct answer {
	struct store_reply reply;
	uint64_t size[STORE_IDS_MOST];
};

struct link {
	int fd;
	char key[PROTO_KEY_NAME_SIZE]; /* for which `bytes` were handed out */
	uint64_t bytes;
	struct link *next, **here; /* of all links */
};

static const struct config *config;
static const struct key_list *keys;
static struct store *store;
static int listen_fd = -1;

/* Of all threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct link *links;
static size_t link_count;
static uint64_t run_bytes;

/* ---- the start --------------------------------------------------------------------------------------------------- */

void
links_begin(const struct config *of, const struct key_list *list, struct store *in, int dir_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask = umask(0177);

	config = of;
	keys = list;
	store = in;
	if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/" STORE_SOCKET, config->store_dir) >=
	    sizeof address.sun_path)
		die("files.store: %s: the path is too long for a socket below it", config->store_dir);
	if (unlinkat(dir_fd, STORE_SOCKET, 0) != 0 && errno != ENOENT)
		die("%s: %s", address.sun_path, strerror(errno));
	listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(listen_fd, BACKLOG) != 0)
		die("%s: %s", address.sun_path, strerror(errno));
	umask(mask);
}

void
links_end(int dir_fd)
{
	unlinkat(dir_fd, STORE_SOCKET, 0);
}

uint64_t
links_quota(const char *key)
{
	for (size_t i = 0; i < keys->count; i++) {
		if (strcmp(keys->key[i].name, key) == 0)
			return keys->key[i].store_bytes;
	}
	return config->store_key_bytes; /* its file is gone, and its request began before */
}

uint64_t
links_run_bytes(void)
{
	uint64_t bytes;

	pthread_mutex_lock(&lock);
	bytes = run_bytes;
	pthread_mutex_unlock(&lock);
	return bytes;
}

/* ---- a connection ------------------------------------------------------------------------------------------------ */

static bool
is_ours(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

/* Accept a connection, if there is one. */
static void
accept_link(int epoll_fd)
{
	static struct log_limit limit;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct link *link = fd < 0 ? NULL : calloc(1, sizeof *link);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = link };

	if (fd < 0)
		return;
	pthread_mutex_lock(&lock);
	if (link != NULL && link_count < LINKS_MOST && is_ours(fd) && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) {
		link->fd = fd;
		link->next = links;
		link->here = &links;
		if (links != NULL)
			links->here = &link->next;
		links = link;
		link_count++;
		link = NULL;
		fd = -1;
	}
	pthread_mutex_unlock(&lock);
	if (fd >= 0) {
		log_limit_warn(&limit, "files.store: a connection is refused: there are %d, or it is not of this user",
		    LINKS_MOST);
		close(fd);
	}
	free(link);
}

static void
close_link(struct link *link)
{
	pthread_mutex_lock(&lock);
	*link->here = link->next;
	if (link->next != NULL)
		link->next->here = link->here;
	link_count--;
	run_bytes -= link->bytes;
	pthread_mutex_unlock(&lock);
	close(link->fd);
	free(link);
}

/*
 * Count what a run is about to have. A key may have half of all, so that no key keeps the others
 * from their files.
 */
static bool
lend(struct link *link, const char *key, uint64_t size)
{
	uint64_t of_key = size;
	bool may;

	pthread_mutex_lock(&lock);
	for (const struct link *other = links; other != NULL; other = other->next) {
		if (other->bytes > 0 && strcmp(other->key, key) == 0)
			of_key += other->bytes;
	}
	may = of_key <= config->store_run_bytes / 2 && run_bytes + size <= config->store_run_bytes &&
	    (link->bytes == 0 || strcmp(link->key, key) == 0);
	if (may) {
		memcpy(link->key, key, sizeof link->key);
		link->bytes += size;
		run_bytes += size;
	}
	pthread_mutex_unlock(&lock);
	return may;
}

static void
find_files(const struct message *message, struct answer *answer)
{
	for (uint32_t i = 0; i < message->request.count; i++)
		answer->size[i] = store_find(store, message->request.key, message->digest[i]);
}

/* Returns the descriptor of the file, or -1. */
static int
open_file(struct link *link, const struct store_request *request, struct store_reply *reply)
{
	int fd = store_get(store, request->key, request->digest, &reply->size);

	if (fd < 0) {
		reply->fault = STORE_UNKNOWN;
	} else if (!lend(link, request->key, reply->size)) {
		reply->fault = STORE_BUSY;
		fdpass_close(&fd, 1);
	}
	return fd;
}

/* Copy from a memfd that nobody can change any more. */
static enum store_fault
copy(struct store_upload *upload, int fd, uint64_t at, uint64_t size)
{
	char block[BLOCK_BYTES];

	while (size > 0) {
		ssize_t n = pread(fd, block, size < sizeof block ? size : sizeof block, (off_t)at);
		enum store_fault fault;

		if (n <= 0)
			return STORE_FAILED;
		fault = store_write(store, upload, block, (size_t)n);
		if (fault != STORE_OK)
			return fault;
		at += (uint64_t)n;
		size -= (uint64_t)n;
	}
	return STORE_OK;
}

static enum store_fault
keep_file(const struct store_request *request, int fd, struct store_reply *reply)
{
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	struct store_upload upload;
	enum store_fault fault;
	struct stat st;

	if (seals < 0 || (seals & NEEDED_SEALS) != NEEDED_SEALS || fstat(fd, &st) != 0 ||
	    request->offset > (uint64_t)st.st_size || request->size > (uint64_t)st.st_size - request->offset)
		return STORE_FAILED;
	fault = store_begin(store, request->key, links_quota(request->key), 0, request->size, &upload);
	if (fault != STORE_OK)
		return fault;
	fault = copy(&upload, fd, request->offset, request->size);
	if (fault != STORE_OK) {
		store_drop(store, &upload);
		return fault;
	}
	fault = store_commit(store, &upload, reply->digest);
	if (fault == STORE_OK && request->count == 1)
		fault = store_name(store, request->key, links_quota(request->key), request->digest, reply->digest);
	return fault;
}

/* Whether a message is one of the protocol. */
static bool
is_well_formed(const struct message *message, ssize_t size)
{
	const struct store_request *request = &message->request;
	size_t more = 0;

	if (size < (ssize_t)sizeof *request || memchr(request->key, '\0', sizeof request->key) == NULL)
		return false;
	if (request->kind == STORE_FIND) {
		if (request->count > STORE_IDS_MOST)
			return false;
		more = request->count * sizeof message->digest[0];
	}
	if (request->kind == STORE_KEEP && request->count > 1)
		return false;
	/* The name becomes that of a directory. */
	return (size_t)size == sizeof *request + more && (request->kind == STORE_FIGURES || config_key_is_name(request->key));
}

/* Answer a message. Returns false if the connection is at its end. */
static bool
serve_link(struct link *link)
{
	struct message message;
	struct answer answer = { .reply = { .kind = 0 } };
	size_t fd_count, size = sizeof answer.reply;
	int given = -1, sent = -1;
	ssize_t n = fdpass_recv(link->fd, &message, sizeof message, &given, 1, &fd_count, NULL);
	bool is_good;

	if (n < 0 && errno == EAGAIN)
		return true;
	is_good = n > 0 && is_well_formed(&message, n) && (fd_count == 1) == (message.request.kind == STORE_KEEP);
	answer.reply.kind = is_good ? message.request.kind : 0;
	switch (answer.reply.kind) {
	case STORE_FIND:
		find_files(&message, &answer);
		size += message.request.count * sizeof answer.size[0];
		break;
	case STORE_OPEN:
		sent = open_file(link, &message.request, &answer.reply);
		break;
	case STORE_KEEP:
		answer.reply.fault = keep_file(&message.request, given, &answer.reply);
		break;
	case STORE_RESOLVE:
		answer.reply.fault = store_resolve(store, message.request.key, message.request.digest, answer.reply.digest);
		break;
	case STORE_FIGURES:
		store_figures(store, &answer.reply.figures);
		answer.reply.figures.run_bytes = links_run_bytes();
		break;
	default:
		is_good = false;
	}
	is_good = is_good && fdpass_send_patiently(link->fd, &answer, size, &sent, sent >= 0) == 0;
	fdpass_close(&sent, 1);
	if (fd_count > 0)
		fdpass_close(&given, 1);
	return is_good;
}

void
links_serve(int stop_fd)
{
	struct epoll_event listening = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &listen_fd };
	struct epoll_event stop = { .events = EPOLLIN, .data.ptr = NULL }, event;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &listening) != 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, stop_fd, &stop) != 0)
		die("epoll: %s", strerror(errno));
	for (;;) {
		int n = epoll_wait(epoll_fd, &event, 1, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait: %s", strerror(errno));
		if (n <= 0)
			continue;
		if (event.data.ptr == NULL)
			return;
		if (event.data.ptr == &listen_fd)
			accept_link(epoll_fd);
		else if (!serve_link(event.data.ptr))
			close_link(event.data.ptr);
	}
}
