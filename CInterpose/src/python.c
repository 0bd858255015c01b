/*
 * Python's collector, in an interpreter that knows nothing of us. Py_AddPendingCall may be called by any thread, without the
 * interpreter's lock and without a thread state; the interpreter makes the call in its main thread between two bytecodes,
 * where finalizers may run as they always may. A main thread that waits in a system call comes there when it returns. Before
 * CPython 3.13 one that computes looks for such calls only when it has given up the interpreter's lock and taken it again, as
 * every input, output and numerical library does; a loop of nothing but Python in a program of one thread never does.
 */
#include "deferred.h"
#include "reclaim.h"

#include "rare.h"

typedef int pending_function(void *);
static struct {
  int (*add_pending_call)(pending_function *, void *);
  int (*is_initialized)(void);
  /* Py_ssize_t */
  long (*collect)(void);
} python;

/* Whether the interpreter holds a call of ours that it has not made yet: its queue is short. */
static _Atomic bool queued;

static bool find_python(void) {
  if (python.collect)
    return true;
  python.add_pending_call = (int (*)(pending_function *, void *))mlos_find_anywhere("Py_AddPendingCall");
  python.is_initialized = (int (*)(void))mlos_find_anywhere("Py_IsInitialized");
  long (*collect)(void) = (long (*)(void))mlos_find_anywhere("PyGC_Collect");
  if (!python.add_pending_call || !python.is_initialized || !collect)
    return false;
  python.collect = collect;
  return true;
}

/* In the main thread, with the interpreter's lock. An error is never set: PyGC_Collect reports those of finalizers itself. */
static int collect_now(void *unused) {
  atomic_store(&queued, false);
  long collected = python.is_initialized() ? python.collect() : 0;
  mlos_deferred_done(MLOS_COMMAND_COLLECT, MLOS_RESULT_OK, collected);
  return 0;
}

uint32_t mlos_python_collect(const struct mlos_command *command, int64_t *value) {
  *value = mlos_refusal(MLOS_REFUSAL_NOT_PYTHON, 0);
  if (!find_python() || !python.is_initialized())
    return MLOS_RESULT_FAILED;
  /* An hour: more than any caller waits, and far from the end of the clock. */
  uint64_t wait_ms = command->arguments[0] < 3600000 ? command->arguments[0] : 3600000;
  *value = mlos_refusal(MLOS_REFUSAL_UNDER_WAY, 0);
  if (!mlos_defer(command, mlos_now_ms() + wait_ms))
    return MLOS_RESULT_FAILED;
  if (!atomic_exchange(&queued, true) && python.add_pending_call(collect_now, NULL) != 0) {
    /* The interpreter's queue is full, of others' calls: as good as no safe point. */
    atomic_store(&queued, false);
    mlos_deferred_done(MLOS_COMMAND_COLLECT, MLOS_RESULT_FAILED, mlos_refusal(MLOS_REFUSAL_NO_SAFE_POINT, 0));
  }
  return MLOS_ANSWERED_LATER;
}

/* The child inherits the interpreter's queue with our call in it, unless Python cleared it (os.fork does). Either way one more
   may be added. */
void mlos_python_after_fork(void) {
  atomic_store(&queued, false);
}

#pragma clang attribute pop
