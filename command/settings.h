/*
 * settings.h - where the service is, and the key: from options, the environment and a file, in this
 * order. The key is never an option: every user of the host can read the arguments of a process.
 */
#ifndef CELLBLOCK_SETTINGS_H
#define CELLBLOCK_SETTINGS_H

struct settings {
	char *url;    /* without a slash at its end */
	char *key;    /* NULL: none */
	char *ca;     /* a file with certificates of authorities; NULL: the system's */
	long retry_s; /* how long to try again while nothing was run */
};

/*
 * Read the settings. `config`, `url`: what the options say, or NULL. `retry_s`: -1 if no option
 * says it. Exits with EXIT_USE if something is wrong. settings_free releases them.
 */
void settings_read(struct settings *settings, const char *config, const char *url, long retry_s);

/* Release what settings_read has allocated. */
void settings_free(struct settings *settings);

#endif
