/*
 * run_execution.h - one message that has the runner execute a program: the descriptors that are
 * made for it, and the outcome when it has ended. A compilation is one, and a run is one.
 */
#ifndef CELLBLOCK_RUN_EXECUTION_H
#define CELLBLOCK_RUN_EXECUTION_H

#include "run_wait.h"

#define RUN_SENT_FDS 6

/* A run that is under way. */
struct execution {
	bool is_relayed; /* its stdin is a pipe that run_execution_begin leaves empty and open; set before */
	bool collects;
	struct collect_form collect_form;
	int fds[RUN_SENT_FDS], ends[2];
	struct run_input input;
	struct watch watch; /* refers to `input`: the struct stays where it is */
};

/* Whether files of this very program are in the pack: no other cell gets it. */
bool run_uses_pack(const struct run_request *request);

/*
 * Send the message with the descriptors made of `request`. RUN_ENDED: it is under way. *start_over:
 * see run_perform. Call run_execution_finish either way.
 */
enum run_end run_execution_begin(struct execution *execution, struct run *run, struct runner_link *link,
    struct proto_request *message, const struct run_request *request, const struct run_client *client, bool *start_over);

/* Settle the outcome, and close what run_execution_begin has opened. */
void run_execution_finish(struct execution *execution, struct run *run, enum run_end end);

#endif
