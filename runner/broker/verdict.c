/* verdict.c - see verdict.h. Runs in the broker. */
#include "broker/verdict.h"

#include <signal.h>
#include <sys/wait.h>

#include "messages.h"

void
verdict_judge(const struct run_facts *facts, struct run_result *result)
{
	static const enum verdict ended_by_us[] = {
		[END_WALL] = VERDICT_TIMEOUT,
		[END_CPU] = VERDICT_CPU_LIMIT,
		[END_CLIENT_GONE] = VERDICT_CANCELLED,
		[END_OUTPUT] = VERDICT_OUTPUT_LIMIT,
		[END_DISK] = VERDICT_DISK_LIMIT,
	};
	bool exited = WIFEXITED(facts->wait_status);
	int signal = exited ? 0 : WTERMSIG(facts->wait_status);
	bool by_itself = facts->end == END_ITSELF, is_late = facts->end == END_WALL || facts->end == END_CPU;

	result->exit_code = exited ? WEXITSTATUS(facts->wait_status) : -1;
	/* A guest that was asked for its last words ends in its own way, if it was not killed. */
	result->signal = signal == GUEST_OUT_OF_MEMORY || is_late ? SIGKILL : signal;
	/* A program that came to its end by itself in good order has hit no limit that mattered. */
	if (by_itself && exited && result->exit_code == 0) {
		result->verdict = VERDICT_OK;
		return;
	}
	if (!by_itself)
		result->verdict = ended_by_us[facts->end];
	else if (facts->out_of_memory || signal == GUEST_OUT_OF_MEMORY)
		result->verdict = VERDICT_MEMORY_LIMIT;
	else if (signal == SIGXCPU || (signal == SIGKILL && facts->cpu_us >= facts->cpu_limit_ms * 1000))
		result->verdict = VERDICT_CPU_LIMIT;
	else if (signal == SIGSYS)
		result->verdict = VERDICT_DENIED;
	else if (facts->disk_full != DISK_FULL_NOT || signal == SIGXFSZ)
		result->verdict = VERDICT_DISK_LIMIT;
	else if (facts->fork_refused)
		result->verdict = VERDICT_PROCESS_LIMIT;
	else
		result->verdict = exited ? VERDICT_EXIT : VERDICT_SIGNAL;
	result->inodes_full = result->verdict == VERDICT_DISK_LIMIT && facts->disk_full == DISK_FULL_INODES;
	/*
	 * Where a limit is the cause, API.md has exit code -1; where the program met a full disk or
	 * a refused fork and gave up by itself, its own exit code is the better word.
	 */
	if (!by_itself || result->verdict == VERDICT_MEMORY_LIMIT || result->verdict == VERDICT_CPU_LIMIT)
		result->exit_code = -1;
}
