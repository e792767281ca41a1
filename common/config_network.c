/* config_network.c - see config_network.h. cellblock.conf(5) describes the tables below. */
#define _GNU_SOURCE
#include "config_network.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 1024
#define ADDRESS_BYTES 300

/* "HOST:PORT", with an IPv6 address in brackets. */
static bool
is_address(const char *text)
{
	const char *port = strrchr(text, ':');
	size_t host = port == NULL ? 0 : (size_t)(port - text);
	const char *known = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	long number = 0;

	if (host > 2 && text[0] == '[' && text[host - 1] == ']') {
		known = "abcdefABCDEF0123456789:.";
		text++;
		host -= 2;
	}
	if (host == 0 || strspn(text, known) != host)
		return false;
	for (const char *digit = ++port; *digit != '\0'; digit++) {
		if (!isdigit((unsigned char)*digit) || (number = number * 10 + (*digit - '0')) > 65535)
			return false;
	}
	return number > 0;
}

/* "none" is reserved: a key to which it is given has no network. */
static bool
is_proxy_name(const char *text)
{
	return conf_form_name.fits(text) && strcmp(text, PROXY_NONE) != 0;
}

static const struct conf_form form_address = { is_address, "HOST:PORT" };
static const struct conf_form form_proxy_name = { is_proxy_name,
	"up to 31 letters, digits and ._+#-, the first a letter or digit, but not \"" PROXY_NONE "\"" };

static const char *const network_names[] = { [NETWORK_NONE] = "none", [NETWORK_PROXY] = "proxy", [NETWORK_HOST] = "host", NULL };

#define AT(member) .offset = offsetof(struct config, member)

const struct conf_key config_network_keys[] = {
	{ .name = "mode", .type = CONF_CHOICE, AT(network), .choices = network_names, .number = NETWORK_NONE },
	{ .name = "strict", .type = CONF_BOOL, AT(network_strict), .number = false },
	{ .name = "loopback", .type = CONF_BOOL, AT(loopback), .number = true },
	{ .name = "proxies", .type = CONF_LIST, .min = 1, .max = CONFIG_MAX_PROXIES },
	{ .name = "certificates",
	    .type = CONF_PATH,
	    AT(certificates),
	    .max = PATH_BYTES,
	    .string = "/etc/ssl/certs/ca-certificates.crt" },
	{ .name = "connections", .type = CONF_UINT32, AT(connections), .min = 1, .max = 1024, .number = 32 },
	{ .name = "armed", .type = CONF_UINT32, AT(network_armed), .min = 0, .max = 4096, .number = 2 },
	{ .name = NULL },
};

#undef AT
#define AT(member) .offset = offsetof(struct proxy_config, member)

static const struct conf_key proxy_keys[] = {
	{ .name = "name", .type = CONF_STRING, .required = true, AT(name), .max = PROTO_NAME_SIZE - 1, .form = &form_proxy_name },
	{ .name = "address", .type = CONF_STRING, .required = true, AT(address), .max = ADDRESS_BYTES, .form = &form_address },
	{ .name = NULL },
};

int
config_network_read(const struct conf_file *file, struct config *config)
{
	const config_setting_t *network = config_lookup(&file->parsed, "network");

	for (unsigned i = 0; network != NULL && i < conf_list_count(network, "proxies"); i++) {
		const config_setting_t *group = conf_list_element(network, "proxies", i);
		struct proxy_config *proxy = &config->proxy[config->proxy_count++];

		if (conf_schema_read(file, group, proxy_keys, proxy) != 0)
			return -1;
		if (config_network_find_proxy(config, proxy->name) != (int)i)
			return conf_file_fail(file, group, "network.proxies[%u].name: duplicate name \"%s\"", i, proxy->name);
	}
	if (config->network == NETWORK_PROXY && config->proxy_count == 0)
		return conf_file_fail(file, config_lookup(&file->parsed, "network.mode"),
		    "network.proxies is missing; required with mode = \"proxy\"");
	return 0;
}

int
config_network_find_proxy(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->proxy_count; i++) {
		if (strcmp(config->proxy[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

void
config_network_free(struct config *config)
{
	for (size_t i = 0; i < config->proxy_count; i++)
		conf_schema_free(proxy_keys, &config->proxy[i]);
}
