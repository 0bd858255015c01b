/*
 * The contract of giving memory back: what the supervisor may ask of an agent, and the words for what did not come back.
 *
 * Every command is answered by one RESULT, whose duration_ns is the time the agent itself took. FAILED: the low 32 bits of
 * value are an enum mlos_refusal, the high 32 bits its detail, 0 where it has none. What really came back is the supervisor's
 * to measure: a value here says what was done, never what it brought.
 *
 * Threading: commands are carried out by the control thread, or by a thread of the program's that allocates, where there is no
 * control thread. COLLECT runs in the program's main thread at a safe point of its interpreter's choosing. One command is under
 * way at a time; the next is read when it is answered, but for COLLECT, which is answered when the collection has ended.
 */
#ifndef MLOS_RECLAIM_H
#define MLOS_RECLAIM_H

#include <stdint.h>

/* Why something was not done, or stayed. Kept stable: they are shown to people. */
enum mlos_refusal {
  MLOS_REFUSAL_NONE = 0,
  /* TRIM, COLLECT, DROP, MERGE */
  MLOS_REFUSAL_NO_PURGE = 1,      /* the allocator in use has no call that gives memory back, or it was not found */
  MLOS_REFUSAL_TOO_SOON = 2,      /* detail: milliseconds until the next is allowed */
  MLOS_REFUSAL_NOT_PYTHON = 3,    /* there is no interpreter in the process, or it has not started or is ending */
  MLOS_REFUSAL_NO_SAFE_POINT = 4, /* the main thread came to none in time; the collection is done when it does */
  MLOS_REFUSAL_UNDER_WAY = 5,     /* the same was asked before and has not ended */
  MLOS_REFUSAL_NOT_CODE = 6,      /* the range does not lie in read-only segments of a loaded library */
  MLOS_REFUSAL_KERNEL = 7,        /* the system call failed; detail: errno */
  MLOS_REFUSAL_SECCOMP = 8,       /* a filter is in place: no new system call */
  /* EVICT: why a closed library stays mapped */
  MLOS_REFUSAL_NOT_KEPT = 20,       /* no library of this number is kept: the program has it open, or it is gone */
  MLOS_REFUSAL_NODELETE = 21,       /* DF_1_NODELETE or RTLD_NODELETE */
  MLOS_REFUSAL_UNIQUE_SYMBOL = 22,  /* STB_GNU_UNIQUE symbols of it are bound */
  MLOS_REFUSAL_TLS_DESTRUCTOR = 23, /* a thread has thread-local objects of it to destroy */
  MLOS_REFUSAL_NEEDED_BY = 24,      /* another loaded library needs it; detail: that one's module id */
  MLOS_REFUSAL_THREAD_INSIDE = 25,  /* program counter or a return address; detail: thread id */
  MLOS_REFUSAL_THREAD_STARTED = 26, /* a thread that was started from it lives; detail: thread id */
  MLOS_REFUSAL_SIGNAL_HANDLER = 27, /* detail: the signal */
  MLOS_REFUSAL_EXIT_HANDLER = 28,   /* atexit or on_exit functions that dlclose would not run */
  MLOS_REFUSAL_KEY_DESTRUCTOR = 29, /* of a pthread key */
  MLOS_REFUSAL_FAMILY = 30,         /* one of those that are known to break; detail: enum mlos_family */
  MLOS_REFUSAL_EXCLUDED = 31,       /* by a rule */
  MLOS_REFUSAL_STAYED = 32,         /* dlclose returned 0, the object is mapped, and nothing explains it */
  MLOS_REFUSAL_LOADER_BUSY = 33,    /* a thread is forking or loading just now: try again */
  /* RECLAIM */
  MLOS_REFUSAL_NO_CALLBACK = 40,   /* the program has registered none */
  MLOS_REFUSAL_CALLBACK_LATE = 41, /* one is still running after the time it was given */
  MLOS_REFUSAL_IN_USE = 42         /* a region is marked busy; detail: how many */
};

/* Libraries that do not survive an unload. */
enum mlos_family {
  MLOS_FAMILY_NONE = 0,
  MLOS_FAMILY_OPENMP = 1,
  MLOS_FAMILY_CUDA = 2,
  MLOS_FAMILY_GO = 3,
  MLOS_FAMILY_QT = 4,
  MLOS_FAMILY_PYTHON = 5, /* extension modules: the interpreter keeps pointers into them */
  MLOS_FAMILY_JVM = 6
};

/* How often the allocator is asked at most: malloc_trim holds each arena's lock while it walks. */
#define MLOS_TRIM_PAUSE_MS 2000u

/* EVICT's first argument for "the longest unused ones". */
#define MLOS_EVICT_OLDEST 0u

#endif
