/*
 * policy.h - a seccomp policy: a file such as etc/seccomp/python3.conf, checked, and compiled to
 * BPF by libseccomp.
 *
 * Filters can only be added, never removed, and loading a big one takes 0.1 ms. So a policy is
 * loaded in two parts. A zygote loads `base` before it serves. It allows the calls of its guests,
 * and the dozen calls with which the zygote makes guests, in a form of their own (mark.h). Each
 * guest inherits `base` at no cost, and loads `last`, a small filter that takes away that dozen.
 * The two together are exactly the policy. Guests with more grants come from zygotes with another
 * base.
 *
 * The filter does not decide about a call that a language's base does not list: the kernel asks the
 * runner (seccomp user notification), which denies the call and notes its number.
 *
 * A program that makes no guests (the worker) loads `base` only. Its `last` is empty, and the
 * filter itself denies the calls that it does not list.
 *
 * cellblock-policy(5) describes the files.
 */
#ifndef CELLBLOCK_POLICY_H
#define CELLBLOCK_POLICY_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Additional rights of a run. A set of them is an index into policy.base. */
enum policy_grant {
	GRANT_PROCESSES = 1u << 0, /* more than one process */
	GRANT_NETWORK = 1u << 1,   /* stream sockets */
	GRANT_LOOPBACK = 1u << 2,  /* sockets on a loopback of its own; never together with GRANT_NETWORK */
	GRANT_COUNT = 6            /* the number of sets */
};

#define POLICY_UNIX(grant) (1u << (grant))              /* the bit of a set of grants in `place` */
#define POLICY_UNIX_ALL (POLICY_UNIX(GRANT_COUNT) - 1u) /* all of them */

/*
 * More bits in `place`: how a guest with GRANT_NETWORK has its network. Neither: from its
 * namespace.
 */
#define POLICY_ASKED (1u << GRANT_COUNT)        /* the runner is asked about the rows of "internet" */
#define POLICY_HANDED (1u << (GRANT_COUNT + 1)) /* and it has no socket but those that it is handed, which are connected */

struct bpf {
	struct sock_filter *code;
	size_t count; /* instructions, at most BPF_MAXINSNS; 0: no filter */
};

#define RULE_ARGS 6

/*
 * (argument & mask) == value; with `differs`, argument != value, and the mask is all bits. A mask
 * of 0 matches every argument.
 */
struct rule_match {
	uint64_t mask;
	uint64_t value;
	bool differs;
};

/* A call that no filter decides about, and that is not denied at once either. */
enum policy_question {
	POLICY_ASKS_NOTHING,
	POLICY_ASKS_LOOK,   /* "ask": to look at the network interfaces; denied like any other call, or made */
	POLICY_ASKS_SOCKET, /* "internet": to make a socket, with a network by a proxy */
	POLICY_ANNOUNCES,   /* "announce": a driver ends its program, and the call is made in any case */
};

/* A kind of call, by its arguments. */
struct policy_call {
	int call;
	int error;                     /* of a denied call: the errno with which it fails */
	enum policy_question question; /* of an asked one */
	struct rule_match arg[RULE_ARGS];
};

struct policy {
	char *name;
	unsigned holders;      /* that policy_free has not been called for */
	unsigned filter_users; /* that policy_forget_filters has not been called for either */
	struct bpf base[GRANT_COUNT];
	struct bpf last;
	struct policy_call *denial; /* denied with another errno than EPERM; the first that fits a call decides */
	size_t denials;
	struct policy_call *asked; /* the runner is asked about these */
	size_t asked_count;
};

/*
 * Read DIR/NAME.conf and the files that it includes, and compile them. `place` says where its
 * guests are: POLICY_UNIX of the sets of grants whose guests have the rows of "unix", because no
 * abstract name of a socket leads out of their cells, for a filter cannot look at names; and
 * POLICY_ASKED and POLICY_HANDED. Returns a policy for policy_free; or NULL with one line in
 * `error`: FILE:LINE, the fault, and the allowed values.
 */
struct policy *policy_load(const char *dir, const char *name, unsigned place, char *error, size_t error_size);

/*
 * The errno with which a denied call fails. `args`: RULE_ARGS of them, as in struct
 * seccomp_data.
 */
int policy_denial_error(const struct policy *policy, int call, const uint64_t *args);

/*
 * The question to the runner that a call stands for. `has_proxy`: the policy was loaded with
 * POLICY_ASKED, and the caller has GRANT_NETWORK. POLICY_ASKS_NOTHING: the call is denied.
 */
enum policy_question policy_question(const struct policy *policy, int call, const uint64_t *args, bool has_proxy);

/* Share a policy, whose filters are still there. Returns it; each holder calls policy_free. */
struct policy *policy_hold(struct policy *policy);

/* Give up a policy, which may be NULL. The last holder frees it. */
void policy_free(struct policy *policy);

/*
 * A holder that has written the filters out needs them no more. They are freed when none does. The
 * denials stay.
 */
void policy_forget_filters(struct policy *policy);

#endif
