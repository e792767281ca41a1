/* threads.c - see threads.h. Runs in a zygote, before it puts up its walls. */
#define _GNU_SOURCE
#include "guest/python3/threads.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

/* OpenBLAS itself calls one of these before a fork. Wheels build it with suffixes. */
static const char *const shutdowns[] = { "blas_thread_shutdown_", "scipy_blas_thread_shutdown_", "blas_thread_shutdown_64_",
	"blas_thread_shutdown_64__", "scipy_blas_thread_shutdown_64_" };

/*
 * For dl_iterate_phdr: end the threads of a library that may be OpenBLAS. Debian calls it libblas.
 */
static int
end_blas(struct dl_phdr_info *object, size_t size, void *unused)
{
	void *library;

	(void)size;
	(void)unused;
	if (strstr(object->dlpi_name, "blas") == NULL)
		return 0;
	library = dlopen(object->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
	for (size_t i = 0; library != NULL && i < sizeof shutdowns / sizeof shutdowns[0]; i++) {
		int (*shutdown)(void) = (int (*)(void))dlsym(library, shutdowns[i]);

		if (shutdown != NULL) {
			shutdown();
			break;
		}
	}
	if (library != NULL)
		dlclose(library);
	return 0;
}

void
threads_end(void)
{
	dl_iterate_phdr(end_blas, NULL);
}
