/* Giving memory back on command: what the control loop calls. */
#ifndef MLOS_RECLAIM_INTERNAL_H
#define MLOS_RECLAIM_INTERNAL_H

#include "agent.h"

/* Every command of mlos_reclaim.h: enum mlos_result_status, or MLOS_ANSWERED_LATER (deferred.h). */
uint32_t mlos_reclaim_command(const struct mlos_command *command, int64_t *value);

/* python.c */
uint32_t mlos_python_collect(const struct mlos_command *command, int64_t *value);
void mlos_python_after_fork(void);

static inline int64_t mlos_refusal(uint32_t reason, uint32_t detail) {
  return (int64_t)((uint64_t)detail << 32 | reason);
}

#endif
