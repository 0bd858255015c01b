/* What the program tells the agent by the calls of mlos_agent.h, and the thread that asks its callbacks. */
#ifndef MLOS_COOPERATE_H
#define MLOS_COOPERATE_H

#include "agent.h"
#include "mlos_agent.h"

/* FREE -> TAKEN -> READY by who registers; READY -> RUNNING -> READY by the thread that asks it; READY -> TAKEN -> FREE by who
   unregisters, or RUNNING -> ENDING by who unregisters and ENDING -> FREE by the thread that asks, who then wakes those that
   wait. Whoever made it TAKEN or RUNNING owns the other fields. */
enum mlos_callback_state { CALLBACK_FREE, CALLBACK_TAKEN, CALLBACK_READY, CALLBACK_RUNNING, CALLBACK_ENDING };
struct mlos_callback {
  _Atomic uint32_t state;
  _Atomic uint32_t strikes; /* times in a row it was late or freed nothing */
  _Atomic uint64_t id;      /* in order of registration; never given twice */
  mlos_reclaim_callback *function;
  void *context;
  char name[16]; /* as much as a thread's name may have */
};

/* cooperate.c */
struct mlos_callbacks_counted {
  unsigned askable, running, given_up;
};
struct mlos_callbacks_counted mlos_callbacks_count(void);
struct mlos_callback *mlos_callback_take_after(uint64_t id); /* RUNNING from now on; NULL: none that may be asked */
void mlos_callback_release(struct mlos_callback *callback);
uint32_t mlos_busy_regions(void);
void mlos_cooperate_start(bool thread_allowed); /* by the constructor */
void mlos_cooperate_after_fork(void);

/* callbacks.c */
bool mlos_callbacks_may_run(void);
void mlos_callbacks_allow(bool allowed);
bool mlos_callbacks_have_thread(void);
void mlos_callbacks_start(void); /* the thread, unless it is there */
uint32_t mlos_callbacks_reclaim(const struct mlos_command *command, int64_t *value);
void mlos_callbacks_stop(void);         /* waits for its end, at most 100 ms; a callback that runs is not disturbed */
void mlos_callbacks_request_stop(void); /* for good: the main thread ends */
void mlos_callbacks_after_fork(void);

#endif
