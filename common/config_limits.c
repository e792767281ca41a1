/* config_limits.c - see config_limits.h. cellblock.conf(5) describes these tables. */
#include "config_limits.h"

#include <inttypes.h>
#include <string.h>

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
#define DAY_MS 86400000
#define PROCESSES 64 /* enough for pipelines, make, and pools of processes */

/* The default and the maximum of one limit. config_limits_check relies on this order. */
#define LIMIT_KEYS(field, least, most, default_value, maximum_value) \
	static const struct conf_key field##_keys[] = { \
		{ .name = "default", \
		    .type = CONF_UINT64, \
		    .offset = offsetof(struct limits_config, default_.field), \
		    .min = (least), \
		    .max = (most), \
		    .number = (default_value) }, \
		{ .name = "maximum", \
		    .type = CONF_UINT64, \
		    .offset = offsetof(struct limits_config, maximum.field), \
		    .min = (least), \
		    .max = (most), \
		    .number = (maximum_value) }, \
		{ .name = NULL }, \
	}
LIMIT_KEYS(wall_ms, 1, DAY_MS, 15000, 120000);
LIMIT_KEYS(cpu_ms, 1, DAY_MS, 15000, 120000);
LIMIT_KEYS(memory_bytes, MIB(1), GIB(1024), MIB(256), GIB(1));
LIMIT_KEYS(processes, 1, 32768, 0, 512); /* the default: config_limits_settle */
LIMIT_KEYS(threads, 1, 32768, 128, 1024);
LIMIT_KEYS(open_files, RUN_LIMITS_MIN_OPEN_FILES, 1048576, 1024, 4096);
LIMIT_KEYS(inodes, RUN_LIMITS_MIN_INODES, 16777216, 4096, 65536);
LIMIT_KEYS(stack_bytes, RUN_LIMITS_MIN_STACK_BYTES, GIB(1024), 0, GIB(1)); /* the same */
LIMIT_KEYS(output_bytes, 1, GIB(1), MIB(32), MIB(64));
LIMIT_KEYS(disk_bytes, KIB(4), GIB(1024), MIB(64), MIB(512));

const struct conf_key config_limits_keys[] = {
	{ .name = "wall_ms", .type = CONF_GROUP, .keys = wall_ms_keys },
	{ .name = "cpu_ms", .type = CONF_GROUP, .keys = cpu_ms_keys },
	{ .name = "memory_bytes", .type = CONF_GROUP, .keys = memory_bytes_keys },
	{ .name = "processes", .type = CONF_GROUP, .keys = processes_keys },
	{ .name = "threads", .type = CONF_GROUP, .keys = threads_keys },
	{ .name = "open_files", .type = CONF_GROUP, .keys = open_files_keys },
	{ .name = "inodes", .type = CONF_GROUP, .keys = inodes_keys },
	{ .name = "stack_bytes", .type = CONF_GROUP, .keys = stack_bytes_keys },
	{ .name = "output_bytes", .type = CONF_GROUP, .keys = output_bytes_keys },
	{ .name = "disk_bytes", .type = CONF_GROUP, .keys = disk_bytes_keys },
	{ .name = NULL },
};

/* A limit of a compiler. */
#define COMPILE_KEY(field, least, most, value) \
	{ \
		.name = #field, .type = CONF_UINT64, .offset = offsetof(struct run_limits, field), .min = (least), \
		.max = (most), .number = (value) \
	}

const struct conf_key config_compile_limits_keys[] = {
	COMPILE_KEY(wall_ms, 1, DAY_MS, 30000),
	COMPILE_KEY(cpu_ms, 1, DAY_MS, 30000),
	COMPILE_KEY(memory_bytes, MIB(1), GIB(1024), GIB(1)),
	COMPILE_KEY(processes, 1, 32768, 64),
	COMPILE_KEY(threads, 0, 32768, 0),
	COMPILE_KEY(open_files, RUN_LIMITS_MIN_OPEN_FILES, 1048576, 1024),
	COMPILE_KEY(inodes, RUN_LIMITS_MIN_INODES, 16777216, 4096),
	COMPILE_KEY(stack_bytes, RUN_LIMITS_MIN_STACK_BYTES, GIB(1024), MIB(8)),
	COMPILE_KEY(output_bytes, 1, GIB(1), MIB(1)),
	COMPILE_KEY(disk_bytes, KIB(4), GIB(1024), MIB(256)),
	{ .name = NULL },
};

int
config_limits_check(const struct conf_file *file, const struct limits_config *limits)
{
	for (const struct conf_key *key = config_limits_keys; key->name != NULL; key++) {
		uint64_t default_, maximum;
		const config_setting_t *at;

		memcpy(&default_, (const char *)limits + key->keys[0].offset, sizeof default_);
		memcpy(&maximum, (const char *)limits + key->keys[1].offset, sizeof maximum);
		if (default_ <= maximum)
			continue;
		/* This file sets the limit: values that it inherited have passed this check. */
		at = config_setting_get_member(config_lookup(&file->parsed, "limits"), key->name);
		return conf_file_fail(file, at, "limits.%s: default %" PRIu64 " is above the maximum; allowed: up to %" PRIu64,
		    key->name, default_, maximum);
	}
	return 0;
}

void
config_limits_settle(struct limits_config *limits, bool has_groups)
{
	uint64_t usual = has_groups ? PROCESSES : 1;

	if (limits->default_.processes == 0)
		limits->default_.processes = usual < limits->maximum.processes ? usual : limits->maximum.processes;
}
