/*
 * policy.h - a seccomp policy: a file such as etc/seccomp/python3.conf, checked, and compiled to BPF by libseccomp.
 *
 * A filter can only be narrowed, and loading a big one costs 0.1 ms, so a policy is loaded in two parts. A zygote loads
 * `base` before it serves: all that its guests may call, and the dozen calls with which it makes guests (in a form of
 * their own, see mark.h). Each guest inherits it for nothing, and loads `last`, which is small, to lose that dozen. What
 * is left is exactly the policy. Guests that are granted more come from zygotes with a base of their own.
 *
 * A call that a language's base does not know is not refused by the filter: the kernel asks the runner (seccomp's user
 * notification), which refuses it and remembers its name.
 *
 * A program that makes no guests (the worker) loads `base` and is done; its `last` is empty, and what its base does not
 * know is refused at once.
 *
 * The files are described in cellblock-policy(5).
 */
#ifndef CELLBLOCK_POLICY_H
#define CELLBLOCK_POLICY_H

#include <linux/filter.h>
#include <stddef.h>

/* What a run may be granted on top; an index into policy.base. */
enum policy_grant {
	GRANT_PROCESSES = 1u << 0, /* more than one process */
	GRANT_NETWORK = 1u << 1,   /* stream sockets */
	GRANT_COUNT = 1u << 2      /* combinations */
};

struct bpf {
	struct sock_filter *code;
	size_t count; /* instructions, at most BPF_MAXINSNS; 0: no filter is needed */
};

struct policy {
	char *name;
	struct bpf base[GRANT_COUNT];
	struct bpf last;
};

/*
 * Read DIR/NAME.conf and what it includes, and compile it. Returns a policy for policy_free, or NULL with one line in
 * `error` (FILE:LINE: what is wrong, and what is allowed).
 */
struct policy *policy_load(const char *dir, const char *name, char *error, size_t error_size);

void policy_free(struct policy *policy);

#endif
