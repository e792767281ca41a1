/*
 * policy_directory.h - a directory for the policy files of a test, and that of the shipped ones.
 */
#ifndef CELLBLOCK_POLICY_DIRECTORY_H
#define CELLBLOCK_POLICY_DIRECTORY_H

#define POLICY_DIRECTORY_SIZE 64

extern char policy_directory[POLICY_DIRECTORY_SIZE];
extern char policy_path[POLICY_DIRECTORY_SIZE + 16];       /* of the policy "p" in it */
extern char policy_other_path[POLICY_DIRECTORY_SIZE + 16]; /* of the policy "other" */
extern char policy_shipped[512];

/* For cmocka: the group's set-up and its end. */
int policy_directory_make(void **state);
int policy_directory_remove(void **state);

void policy_directory_write(const char *path, const char *text);

#endif
