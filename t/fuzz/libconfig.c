/*
 * libconfig.c - wraps libconfig (ld --wrap). Its parser leaks the strings that it has read when it
 * finds a syntax error. The daemons exit then; here, where they do not, these leaks must not be
 * taken for the daemons'.
 */
#include <libconfig.h>

#include "fuzz.h"

int __real_config_read_string(config_t *config, const char *text);
int __wrap_config_read_string(config_t *config, const char *text);

int
__wrap_config_read_string(config_t *config, const char *text)
{
	int result = __real_config_read_string(config, text);

	if (result == CONFIG_FALSE)
		fuzz_forgive_leak();
	return result;
}
