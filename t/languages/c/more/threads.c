#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_long sum;

static void *
add(void *number)
{
	for (long i = 0; i < 1000; i++)
		sum += (long)number;
	return NULL;
}

int
main(void)
{
	pthread_t thread[32];

	for (long i = 0; i < 32; i++) {
		if (pthread_create(&thread[i], NULL, add, (void *)(i + 1)) != 0)
			return 1;
	}
	for (int i = 0; i < 32; i++)
		pthread_join(thread[i], NULL);
	printf("%ld\n", sum);
	return 0;
}
