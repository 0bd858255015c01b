/*
 * What the parts of the agent share. Everything here is private to the library.
 *
 * Nothing here is ever waited for, since whoever holds it may be any host thread: modules_lock is only tried, and the
 * exchange of the slots' pages (exchanging) gives way to threads that are taking a slot (claiming), as they do to it.
 */
#ifndef MLOS_AGENT_INTERNAL_H
#define MLOS_AGENT_INTERNAL_H

#include "mlos_abi.h"
#include "mlos_control.h"
#include "private.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define mlos_likely(x) __builtin_expect(!!(x), 1)
#define mlos_unlikely(x) __builtin_expect(!!(x), 0)

/* What the library does in this process. */
enum mlos_mode {
  MLOS_MODE_NEW = 0,     /* nothing was called yet */
  MLOS_MODE_STARTING,    /* one thread looks up the real functions, or gives a forked child its segment */
  MLOS_MODE_COUNTING,    /* the heap is counted and libraries are seen */
  MLOS_MODE_LOADER_ONLY, /* libraries are seen */
  MLOS_MODE_CHILD,       /* a forked child that has not been given its own segment yet */
  MLOS_MODE_OFF          /* forward and nothing else */
};

/* Only these threads' own memory; initial-exec TLS. */
struct mlos_thread {
  struct mlos_slot *self;  /* NULL: the hooks take the slow path */
  struct mlos_slot *saved; /* the slot while self is NULL on purpose */
  uint8_t forking;         /* between the preparation of a fork and its end in the parent */
  uint8_t deferred;        /* a tick waits for a call from outside libc and ld.so */
  uint8_t inside;          /* housekeeping is running: no second one */
  uint8_t overflowed;      /* counts in the shared overflow slot */
  uint8_t child_seen;      /* the child was recognised before its fork handler ran */
  uint8_t fork_inexact;
  uint8_t closing;       /* within a dlclose of the program's */
  uint8_t forks_begun;   /* the end of this fork is to be told: forks.h */
  int32_t busy;          /* busy regions it began and did not end; ends of others' count against it */
  const void *running;   /* the reclaim callback that it is in */
  uint64_t fork_sums[4]; /* heap counters of the whole process at the fork */
};
mlos_private extern __thread struct mlos_thread mlos_thread;

/* A descriptor of ours and what it referred to when it was made. The host may close and reuse any number at any time. */
struct mlos_descriptor {
  int number; /* -1: none */
  dev_t device;
  ino_t inode;
};

struct mlos_agent {
  _Atomic uint32_t mode;
  uint32_t mode_after_fork;
  struct mlos_header *header; /* start of the segment; the address never changes */
  pid_t pid;
  bool started;        /* the constructor has run */
  bool thread_allowed; /* MLOS_AGENT_THREAD, inherited seccomp filter */
  bool tcb_tid;        /* the thread id can be read from the thread control block */
  bool cxx_bypasses;   /* the allocator defines operator new itself: C++ allocations pass us by */
  _Atomic bool frozen; /* a seccomp filter went in: no system call of ours any more */
  bool filter_inherited;
  _Atomic uint32_t claiming; /* threads that are taking a slot */
  _Atomic bool exchanging;   /* the pages under the slots are being exchanged: nobody takes one */
  atomic_flag modules_lock;
  _Atomic bool modules_pending; /* somebody found modules_lock taken, or knows of a change */
  _Atomic uint64_t next_due_ms; /* CLOCK_MONOTONIC; before it a tick has nothing to do */
  uint64_t start_ms;
  _Atomic bool loader_active; /* a dlopen or dlclose happened */
};
mlos_private extern struct mlos_agent mlos_agent;

static inline uint32_t mlos_mode(void) {
  return atomic_load_explicit(&mlos_agent.mode, memory_order_acquire);
}

/* start.c */
void mlos_become(uint32_t mode);                      /* enum mlos_mode */
bool mlos_start(void);                                /* false: recursion, only the bootstrap arena may be used */
bool mlos_ready(void);                                /* the segment may be used by this thread now */
void mlos_enter_child(void);                          /* a prepared fork's child: its segment follows on first use */
void mlos_set_state(uint32_t state, uint32_t reason); /* header and STATE event */
void mlos_set_reason(uint32_t reason);                /* keeps the state */

