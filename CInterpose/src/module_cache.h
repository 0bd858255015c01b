/*
 * Libraries that the program has closed, kept for its return.
 *
 * The agent holds a reference of its own on each; the program's calls of dlopen and dlclose all reach ld.so, whose count of
 * references is the truth: 1 means that only the agent's is left. So nothing has to be done after a dlopen, and whatever the
 * threads of a program do in which order, its references are its own.
 *
 * An entry is FREE, HELD, or BUSY while one thread looks at it or gives it up; only that one may look at its object, and it
 * never waits for anything but ld.so then. BUSY entries are passed by, but by a dlopen that may mean them, which waits a moment.
 */
#ifndef MLOS_MODULE_CACHE_H
#define MLOS_MODULE_CACHE_H

#include "module_rules.h"

struct mlos_kept {
  _Atomic uint32_t state;
  uint32_t keep; /* enum mlos_keep */
  bool settled;  /* the program has closed it, and it was looked at since */
  bool is_lazy;  /* calls of it are not all bound: opened with RTLD_NOW it might fail */
  uint32_t refusal, refusal_detail;
  struct link_map *_Atomic map;
  uintptr_t load_address;
  uint64_t closed_ns;
  struct mlos_file file;
};

void mlos_cache_start(char *const envp[]);
void mlos_cache_after_fork(void);
/* Closes all for good: a seccomp filter is about to be installed. */
void mlos_cache_empty(void);

/* Before the real dlopen. Closes for good what must not be found by it. */
void mlos_cache_before_open(const char *file, int flags);
/* Around the real dlclose of the program; what the first returns is the second's. */
struct mlos_kept *mlos_cache_before_close(void *handle);
void mlos_cache_after_close(struct mlos_kept *kept);
/* Looks after what the program closed, and after the limit. */
void mlos_cache_settle(void);
/* Writes into the module table what is kept. The caller holds modules_lock. */
void mlos_cache_tell(struct mlos_header *header);

/* For evictions. The entry of a load address or, with 0, of the longest unused, which is then the caller's. NULL: none. */
struct mlos_kept *mlos_cache_take(uintptr_t load_address);
void mlos_cache_put_back(struct mlos_kept *kept);
/* Closes it for good; false: it is still mapped. The entry is free. */
bool mlos_cache_drop(struct mlos_kept *kept);
/* Holds the object, which is open, after all. */
void mlos_cache_hold(struct link_map *map, uint32_t refusal, uint32_t detail, const struct mlos_kept *was);
uint32_t mlos_cache_set_limit(uint64_t limit); /* the one before */
/* A dlopen waits for an entry that somebody has BUSY: whoever only looks gives it back. */
bool mlos_cache_is_wanted(void);
bool mlos_cache_has_busy(void);
bool mlos_cache_is_empty(void);
bool mlos_cache_is_off(void); /* no system call of ours is allowed */

/* Which of the closed ones a change touches. The judge may look at the object. */
typedef bool mlos_judge(const struct mlos_kept *kept, const void *argument);
void mlos_cache_drop_if(mlos_judge *judge, const void *argument);
mlos_judge mlos_cache_is_not_named; /* by the operator */

/* module_cache_open.c */
void mlos_cache_open_after_fork(void);
/* Opened with flags, as far as seen, that make it another library as long as it is loaded. */
bool mlos_cache_is_marked(const char *path);
/* Opened with RTLD_NODELETE once, as far as seen. */
bool mlos_cache_was_pinned(const char *path);

/* module_evict.c */
uint32_t mlos_cache_command(const struct mlos_command *command, int64_t *value);

#endif
