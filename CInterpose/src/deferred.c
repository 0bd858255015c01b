/* See deferred.h. */
#include "deferred.h"
#include "sys.h"

#include "rare.h"

/* A supervisor asks one thing of a process at a time; a second one may have timed out on its side. */
#define DEFERRED 4u

/* WAITING -> DONE by the thread that did it; everything else by the reader of the socket. */
enum deferred_state { DEFERRED_FREE, DEFERRED_WAITING, DEFERRED_WRITING, DEFERRED_DONE };
static struct deferred {
  _Atomic uint32_t state;
  struct mlos_command command;
  uint64_t asked_ns, deadline_ms;
  uint64_t done_ns;
  uint32_t status;
  int64_t value;
} waiting[DEFERRED];
static _Atomic bool due;

bool mlos_defer(const struct mlos_command *command, uint64_t deadline_ms) {
  for (unsigned i = 0; i < DEFERRED; i++) {
    if (atomic_load_explicit(&waiting[i].state, memory_order_acquire) != DEFERRED_FREE)
      continue;
    waiting[i].command = *command;
    waiting[i].asked_ns = mlos_now_ns();
    waiting[i].deadline_ms = deadline_ms;
    atomic_store_explicit(&waiting[i].state, DEFERRED_WAITING, memory_order_release);
    return true;
  }
  return false;
}

static bool is_asked_by(const struct mlos_command *command, uint32_t code, const uint32_t *request) {
  return command->code == code && (!request || command->frame.request == *request);
}

static void done(uint32_t code, const uint32_t *request, uint32_t status, int64_t value) {
  bool any = false;
  for (unsigned i = 0; i < DEFERRED; i++) {
    uint32_t expected = DEFERRED_WAITING;
    /* The command is read first: an entry that is taken here must be the one. */
    if (atomic_load_explicit(&waiting[i].state, memory_order_acquire) != DEFERRED_WAITING ||
        !is_asked_by(&waiting[i].command, code, request) ||
        !atomic_compare_exchange_strong(&waiting[i].state, &expected, DEFERRED_WRITING))
      continue;
    waiting[i].status = status;
    waiting[i].value = value;
    waiting[i].done_ns = mlos_now_ns();
    atomic_store_explicit(&waiting[i].state, DEFERRED_DONE, memory_order_release);
    any = true;
  }
  if (!any)
    return;
  atomic_store(&due, true);
  if (mlos_control_running())
    mlos_control_wake();
  else
    mlos_due_at(0);
}

void mlos_deferred_done(uint32_t code, uint32_t status, int64_t value) {
  done(code, NULL, status, value);
}

void mlos_deferred_answer(uint32_t code, uint32_t request, uint32_t status, int64_t value) {
  done(code, &request, status, value);
}

void mlos_deferred_hand_over(void) {
  for (unsigned i = 0; i < DEFERRED; i++)
    if (atomic_load(&waiting[i].state) != DEFERRED_FREE)
      atomic_store(&due, true);
  if (mlos_deferred_is_due() && mlos_control_running())
    mlos_control_wake();
}

bool mlos_deferred_is_due(void) {
  return atomic_load(&due);
}

/* What the time running out means. */
static int64_t lateness(uint32_t code) {
  return code == MLOS_COMMAND_COLLECT ? MLOS_REFUSAL_NO_SAFE_POINT : MLOS_REFUSAL_CALLBACK_LATE;
}

uint64_t mlos_deferred_finish(uint64_t now_ms) {
  uint64_t next = 0;
  atomic_store(&due, false);
  for (unsigned i = 0; i < DEFERRED; i++) {
    struct deferred *one = &waiting[i];
    uint32_t waits = DEFERRED_WAITING, is_done = DEFERRED_DONE;
    /* Taken: a control thread may just have begun to read the socket in place of a thread of the program's. */
    if (atomic_compare_exchange_strong(&one->state, &is_done, DEFERRED_WRITING)) {
      mlos_link_reply(&one->command, one->status, one->value, one->done_ns - one->asked_ns);
      atomic_store_explicit(&one->state, DEFERRED_FREE, memory_order_release);
    } else if (now_ms >= one->deadline_ms && atomic_compare_exchange_strong(&one->state, &waits, DEFERRED_WRITING)) {
      mlos_link_reply(&one->command, MLOS_RESULT_FAILED, lateness(one->command.code), mlos_now_ns() - one->asked_ns);
      atomic_store_explicit(&one->state, DEFERRED_FREE, memory_order_release);
    } else if (atomic_load(&one->state) == DEFERRED_WAITING && (next == 0 || one->deadline_ms < next)) {
      next = one->deadline_ms;
    }
  }
  return next;
}

void mlos_deferred_forget(void) {
  for (unsigned i = 0; i < DEFERRED; i++)
    atomic_store(&waiting[i].state, DEFERRED_FREE);
  atomic_store(&due, false);
}

#pragma clang attribute pop
