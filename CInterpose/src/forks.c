/* See forks.h. */
#include "forks.h"
#include "agent.h"
#include "sys.h"
#include <limits.h>
#include <linux/futex.h>
#include <time.h>

#include "rare.h"

/* What is held up takes microseconds, but may itself wait for a lock that the forking thread holds. */
#define FORK_WAIT_MS 100u

/* > 0: so many threads hold forks up; < 0: so many fork. */
static _Atomic int32_t use;
static _Atomic uint32_t forks_waiting;

bool mlos_forks_hold(void) {
  int32_t now = atomic_load(&use);
  while (now >= 0)
    if (atomic_compare_exchange_weak(&use, &now, now + 1))
      return true;
  return false;
}

void mlos_forks_release(void) {
  if (atomic_fetch_sub(&use, 1) == 1 && atomic_load(&forks_waiting) != 0)
    mlos_sys(SYS_futex, &use, FUTEX_WAKE_PRIVATE, INT_MAX, 0);
}

static void wait_while(int32_t holders, uint64_t ms) {
  struct timespec limit = {0, (long)ms * 1000000};
  atomic_fetch_add(&forks_waiting, 1);
  mlos_sys(SYS_futex, &use, FUTEX_WAIT_PRIVATE, holders, &limit);
  atomic_fetch_sub(&forks_waiting, 1);
}

bool mlos_forks_begin(void) {
  uint64_t start = 0;
  int32_t now = atomic_load(&use);
  for (;;) {
    while (now <= 0)
      if (atomic_compare_exchange_weak(&use, &now, now - 1))
        return true;
    uint64_t ms = mlos_now_ms();
    start = start ? start : ms;
    if (ms - start >= FORK_WAIT_MS)
      return false;
    wait_while(now, FORK_WAIT_MS - (ms - start));
    now = atomic_load(&use);
  }
}

void mlos_forks_in_parent(void) {
  atomic_fetch_add(&use, 1);
}

void mlos_forks_in_child(void) {
  atomic_store(&use, 0);
  atomic_store(&forks_waiting, 0);
}

#pragma clang attribute pop
