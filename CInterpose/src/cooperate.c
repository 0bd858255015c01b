/*
 * The functions that a program may call: mlos_agent.h says what they promise. The table has no lock, since its callers are any
 * threads of the program, in a child of a fork too. Only unregistering waits, for a callback of the program's own.
 */
#include "cooperate.h"
#include "sys.h"
#include <limits.h>
#include <linux/futex.h>

#include "rare.h"

#define EXPORTED __attribute__((visibility("default")))

static struct mlos_callback callbacks[MLOS_RECLAIM_CALLBACKS];
static _Atomic uint64_t last_id;
/* The header's count follows by additions, which the exchange of the segment's pages does not lose; here is the truth. */
static _Atomic uint32_t busy;

static bool is_there(void) {
  mlos_start();
  return mlos_ready();
}

EXPORTED uint32_t mlosagent_version(void) {
  mlos_start();
  return mlos_mode() == MLOS_MODE_OFF ? 0 : MLOS_COOPERATION_VERSION;
}

static struct mlos_callback *place(void) {
  for (unsigned i = 0; i < MLOS_RECLAIM_CALLBACKS; i++) {
    uint32_t expected = CALLBACK_FREE;
    if (atomic_compare_exchange_strong(&callbacks[i].state, &expected, CALLBACK_TAKEN))
      return &callbacks[i];
  }
  return NULL;
}

static void count(int32_t change) {
  __atomic_fetch_add(&mlos_agent.header->callbacks, (uint32_t)change, __ATOMIC_RELAXED);
}

EXPORTED uint64_t mlosagent_register(const char *name, mlos_reclaim_callback *function, void *context) {
  if (!is_there() || !mlos_callbacks_may_run())
    return 0;
  struct mlos_callback *callback = place();
  if (!callback)
    return 0;
  unsigned length = 0;
  for (; length + 1 < sizeof callback->name && name[length]; length++)
    callback->name[length] = name[length];
  callback->name[length] = 0;
  callback->function = function;
  callback->context = context;
  atomic_store(&callback->strikes, 0);
  uint64_t id = atomic_fetch_add(&last_id, 1) + 1;
  atomic_store(&callback->id, id);
  count(1);
  atomic_store(&callback->state, CALLBACK_READY);
  /* Before the constructor it is not known whether there may be a thread: mlos_cooperate_start makes it then. */
  if (mlos_agent.started)
    mlos_callbacks_start();
  return id;
}

static void set_free(struct mlos_callback *callback) {
  atomic_store(&callback->id, 0);
  atomic_store(&callback->state, CALLBACK_FREE);
}

static void end(struct mlos_callback *callback, uint64_t id) {
  while (atomic_load(&callback->id) == id) {
    uint32_t state = atomic_load(&callback->state);
    if (state == CALLBACK_READY) {
      if (!atomic_compare_exchange_strong(&callback->state, &state, CALLBACK_TAKEN))
        continue;
      if (atomic_load(&callback->id) == id) {
        count(-1);
        set_free(callback);
      } else { /* another's by now */
        atomic_store(&callback->state, CALLBACK_READY);
      }
      return;
    }
    if (state == CALLBACK_RUNNING) {
      if (!atomic_compare_exchange_strong(&callback->state, &state, CALLBACK_ENDING))
        continue;
      count(-1);
    } else if (state != CALLBACK_ENDING) {
      return;
    }
    if (mlos_thread.running == callback)
      return;
    mlos_sys(SYS_futex, &callback->state, FUTEX_WAIT_PRIVATE, CALLBACK_ENDING, 0);
  }
}

EXPORTED void mlosagent_unregister(uint64_t registration) {
  if (registration == 0 || !is_there())
    return;
  for (unsigned i = 0; i < MLOS_RECLAIM_CALLBACKS; i++)
    end(&callbacks[i], registration);
}

struct mlos_callbacks_counted mlos_callbacks_count(void) {
  struct mlos_callbacks_counted counted = {0, 0, 0};
  for (unsigned i = 0; i < MLOS_RECLAIM_CALLBACKS; i++) {
    uint32_t state = atomic_load(&callbacks[i].state);
    if (state == CALLBACK_RUNNING || state == CALLBACK_ENDING)
      counted.running++;
    else if (state == CALLBACK_READY && atomic_load(&callbacks[i].strikes) >= MLOS_RECLAIM_STRIKES)
      counted.given_up++;
    else if (state == CALLBACK_READY)
      counted.askable++;
  }
  return counted;
}

struct mlos_callback *mlos_callback_take_after(uint64_t id) {
  for (;;) {
    struct mlos_callback *next = NULL;
    for (unsigned i = 0; i < MLOS_RECLAIM_CALLBACKS; i++) {
      struct mlos_callback *one = &callbacks[i];
      if (atomic_load(&one->state) == CALLBACK_READY && atomic_load(&one->strikes) < MLOS_RECLAIM_STRIKES &&
          atomic_load(&one->id) > id && (!next || atomic_load(&one->id) < atomic_load(&next->id)))
        next = one;
    }
    uint32_t ready = CALLBACK_READY;
    if (!next || atomic_compare_exchange_strong(&next->state, &ready, CALLBACK_RUNNING))
      return next;
  }
}

void mlos_callback_release(struct mlos_callback *callback) {
  uint32_t running = CALLBACK_RUNNING;
  if (atomic_compare_exchange_strong(&callback->state, &running, CALLBACK_READY))
    return;
  set_free(callback);
  mlos_sys(SYS_futex, &callback->state, FUTEX_WAKE_PRIVATE, INT_MAX, 0);
}

uint32_t mlos_busy_regions(void) {
  return atomic_load(&busy);
}

EXPORTED void mlosagent_busy_begin(void) {
  if (!is_there())
    return;
  mlos_thread.busy++;
  atomic_fetch_add(&busy, 1);
  __atomic_fetch_add(&mlos_agent.header->busy_regions, 1, __ATOMIC_RELAXED);
}

EXPORTED void mlosagent_busy_end(void) {
  if (!is_there())
    return;
  uint32_t now = atomic_load(&busy);
  do
    if (now == 0) /* ended more often than begun */
      return;
  while (!atomic_compare_exchange_weak(&busy, &now, now - 1));
  mlos_thread.busy--;
  __atomic_fetch_sub(&mlos_agent.header->busy_regions, 1, __ATOMIC_RELAXED);
}

void mlos_cooperate_start(bool thread_allowed) {
  mlos_callbacks_allow(thread_allowed);
  if (mlos_callbacks_count().askable)
    mlos_callbacks_start();
}

/* Who was registering, unregistering or asking at the fork is not in the child; but a callback may have forked, and goes on. */
void mlos_cooperate_after_fork(void) {
  uint32_t registered = 0;
  for (unsigned i = 0; i < MLOS_RECLAIM_CALLBACKS; i++) {
    uint32_t state = atomic_load(&callbacks[i].state);
    if (state == CALLBACK_TAKEN || state == CALLBACK_ENDING)
      set_free(&callbacks[i]);
    else if (state == CALLBACK_RUNNING)
      atomic_store(&callbacks[i].state, CALLBACK_READY);
    registered += atomic_load(&callbacks[i].state) == CALLBACK_READY;
  }
  mlos_thread.busy = mlos_thread.busy > 0 ? mlos_thread.busy : 0;
  atomic_store(&busy, (uint32_t)mlos_thread.busy);
  mlos_agent.header->callbacks = registered;
  mlos_agent.header->busy_regions = (uint32_t)mlos_thread.busy;
  mlos_callbacks_after_fork();
}
#pragma clang attribute pop
