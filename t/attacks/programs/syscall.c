/*
 * syscall.c - makes one system call, and prints its result or the name of its error.
 *
 * usage: [int80|x32] NUMBER ARGUMENT...
 *
 * An argument is a number, @TEXT (a pointer to it), &N (a pointer to N zero bytes), %NUMBER (a
 * pointer to that number, followed by zeros), ^FILE (a descriptor of it, open for reading), or pipe
 * or pair (a descriptor of one).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static long
value(const char *text)
{
	int fds[2];
	long *cell;

	switch (text[0]) {
	case '@':
		return (long)(text + 1);
	case '&':
		return (long)calloc(1, strtoul(text + 1, NULL, 0));
	case '^':
		return open(text + 1, O_RDONLY);
	case '%':
		cell = calloc(64, sizeof *cell);
		cell[0] = strtol(text + 1, NULL, 0);
		return (long)cell;
	case 'p':
		if (strcmp(text, "pipe") == 0)
			return pipe(fds) == 0 ? fds[1] : -1;
		if (strcmp(text, "pair") == 0)
			return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 ? fds[0] : -1;
	}
	return (long)strtoull(text, NULL, 0);
}

int
main(int argc, char **argv)
{
	long a[7] = { 0 }, result;
	pid_t me = getpid();
	int first = 1;

	if (argc > 1 && (strcmp(argv[1], "int80") == 0 || strcmp(argv[1], "x32") == 0))
		first = 2;
	for (int i = first; i < argc && i - first < 7; i++)
		a[i - first] = value(argv[i]);
	errno = 0;
	if (first == 2 && argv[1][0] == 'i') {
#ifdef __x86_64__
		/*
		 * The 32-bit entry. It answers in its own way: a small negative number is an error.
		 */
		__asm__ volatile("int $0x80"
		                 : "=a"(result)
		                 : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3])
		                 : "memory", "r8", "r9", "r10", "r11");
		if ((int)result < 0 && (int)result > -4096) {
			errno = -(int)result;
			result = -1;
		}
#else
		return 3;
#endif
	} else {
		result = syscall(first == 2 ? a[0] | 0x40000000 : a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	}
	if (getpid() != me) {
		puts("escaped: a second process");
		return 0;
	}
	if (result == -1)
		printf("-1 %s\n", strerrorname_np(errno));
	else
		printf("returned %ld\n", result);
	return 0;
}
