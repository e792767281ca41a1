/* driver.c - see driver.h. */
#include "driver.h"

#include <stddef.h>
#include <string.h>

#include "paths.h"

static const struct driver drivers[] = {
	{ "python3", { "-iq" }, 'q', { "PYTHONSTARTUP=" PATH_BOX "/driver.py" }, "probe.py", { "-I", "-" } },
	{ "nodejs", { PATH_BOX "/main.js" }, '\0', { "LD_PRELOAD=" PATH_BOX "/start.so", "UV_USE_IO_URING=0" }, "probe.js",
	    { "-" } },
};

const struct driver *
driver_find(const char *name)
{
	for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
		if (strcmp(drivers[i].name, name) == 0)
			return &drivers[i];
	}
	return NULL;
}
