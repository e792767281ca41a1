/* network.c - see network.h. */
#define _GNU_SOURCE
#include "network.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "relay.h"

#define CERTIFICATES "/etc/ssl/certs/ca-certificates.crt" /* in the root, wherever it is on the host */
#define TEXT_OF(number) #number
#define URL_OF(port) "http://127.0.0.1:" TEXT_OF(port)
#define RELAY_URL URL_OF(RELAY_PORT)
#define BESIDE_IT "localhost,127.0.0.1,[::1]"

/* Some programs look for the one case, some for the other. */
static const char *const proxy_env[] = {
	"HTTP_PROXY=" RELAY_URL, "http_proxy=" RELAY_URL, "HTTPS_PROXY=" RELAY_URL, "https_proxy=" RELAY_URL,
	"NO_PROXY=" BESIDE_IT, "no_proxy=" BESIDE_IT, "NODE_USE_ENV_PROXY=1"
};

/* There is no UDP: names are asked for by TCP. */
static const char *const host_env[] = { "RES_OPTIONS=use-vc" };

/* OpenSSL and what uses it; then those that bring a list of their own along and can be told better. */
static const char *const certificate_env[] = {
	"SSL_CERT_FILE=" CERTIFICATES, "CURL_CA_BUNDLE=" CERTIFICATES, "REQUESTS_CA_BUNDLE=" CERTIFICATES,
	"NODE_EXTRA_CA_CERTS=" CERTIFICATES
};

int
network_add_root(struct rootfs *fs, const struct config *config, char *error, size_t size)
{
	if (config->network == NETWORK_NONE)
		return 0;
	if (access(config->certificates, R_OK) == 0 && rootfs_add_at(fs, CERTIFICATES, config->certificates, error, size) != 0)
		return -1;
	if (config->network == NETWORK_PROXY)
		/* No name is ever asked for: the proxy does that. */
		return rootfs_add_text(fs, "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", error, size) != 0 ||
		    rootfs_add_text(fs, "/etc/nsswitch.conf", "hosts: files\n", error, size) != 0 ? -1 : 0;
	return rootfs_add(fs, "/etc/hosts", error, size) != 0 || rootfs_add(fs, "/etc/resolv.conf", error, size) != 0 ||
	    rootfs_add_text(fs, "/etc/nsswitch.conf", "hosts: files dns\n", error, size) != 0 ? -1 : 0;
}

static size_t
append(const char **env, size_t count, const char *const *more, size_t more_count)
{
	memcpy(env + count, more, more_count * sizeof *more);
	return count + more_count;
}
#define APPEND(env, count, list) append(env, count, list, sizeof list / sizeof list[0])

size_t
network_env(const struct config *config, const char **env)
{
	size_t count = 0;

	if (config->network == NETWORK_PROXY)
		count = APPEND(env, count, proxy_env);
	else if (config->network == NETWORK_HOST)
		count = APPEND(env, count, host_env);
	return access(CERTIFICATES, R_OK) == 0 ? APPEND(env, count, certificate_env) : count;
}

const char *
network_in_words(enum network mode)
{
	static const char *const words[] = {
		[NETWORK_NONE] = "one for all cells, empty, its loopback down; sockets refused",
		[NETWORK_PROXY] = "one for each cell whose run asked for a network: its loopback, and on it the way to a proxy, "
		                  "TCP alone; for all others one that is empty, sockets refused",
		[NETWORK_HOST] = "NONE for runs that asked for a network: theirs is the host's, TCP alone; for all others one "
		                 "that is empty, sockets refused",
	};

	return words[mode];
}
