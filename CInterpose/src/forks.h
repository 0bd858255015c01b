/*
 * What a fork must not copy half done: forks wait for it, and it does not begin during a fork.
 *
 * Above all walks of ld.so's lists. glibc's fork gives a child fresh loader locks, but not a fresh dl_load_write_lock, which
 * dl_iterate_phdr holds: a child forked while the agent walks could never load anything. Also the exchange of the segment's
 * pages, during which the counters are in two places, and descriptors that are just being made.
 */
#ifndef MLOS_FORKS_H
#define MLOS_FORKS_H

#include <stdbool.h>

/* False: a thread is forking; whoever can wait for the next occasion does. */
bool mlos_forks_hold(void);
void mlos_forks_release(void);
/* Around a fork. Waits for those who hold it up, at most 100 ms. False: one goes on; the end of the fork is then not told. */
bool mlos_forks_begin(void);
void mlos_forks_in_parent(void);
void mlos_forks_in_child(void);

#endif
