/* See threads.h. */
#include "threads.h"
#include "sys.h"
#include <signal.h>

#include "rare.h"

struct mlos_pthread mlos_pthread;

/* Several threads may be at it at once: they find the same. The last field is written last. */
bool mlos_threads_find(void) {
  if (__atomic_load_n(&mlos_pthread.join, __ATOMIC_ACQUIRE))
    return true;
  mlos_pthread.init = (int (*)(pthread_attr_t *))mlos_find_anywhere("pthread_attr_init");
  mlos_pthread.set_stack = (int (*)(pthread_attr_t *, void *, size_t))mlos_find_anywhere("pthread_attr_setstack");
  mlos_pthread.destroy = (int (*)(pthread_attr_t *))mlos_find_anywhere("pthread_attr_destroy");
  mlos_pthread.create =
      (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))mlos_find_anywhere("pthread_create");
  mlos_pthread.detach = (int (*)(pthread_t))mlos_find_anywhere("pthread_detach");
  if (mlos_pthread.init && mlos_pthread.set_stack && mlos_pthread.destroy && mlos_pthread.create && mlos_pthread.detach)
    __atomic_store_n(&mlos_pthread.join,
                     (int (*)(pthread_t, void **, const struct timespec *))mlos_find_anywhere("pthread_timedjoin_np"),
                     __ATOMIC_RELEASE);
  return mlos_pthread.join != NULL;
}

uint64_t mlos_threads_block_signals(void) {
  uint64_t all = ~(1ULL << (32 - 1) | 1ULL << (33 - 1)), before;
  mlos_sys(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof before);
  return before;
}

void mlos_threads_restore_signals(uint64_t before) {
  mlos_sys(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0, sizeof before);
}

bool mlos_threads_join(pthread_t thread) {
  struct timespec limit;
  clock_gettime(CLOCK_REALTIME, &limit);
  limit.tv_nsec += (long)MLOS_JOIN_MS * 1000000;
  limit.tv_sec += limit.tv_nsec / 1000000000;
  limit.tv_nsec %= 1000000000;
  return mlos_pthread.join(thread, NULL, &limit) == 0;
}
#pragma clang attribute pop
