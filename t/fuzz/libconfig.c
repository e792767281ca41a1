/*
 * libconfig.c - around libconfig (ld --wrap). Its parser forgets the strings that it has read when it meets a mistake. The
 * daemons end then; here, where they do not, what it leaks must not be taken for a leak of theirs.
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
