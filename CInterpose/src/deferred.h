/* Commands that are answered later than they were read: what they ask for is done by another thread, when it can. */
#ifndef MLOS_DEFERRED_H
#define MLOS_DEFERRED_H

#include "agent.h"

/* Keeps a command for its answer. False: as many as there may be wait already. Called by whoever reads the socket. */
bool mlos_defer(const struct mlos_command *command, uint64_t deadline_ms);

/* The answer to every waiting command of this code. From any thread, at any time; without any effect when none waits. */
void mlos_deferred_done(uint32_t code, uint32_t status, int64_t value);
/* The same, but to the one command that had this request id. */
void mlos_deferred_answer(uint32_t code, uint32_t request, uint32_t status, int64_t value);

/* Sends the answers that are there, and the refusals of those whose time is over. Called by whoever reads the socket.
   Returns the next deadline, 0 when nothing waits. */
uint64_t mlos_deferred_finish(uint64_t now_ms);

/* Another reads the socket from now on, and must know of what waits. */
void mlos_deferred_hand_over(void);

/* Some answer waits to be sent. */
bool mlos_deferred_is_due(void);

/* Nobody waits any more: the connection has ended, or this is a forked child. */
void mlos_deferred_forget(void);

#endif
