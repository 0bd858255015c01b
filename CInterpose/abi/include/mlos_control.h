/*
 * The seam between the agent's decisions (AgentCore, Embedded Swift) and its effects (C). The control thread hands the
 * Swift loop one table of functions, so that AgentCore needs no symbol of the C side and its tests can pass fakes.
 *
 * Threading: every function is called from the control thread only. None blocks except wait.
 */
#ifndef MLOS_CONTROL_H
#define MLOS_CONTROL_H

#include "mlos_abi.h"

/* How an attempt to reach the supervisor ended. */
enum mlos_connect_result {
  MLOS_CONNECT_OK = 0,
  MLOS_CONNECT_ABSENT = 1,   /* nobody listens, or not just now (full backlog): try later */
  MLOS_CONNECT_REFUSED = 2,  /* the listener is neither root nor this user */
  MLOS_CONNECT_FORBIDDEN = 3 /* never again in this process: seccomp, descriptors taken away, no memory */
};

/* What woke the control thread; a bit set. */
enum mlos_wake {
  MLOS_WAKE_TIMEOUT = 0,
  MLOS_WAKE_KICK = 1u << 0,   /* a hook saw library activity */
  MLOS_WAKE_SOCKET = 1u << 1, /* something to read, or the end of the connection */
  MLOS_WAKE_STOP = 1u << 2,   /* the thread must end */
  MLOS_WAKE_ANSWER = 1u << 3  /* a command that was deferred has its answer */
};

/* What one read of the socket gave. */
enum mlos_received {
  MLOS_RECEIVED_NOTHING = 0,
  MLOS_RECEIVED_WELCOME = 1,
  MLOS_RECEIVED_REJECT = 2,
  MLOS_RECEIVED_COMMAND = 3,
  MLOS_RECEIVED_CLOSED = 4, /* end of the connection, or a peer that breaks the protocol */
  MLOS_RECEIVED_LOST = 5    /* the descriptor is not ours any more */
};

/* Not a result's status: the answer comes later, by finish_answers. */
#define MLOS_ANSWERED_LATER 0xFFFFFFFFu

struct mlos_control_ops {
  uint64_t (*_Nonnull now_ms)(void); /* CLOCK_MONOTONIC */
  /* Sleeps until something happens or timeout_ms passed; -1 = no timeout. Returns enum mlos_wake bits. */
  uint32_t (*_Nonnull wait)(int32_t timeout_ms);
  uint32_t (*_Nonnull connect)(void);                                  /* enum mlos_connect_result */
  void (*_Nonnull disconnect)(void);                                   /* closes the socket after an identity check */
  uint32_t (*_Nonnull receive)(struct mlos_command *_Nonnull command); /* enum mlos_received */
  void (*_Nonnull reply)(const struct mlos_command *_Nonnull command, uint32_t status, int64_t value, uint64_t duration_ns);
  uint64_t (*_Nonnull now_ns)(void);
  int64_t (*_Nonnull refresh)(void); /* brings the module table up to date: modules loaded, -1 = busy */
  uint32_t (*_Nonnull is_connected)(void);
  /* Begins or ends a heap profile: enum mlos_result_status. */
  uint32_t (*_Nonnull heap)(const struct mlos_command *_Nonnull command, int64_t *_Nonnull value);
  /* Every command of mlos_reclaim.h: enum mlos_result_status, or MLOS_ANSWERED_LATER. */
  uint32_t (*_Nonnull reclaim)(const struct mlos_command *_Nonnull command, int64_t *_Nonnull value);
  /* Sends deferred answers that are there or too late; the next deadline on the clock of now_ms, 0 = none waits. */
  uint64_t (*_Nonnull finish_answers)(uint64_t now_ms);
};

/* Defined by AgentCore. Runs until wait returns MLOS_WAKE_STOP. */
void mlos_core_control(const struct mlos_control_ops *_Nonnull ops);
/* Defined by AgentCore. The pause after a failed attempt, given the pause before it (0 = first failure); milliseconds. */
uint64_t mlos_core_next_pause_ms(uint64_t previous_ms);

#endif
