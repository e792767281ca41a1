/* cell_env.c - see cell_env.h. */
#define _GNU_SOURCE
#include "broker/cell_env.h"

#include <string.h>
#include <unistd.h>

#include "messages.h"
#include "paths.h"

#define TEXT_OF(number) #number
#define URL_OF(port) "http://127.0.0.1:" TEXT_OF(port)
#define RELAY_URL URL_OF(RELAY_PORT)
/* Without brackets: httpx raises an error for "[::1]". */
#define BESIDE_IT "localhost,127.0.0.1,::1"

/* Some programs read the names in upper case, some in lower case. */
static const char *const proxy_env[] = { "HTTP_PROXY=" RELAY_URL, "http_proxy=" RELAY_URL, "HTTPS_PROXY=" RELAY_URL,
	"https_proxy=" RELAY_URL, "NO_PROXY=" BESIDE_IT, "no_proxy=" BESIDE_IT, "NODE_USE_ENV_PROXY=1" };

/* There is no UDP: the resolver uses TCP. */
static const char *const host_env[] = { "RES_OPTIONS=use-vc" };

/* OpenSSL and its users; then programs with a list of their own, which can be replaced. */
static const char *const certificate_env[] = { "SSL_CERT_FILE=" PATH_CERTIFICATES, "CURL_CA_BUNDLE=" PATH_CERTIFICATES,
	"REQUESTS_CA_BUNDLE=" PATH_CERTIFICATES, "NODE_EXTRA_CA_CERTS=" PATH_CERTIFICATES };

static size_t
append(const char **env, size_t count, const char *const *more, size_t more_count)
{
	memcpy(env + count, more, more_count * sizeof *more);
	return count + more_count;
}
#define APPEND(env, count, list) append(env, count, list, sizeof list / sizeof list[0])

size_t
cell_env_network(const struct config *config, const char **env)
{
	size_t count = 0;

	if (config->network == NETWORK_PROXY)
		count = APPEND(env, count, proxy_env);
	else if (config->network == NETWORK_HOST)
		count = APPEND(env, count, host_env);
	return access(PATH_CERTIFICATES, R_OK) == 0 ? APPEND(env, count, certificate_env) : count;
}