/* resolve.c */
void mlos_resolve(void);
void *mlos_find_anywhere(const char *name); /* first definition of any loaded object */
bool mlos_in_runtime(const void *address);  /* inside libc, ld.so or the allocator */
struct mlos_allocator_facts {
  uint32_t allocator;         /* enum mlos_allocator */
  bool bypassed;              /* an object before us defines malloc: the host never calls ours */
  void (*front_free)(void *); /* the host's free then; NULL: it is libc's */
  bool one_object;            /* malloc, free, realloc and malloc_usable_size have one definer, and we stand in front of it */
  bool defines_new;           /* it exports operator new */
  uintptr_t start;            /* lowest and highest address of its object */
  uintptr_t end;
};
extern struct mlos_allocator_facts mlos_allocator_facts;
static inline bool mlos_in_allocator(const void *address) {
  return (uintptr_t)address - mlos_allocator_facts.start < mlos_allocator_facts.end - mlos_allocator_facts.start;
}
extern bool mlos_sanitizer_present;

/* hooks_operators.c */
void mlos_operators_settle(bool forward_only);

/* segment.c */
bool mlos_segment_create(void);
bool mlos_segment_share(void); /* gives the segment a memfd; false: not possible now */
bool mlos_segment_renew_in_child(void);
void mlos_segment_sums(const struct mlos_header *header, uint64_t sums[4]);
struct mlos_slot *mlos_slots(struct mlos_header *header);
extern struct mlos_descriptor mlos_memfd;

/* slots.c */
struct mlos_slot *mlos_slot_slow(const void *caller); /* NULL: do not count */
uint32_t mlos_thread_id(void);
bool mlos_other_slots_live(void);

/* tick.c */
void mlos_tick(struct mlos_slot *slot, const void *caller);
void mlos_housekeeping(uint64_t now_ms);
void mlos_due_at(uint64_t ms); /* a tick has something to do from then on */

/* modules.c */
int64_t mlos_modules_refresh(bool at_start); /* modules loaded; -1: somebody else is at it, pending is set */
/* glibc's handle is the object's link map: 0 if it is none, or of an object that the table lacks. */
uint32_t mlos_module_of_handle(const void *handle);
bool mlos_handle_is_open(const void *handle); /* the object is still there */
void mlos_module_count_close(uint32_t id);
void mlos_loader_counters(uint64_t *adds, uint64_t *subs);

/* requests.c */
#define MLOS_ANY_NEW_NAMESPACE (-1)
void mlos_request_note(const char *file, int32_t name_space); /* LM_ID_NEWLM is MLOS_ANY_NEW_NAMESPACE */
void mlos_requests_match(void);
void mlos_requests_after_fork(void);

/* events.c */
void mlos_event(uint32_t kind, uint32_t module, int64_t argument, const char *text);

/* descriptor.c */
bool mlos_descriptor_adopt(struct mlos_descriptor *descriptor, int number); /* moves it out of the host's way */
bool mlos_descriptor_is_ours(const struct mlos_descriptor *descriptor);
void mlos_descriptor_close(struct mlos_descriptor *descriptor); /* closes it only if it is still ours */

/* link.c */
uint32_t mlos_link_connect(uint64_t now_ms); /* enum mlos_connect_result */
void mlos_link_disconnect(void);
bool mlos_link_is_up(void);
int mlos_link_descriptor(void); /* -1: not connected */
uint32_t mlos_link_receive(struct mlos_command *command);
int mlos_link_take_descriptor(void); /* that came with the last command; the caller's to close; -1: none */
void mlos_link_reply(const struct mlos_command *command, uint32_t status, int64_t value, uint64_t duration_ns);
void mlos_link_read_environment(char *const envp[]);
void mlos_link_after_fork(void);
void mlos_link_forbid(void);
void mlos_link_service(uint64_t now_ms);
uint64_t mlos_link_next_try_ms(void);

/* control.c */
bool mlos_control_running(void);
bool mlos_control_start(void);
void mlos_control_stop(void); /* waits for its end, at most 100 ms */
void mlos_control_request_stop(void);
void mlos_control_kick(void);
void mlos_control_wake(void); /* from its sleep, without a look at the libraries */
void mlos_control_after_fork(void);

/* hooks_fork.c */
void mlos_fork_install(void);

/* hooks_confine.c */
bool mlos_installs_filter(long number, long a); /* of a raw system call */
void mlos_before_filter(void);

/* exec_environment.c */
void mlos_exec_remember(char *const envp[]);

/* clock.c */
uint64_t mlos_now_ns(void);
uint64_t mlos_now_ms(void);
uint64_t mlos_coarse_ms(void);

/* arena.c */
void *mlos_arena_allocate(size_t size, size_t alignment);
bool mlos_arena_is_empty(void);
bool mlos_arena_owns(const void *memory);
size_t mlos_arena_usable_size(const void *memory);

#endif
