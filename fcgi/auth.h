/*
 * auth.h - which API key a request has, and what that key may have.
 *
 * The client presents its key in X-Api-Key, or in Authorization as "Bearer KEY"; X-Api-Key counts
 * if both are there. nginx passes both on and checks neither.
 */
#ifndef CELLBLOCK_AUTH_H
#define CELLBLOCK_AUTH_H

#include <stdbool.h>

#include "config_key.h"
#include "exchange.h"

/*
 * Find the key that the client presented, and set exchange->key. What it presented is wiped from
 * this process either way. Returns 0; or -1 after the request was answered with 401.
 */
int auth_check(const struct key_list *keys, struct exchange *exchange);

enum auth {
	AUTH_GOOD,
	AUTH_UNKNOWN, /* there is no key, or a wrong one */
	AUTH_EXPIRED,
};

/*
 * The same without an answer. `otherwise`: the name of the key of a request that presents none;
 * NULL: it is that of the open key, if there is one. Sets exchange->key for AUTH_GOOD only.
 */
enum auth auth_find(const struct key_list *keys, struct exchange *exchange, const char *otherwise);

/* Whether the key of a request that passed auth_check may use the routes for operators. */
bool auth_is_operator(const struct exchange *exchange);

/*
 * Hold a parsed request to what its key may have: the language, the limits, and the network with
 * its proxy. A limit that the client did not ask for is lowered to the key's maximum. Returns 0, or
 * -1 with `error` set; the request stays the caller's.
 */
int auth_check_request(const struct config *config, const struct key_config *key, struct run_request *request,
    struct http_error *error);

/* Fill in `share`, by which the runner keeps the account of the key. */
void auth_share(const struct key_config *key, struct run_share *share);

#endif
