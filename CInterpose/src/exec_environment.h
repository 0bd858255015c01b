/* An environment for exec in which LD_PRELOAD names the agent again. */
#ifndef MLOS_EXEC_ENVIRONMENT_H
#define MLOS_EXEC_ENVIRONMENT_H

#include <stddef.h>

struct mlos_exec_sizes {
  size_t pointers; /* 0: the environment stays as it is */
  size_t bytes;
};
/* Async-signal-safe, allocates nothing. */
struct mlos_exec_sizes mlos_exec_measure(char *const envp[]);
/* pointers and bytes are the caller's, of the measured sizes; the result points into both and into envp. */
void mlos_exec_compose(char *const envp[], char *pointers[], char *bytes);

#endif
