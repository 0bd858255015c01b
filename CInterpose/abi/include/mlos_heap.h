/*
 * The contract of a heap profile: what the agent writes while the supervisor has it sample allocations.
 *
 * Ownership: the supervisor makes the memfd, writes the first part of the header, seals it against every change of size
 * and sends it with MLOS_COMMAND_HEAP_START. The agent maps it and closes the descriptor at once. Afterwards the
 * supervisor treats every byte of it as hostile. The mapping goes with HEAP_STOP, the end of the connection, a fork (in
 * the child) or an exec.
 *
 * Sampling: each thread counts down the usable bytes it allocates from a number drawn from the exponential distribution
 * with the mean below, doubled as often as the rate demands. An allocation of s bytes is therefore sampled with the
 * probability 1 - e^(-s/mean), whatever was allocated before it, and stands for 1/(1 - e^(-s/mean)) of its kind. Each
 * record carries the mean its own countdown was drawn with.
 */
#ifndef MLOS_HEAP_H
#define MLOS_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define MLOS_HEAP_MAGIC 0x315041454853534FULL /* "OSSHEAP1", little endian */
#define MLOS_HEAP_VERSION 1u

/* 65,536 live samples stand for 32 GiB at a mean of 512 KiB. Pages are touched as they are used. */
#define MLOS_HEAP_LIVE_CAPACITY 65536u
#define MLOS_HEAP_LIVE_WAYS 8u /* places an address may have, beginning at its hash */
/* A quarter of a second at the highest rate; drained five times a second. Power of two. */
#define MLOS_HEAP_RING_CAPACITY 256u
#define MLOS_HEAP_STACK_BYTES 32768u

/* Why the agent did not begin. */
enum mlos_heap_refusal {
  MLOS_HEAP_NOT_COUNTING = 1,  /* the heap is not counted in this process: see the header's reason */
  MLOS_HEAP_SECCOMP = 2,       /* a filter is in place: no new system call of ours */
  MLOS_HEAP_NO_DESCRIPTOR = 3, /* none came with the command: RLIMIT_NOFILE, or a supervisor that forgot it */
  MLOS_HEAP_WRONG_SEGMENT = 4, /* not sealed, or of another version or layout */
  MLOS_HEAP_NO_MEMORY = 5,     /* it could not be mapped */
  MLOS_HEAP_BUSY = 6           /* a profile is under way, or a thread is still in the last one */
};

enum mlos_heap_state { MLOS_HEAP_NEW = 0, MLOS_HEAP_SAMPLING = 1, MLOS_HEAP_ENDED = 2 };

/* Why sampling ended. */
enum mlos_heap_end {
  MLOS_HEAP_END_NONE = 0,
  MLOS_HEAP_END_STOPPED = 1,      /* HEAP_STOP */
  MLOS_HEAP_END_DEADLINE = 2,     /* deadline_ns came and nobody had said stop */
  MLOS_HEAP_END_FILTER = 3,       /* the program is installing a seccomp filter */
  MLOS_HEAP_END_NOT_COUNTING = 4, /* the agent had to give up counting this process's heap */
  MLOS_HEAP_END_DISCONNECTED = 5  /* the supervisor went away */
};

/* First page. */
struct mlos_heap_header {
  /* The supervisor's, before HEAP_START. */
  uint64_t magic;
  uint32_t version;
  uint32_t header_size;
  uint64_t segment_size;
  uint32_t live_offset, live_size, live_capacity;
  uint32_t ring_offset, record_size, ring_capacity;
  uint64_t mean;        /* bytes; 1 to 2^40 */
  uint64_t deadline_ns; /* CLOCK_MONOTONIC; sampling ends by itself with the first sample after it */
  uint32_t rate;        /* samples a second at most; 10 to 1,000,000 */
  uint32_t reserved0;
  /* The agent's. From here on atomic. */
  uint32_t state;      /* enum mlos_heap_state */
  uint32_t end_reason; /* enum mlos_heap_end */
  uint64_t started_ns; /* CLOCK_MONOTONIC */
  uint64_t ended_ns;
  /* Allocations, frees, bytes allocated, bytes freed of the process: exact, for comparison. */
  uint64_t sums_at_start[4];
  uint64_t sums_at_end[4];
  uint64_t samples;       /* taken: ids run from 1 to this */
  uint64_t throttled;     /* of these, without stack and place in the table: above the rate */
  uint64_t ring_lost;     /* of these, without stack: the ring was full */
  uint64_t live_lost;     /* of these, not in the live table: no place for the address */
  uint32_t doublings;     /* of the mean, now */
  uint32_t doublings_max; /* most there were */
  uint64_t ring_head;     /* next index to be written; index & (capacity - 1) is its place */
};

/* A sampled block that is live. Written before its record is published. */
struct mlos_heap_live {
  uint64_t address; /* atomic; 0 = free place, 1 = being written */
  uint64_t id;
  uint64_t bytes; /* usable */
  uint64_t mean;
};

/* One sample. A bounded queue with many writers and one reader: sequence == index means free to be written, index + 1 ready
   to be read; the reader then stores index + capacity. */
struct mlos_heap_record {
  uint64_t sequence; /* atomic */
  uint64_t id;
  uint64_t bytes; /* usable */
  uint64_t mean;
  uint64_t time_ns; /* CLOCK_MONOTONIC */
  uint32_t tid;
  uint32_t stack_bytes; /* of the copy that are filled */
  /* Inside the agent, at the moment of the copy. saved: x86-64 rbx rbp r12 r13 r14 r15; arm64 x19 to x30. */
  uint64_t pc;
  uint64_t sp; /* the copy begins here */
  uint64_t saved[12];
  uint64_t reserved;
  uint8_t stack[MLOS_HEAP_STACK_BYTES];
};

#define MLOS_HEAP_LIVE_OFFSET 4096u
#define MLOS_HEAP_RING_OFFSET (MLOS_HEAP_LIVE_OFFSET + MLOS_HEAP_LIVE_CAPACITY * 32u)
#define MLOS_HEAP_SEGMENT_SIZE (((MLOS_HEAP_RING_OFFSET + MLOS_HEAP_RING_CAPACITY * 32936u) + 4095u) & ~4095u)

_Static_assert(sizeof(struct mlos_heap_header) <= 4096, "the header is one page");
_Static_assert(sizeof(struct mlos_heap_live) == 32, "live entry");
_Static_assert(sizeof(struct mlos_heap_record) == 32936, "sample record");
_Static_assert((MLOS_HEAP_RING_CAPACITY & (MLOS_HEAP_RING_CAPACITY - 1)) == 0, "ring capacity is a power of two");

#endif
