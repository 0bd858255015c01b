/* What the agent's own threads need of the pthread functions. */
#ifndef MLOS_THREADS_H
#define MLOS_THREADS_H

#include "agent.h"
#include <pthread.h>
#include <time.h>

/* They live in libpthread before glibc 2.34; a program without it gets no thread. */
struct mlos_pthread {
  int (*init)(pthread_attr_t *);
  int (*set_stack)(pthread_attr_t *, void *, size_t);
  int (*destroy)(pthread_attr_t *);
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  int (*join)(pthread_t, void **, const struct timespec *);
  int (*detach)(pthread_t);
};
mlos_private extern struct mlos_pthread mlos_pthread;

/* How long an end of a thread is waited for. */
#define MLOS_JOIN_MS 100u

/* Walks the loader's lists the first time: called while no fork is under way (forks.h). */
bool mlos_threads_find(void);
/* Blocks all signals but the two that glibc's own thread calls need; returns what was blocked before. */
uint64_t mlos_threads_block_signals(void);
void mlos_threads_restore_signals(uint64_t before);
bool mlos_threads_join(pthread_t thread); /* within MLOS_JOIN_MS */

#endif
