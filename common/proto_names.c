/* proto_names.c - the names of the values of proto.h, as in API.md. */
#include "proto.h"

static const char *const verdict_names[VERDICT_COUNT] = {
	[VERDICT_OK] = "ok",
	[VERDICT_EXIT] = "exit",
	[VERDICT_SIGNAL] = "signal",
	[VERDICT_TIMEOUT] = "timeout",
	[VERDICT_CPU_LIMIT] = "cpu_limit",
	[VERDICT_MEMORY_LIMIT] = "memory_limit",
	[VERDICT_OUTPUT_LIMIT] = "output_limit",
	[VERDICT_PROCESS_LIMIT] = "process_limit",
	[VERDICT_DISK_LIMIT] = "disk_limit",
	[VERDICT_DENIED] = "denied",
	[VERDICT_COMPILE_ERROR] = "compile_error",
	[VERDICT_CANCELLED] = "cancelled",
};

const char *
proto_verdict_name(enum verdict v)
{
	return (unsigned)v < VERDICT_COUNT ? verdict_names[v] : "signal";
}

const char *
proto_start_name(enum start_kind s)
{
	switch (s) {
	case START_SPARE:
		return "spare";
	case START_COLD:
		return "cold";
	case START_ZYGOTE:
		break;
	}
	return "zygote";
}

const char *
proto_level_name(enum level l)
{
	return l == LEVEL_CHROOT ? "chroot" : "namespaces";
}

const char *
proto_network_name(enum network n)
{
	switch (n) {
	case NETWORK_PROXY:
		return "proxy";
	case NETWORK_HOST:
		return "host";
	case NETWORK_LOOPBACK:
		return "loopback";
	case NETWORK_NONE:
		break;
	}
	return "none";
}
