/*
 * The contract between the injected agent and the supervisor: the layout of the shared-memory segment and the frames
 * of the agent socket. Both sides compile this header; a change of any layout raises MLOS_ABI_VERSION.
 *
 * Ownership: the agent creates and writes the segment (a memfd); the supervisor maps it read-only and treats every byte
 * as hostile: indices, offsets and lengths are bounds-checked, strings are length-limited, counters may lie.
 * The memfd is made with MFD_ALLOW_SEALING and sealed with F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL before HELLO; the
 * supervisor refuses one that is not sealed against shrinking, since truncation would make its reads fault.
 * Threading: fields marked "atomic" are written with C11 atomics and may be read at any time. Slots are written by
 * their owner thread with plain aligned 8-byte stores; readers sum them.
 */
#ifndef MLOS_ABI_H
#define MLOS_ABI_H

#include "mlos_reclaim.h"
#include <stddef.h>
#include <stdint.h>

#define MLOS_ABI_MAGIC 0x314745535F534F4CULL /* "LOS_SEG1", little endian */
#define MLOS_ABI_VERSION 1u
#define MLOS_FRAME_MAGIC 0x534F4C4Du /* "MLOS", little endian */

/* Capacities of this version. Pages are touched only as they are used, so unused capacity costs address space, not memory. */
#define MLOS_SLOT_CAPACITY 4096u         /* threads with a line of their own; more share the overflow slot */
#define MLOS_MODULE_CAPACITY 4096u       /* mapped objects of one process */
#define MLOS_EVENT_CAPACITY 1024u        /* power of two */
#define MLOS_STRING_BYTES (1024u * 1024) /* paths, appended, never moved within one module generation epoch */
#define MLOS_PATH_MAX 4096u              /* longest path that is recorded; longer ones are truncated and flagged */
#define MLOS_BUILD_ID_MAX 32u
#define MLOS_EVENT_TEXT_MAX 72u

/* What the agent does in this process. */
enum mlos_state {
  MLOS_STATE_STARTING = 0,
  MLOS_STATE_ACTIVE = 1,      /* hooks count, table is kept */
  MLOS_STATE_LOADER_ONLY = 2, /* libraries are seen, heap bytes are not; see reason */
  MLOS_STATE_INERT = 3,       /* nothing is done; see reason */
};

/* Why it does less than everything. 0 = no reason. Kept stable: they are shown to people. */
enum mlos_reason {
  MLOS_REASON_NONE = 0,
  MLOS_REASON_MIXED_ALLOCATOR = 1,    /* malloc, free, realloc, malloc_usable_size come from different objects */
  MLOS_REASON_SANITIZER = 2,          /* ASan, TSan, MSan or LSan is in the process */
  MLOS_REASON_VALGRIND = 3,           /* and MLOS_AGENT_IGNORE_VALGRIND is not set */
  MLOS_REASON_SECURE = 4,             /* AT_SECURE: set-user-id or capabilities */
  MLOS_REASON_NO_MEMORY = 5,          /* the segment could not be created or mapped */
  MLOS_REASON_SELF_CHECK = 6,         /* a start-up check of a C library assumption failed */
  MLOS_REASON_SECCOMP = 7,            /* a filter was installed: shared memory only from then on, no thread, no socket */
  MLOS_REASON_DESCRIPTOR_CLOSED = 8,  /* the host closed or reused our descriptor: shared memory only */
  MLOS_REASON_DISABLED = 9,           /* MLOS_AGENT_DISABLE=1 */
  MLOS_REASON_SUPERVISOR_REFUSED = 10 /* REJECT, or a supervisor that is neither root nor this user */
};

enum mlos_allocator {
  MLOS_ALLOCATOR_UNKNOWN = 0,
  MLOS_ALLOCATOR_GLIBC = 1,
  MLOS_ALLOCATOR_JEMALLOC = 2,
  MLOS_ALLOCATOR_TCMALLOC = 3,
  MLOS_ALLOCATOR_MIMALLOC = 4,
  MLOS_ALLOCATOR_OTHER = 5
};

/* One cache line a thread. Written by its owner only; a slot whose thread has ended is continued by a new thread. */
struct mlos_slot {
  uint64_t allocations;     /* successful malloc, calloc, memalign, ...; realloc counts one of each */
  uint64_t frees;           /* free of a non-null pointer */
  uint64_t bytes_allocated; /* sum of usable sizes handed out */
  uint64_t bytes_freed;     /* sum of usable sizes given back */
  int64_t sample_countdown; /* bytes until the next sample of a heap profile; owner's use */
  uint32_t sample_drawn;    /* 1 + the doublings of the mean the countdown was drawn with, 0 = not drawn; owner's use */
  uint32_t tid;             /* thread id, 0 = never used */
  uint64_t sample_random;   /* state of the generator; owner's use */
  uint64_t reserved;
};

/* A module that is or was mapped. Kept under the header's module sequence lock. */
enum mlos_module_state { MLOS_MODULE_FREE = 0, MLOS_MODULE_LOADED = 1, MLOS_MODULE_UNLOADED = 2 };
enum mlos_module_flags {
  MLOS_MODULE_AT_START = 1u << 0,       /* there before the agent's constructor: a DT_NEEDED of the program */
  MLOS_MODULE_MAIN = 1u << 1,           /* the program itself */
  MLOS_MODULE_PATH_TRUNCATED = 1u << 2, /* longer than MLOS_PATH_MAX */
  MLOS_MODULE_NO_IDENTITY = 1u << 3,    /* stat failed: device and inode are not known */
  MLOS_MODULE_HAS_TLS = 1u << 4,
  MLOS_MODULE_VIRTUAL = 1u << 5,    /* no file behind it: vdso */
  MLOS_MODULE_NO_HEADERS = 1u << 6, /* map_start and map_end are 0, build id and TLS not known: headers could not be read */
  MLOS_MODULE_CLOSED = 1u << 7      /* the program has closed it and the agent keeps it for its return; see closed_ns */
};
/* Whether objects outside the base namespace are in the table (made by dlmopen or LD_AUDIT). */
enum mlos_namespaces {
  MLOS_NAMESPACES_BASE_ONLY = 0, /* there are none */
  MLOS_NAMESPACES_LISTED = 1,    /* there are, and all are listed */
  MLOS_NAMESPACES_NOT_LISTED = 2 /* there are some that are not: glibc before 2.35 leads to none, or one is just being made */
};
struct mlos_module {
  uint32_t id;        /* 1, 2, ...; never reused within a segment */
  uint32_t state;     /* enum mlos_module_state */
  uint32_t flags;     /* enum mlos_module_flags */
  int32_t name_space; /* link-map namespace, dlinfo's RTLD_DI_LMID: 0 = base. ld.so is one object, and the base's */
  uint64_t device;
  uint64_t inode;
  uint64_t load_address; /* l_addr: the difference to the addresses in the file */
  uint64_t map_start;    /* lowest and highest mapped address of the PT_LOADs, page-rounded */
  uint64_t map_end;
  uint32_t dlopen_count;  /* dlopen calls whose resolved object is this module, as far as seen; see docs/internals/agent.md */
  uint32_t dlclose_count; /* dlclose calls of a handle of this module */
  uint64_t first_load_ns; /* CLOCK_MONOTONIC */
  uint64_t last_load_ns;
  uint64_t unload_ns;
  uint32_t path_offset; /* from the header's strings_offset */
  uint32_t path_length; /* bytes, no terminator; not UTF-8 by promise */
  uint32_t build_id_length;
  uint8_t build_id[MLOS_BUILD_ID_MAX];
  uint32_t reserved0;
  uint64_t closed_ns;      /* when the program closed it last, while MLOS_MODULE_CLOSED is set; CLOCK_MONOTONIC */
  uint32_t refusal;        /* enum mlos_refusal: why its last eviction left it mapped; 0 = none was tried, or it went */
  uint32_t refusal_detail; /* as in mlos_reclaim.h */
  uint32_t reserved[2];
};

enum mlos_event_kind {
  MLOS_EVENT_NONE = 0,
  MLOS_EVENT_DLOPEN = 1,   /* asked for; text = the name as given, argument = flags */
  MLOS_EVENT_LOADED = 2,   /* seen mapped; module = its id */
  MLOS_EVENT_DLCLOSE = 3,  /* asked for; module = its id or 0, argument = the return value */
  MLOS_EVENT_UNLOADED = 4, /* seen gone; module = its id */
  MLOS_EVENT_KEPT = 5,     /* dlclose returned 0 and the object stayed mapped; module = its id */
  MLOS_EVENT_FORK = 6,     /* argument = child's pid as its parent sees it */
  MLOS_EVENT_EXEC = 7,     /* about to exec; text = path, argument = 0; or posix_spawn or a vfork child, argument = its pid */
  MLOS_EVENT_STATE = 8     /* state or reason changed; argument = state << 32 | reason */
};
/* Writers reserve an index with fetch_add on events_head, fill the entry, then store sequence = index + 1 (release).
   A reader takes an entry only if sequence reads index + 1 before and after copying it. */
struct mlos_event {
  uint64_t sequence; /* atomic */
  uint64_t time_ns;  /* CLOCK_MONOTONIC */
  uint32_t kind;
  uint32_t tid;
  uint32_t module;
  uint32_t text_length;
  int64_t argument;
  uint64_t reserved;
  uint8_t text[MLOS_EVENT_TEXT_MAX + 8]; /* truncated at MLOS_EVENT_TEXT_MAX */
};

/* What this agent can do beyond the first version's commands; a bit set. */
enum mlos_capability {
  MLOS_CAPABILITY_HEAP_PROFILE = 1u << 0, /* MLOS_COMMAND_HEAP_START and _STOP, mlos_heap.h version 1 */
  MLOS_CAPABILITY_RECLAIM = 1u << 1,      /* MLOS_COMMAND_TRIM, _COLLECT, _DROP and _MERGE */
  MLOS_CAPABILITY_MODULE_CACHE = 1u << 2, /* MLOS_COMMAND_CACHE_LIMIT and _EVICT */
  MLOS_CAPABILITY_CALLBACKS = 1u << 3     /* MLOS_COMMAND_RECLAIM */
};

/* First page of the segment. */
struct mlos_header {
  /* Written once, before HELLO. */
  uint64_t magic;
  uint32_t abi_version;
  uint32_t header_size;
  uint64_t segment_size;
  uint32_t slots_offset, slot_size, slots_capacity;
  uint32_t modules_offset, module_size, modules_capacity;
  uint32_t events_offset, event_size, events_capacity;
  uint32_t samples_offset, sample_size, samples_capacity; /* 0: no sample ring in this version */
  uint32_t strings_offset, strings_size;
  uint32_t pid;        /* as the process sees itself */
  uint32_t parent_pid; /* of the fork that made this segment, 0 otherwise */
  uint64_t start_ns;   /* CLOCK_MONOTONIC when this segment was made */
  uint8_t agent_version[32];
  uint32_t allocator; /* enum mlos_allocator */
  uint32_t glibc_minor;

  /* From here on atomic. */
  uint32_t state;            /* enum mlos_state */
  uint32_t reason;           /* enum mlos_reason */
  uint32_t control_thread;   /* tid, 0 = none was needed so far */
  uint32_t slots_used;       /* slots [0, slots_used) may hold counts */
  uint64_t slots_overflowed; /* threads that had to share the overflow slot */
  uint64_t modules_sequence; /* sequence lock: odd while the table is being written */
  uint64_t modules_epoch;    /* raised when ids and strings start over */
  uint32_t modules_count;    /* entries [0, count) are in use */
  uint32_t strings_used;
  uint64_t modules_dropped; /* did not fit */
  uint64_t events_head;     /* next index to be written; index & (capacity - 1) is its place */
  uint64_t dl_adds;         /* dlpi_adds and dlpi_subs when the table was last brought up to date */
  uint64_t dl_subs;
  uint64_t dlopen_calls, dlmopen_calls, dlclose_calls;
  uint64_t forks, execs;
  uint64_t table_updated_ns;
  uint64_t wakeups;    /* of the control thread since it started */
  uint64_t reconnects; /* to a supervisor, after the first */
  /* Live heap that was there before the slots began: inherited by fork, or counted before a supervisor came. Signed sums
     are not needed: each field only grows. */
  uint64_t base_allocations, base_frees, base_bytes_allocated, base_bytes_freed;
  uint32_t base_inexact;     /* 1: other threads were allocating at the fork, so the base may be off by their last calls */
  uint32_t name_spaces;      /* enum mlos_namespaces, atomic; when the table was last brought up to date */
  struct mlos_slot overflow; /* shared by threads without a slot; updated with atomic adds */
  uint32_t capabilities;     /* enum mlos_capability, written once; 0 in agents before there were any */
  uint32_t cache_limit;      /* closed libraries that are kept at most; 0 = dlclose closes at once */
  uint64_t cache_reopens;    /* opened again while they were kept */
  uint64_t cache_evictions;  /* closed for good and unmapped */
  uint64_t cache_refusals;   /* were to be closed for good and stayed */
  uint32_t callbacks;        /* reclaim callbacks that are registered */
  uint32_t busy_regions;     /* marked busy by the program, now */
};

#define MLOS_ALIGN_PAGE(x) (((x) + 4095u) & ~4095u)
#define MLOS_SLOTS_OFFSET 4096u
#define MLOS_MODULES_OFFSET (MLOS_SLOTS_OFFSET + MLOS_SLOT_CAPACITY * 64u)
#define MLOS_EVENTS_OFFSET (MLOS_MODULES_OFFSET + MLOS_MODULE_CAPACITY * 160u)
#define MLOS_STRINGS_OFFSET (MLOS_EVENTS_OFFSET + MLOS_EVENT_CAPACITY * 128u)
#define MLOS_SEGMENT_SIZE (MLOS_STRINGS_OFFSET + MLOS_STRING_BYTES)

/* Frames on the SOCK_SEQPACKET agent socket: one frame a packet; size is that of the whole packet. */
enum mlos_frame_type {
  MLOS_FRAME_HELLO = 1,   /* agent -> supervisor, with the segment's memfd as SCM_RIGHTS */
  MLOS_FRAME_WELCOME = 2, /* supervisor -> agent */
  MLOS_FRAME_REJECT = 3,  /* supervisor -> agent; the agent does not come back for MLOS_REJECT_BACKOFF_MS */
  MLOS_FRAME_COMMAND = 4, /* supervisor -> agent */
  MLOS_FRAME_RESULT = 5   /* agent -> supervisor, answers one COMMAND by its request id */
};
#define MLOS_REJECT_BACKOFF_MS 60000u
struct mlos_frame {
  uint32_t magic;   /* MLOS_FRAME_MAGIC */
  uint16_t version; /* MLOS_ABI_VERSION */
  uint16_t type;
  uint32_t size;    /* of the packet, this header included */
  uint32_t request; /* COMMAND and its RESULT; 0 elsewhere */
};
struct mlos_hello {
  struct mlos_frame frame;
  uint32_t pid; /* a hint: the supervisor believes SO_PEERCRED */
  uint32_t state;
  uint32_t reason;
  uint32_t reconnects;
  uint64_t segment_size;
  uint64_t start_ns;
};
struct mlos_welcome {
  struct mlos_frame frame;
  uint32_t supervisor_pid;
  uint32_t flags; /* none yet */
};
enum mlos_command_code {
  MLOS_COMMAND_PING = 1,            /* answers at once */
  MLOS_COMMAND_REFRESH_MODULES = 2, /* walks the loaded objects now; value = entries loaded */
  /* Begins a heap profile in the memfd that comes with the packet as SCM_RIGHTS; see mlos_heap.h. FAILED: value = enum
     mlos_heap_refusal. Agents without MLOS_CAPABILITY_HEAP_PROFILE answer UNSUPPORTED. */
  MLOS_COMMAND_HEAP_START = 3,
  MLOS_COMMAND_HEAP_STOP = 4, /* ends it; value = 1, or 0 when none was under way */
  /* Giving memory back; refusals are those of mlos_reclaim.h. Agents without the capability answer UNSUPPORTED. */
  MLOS_COMMAND_TRIM = 5, /* the allocator in use gives back what it holds free; value = what its own call returned */
  /* Python's collector, in the main thread; arguments: milliseconds to wait for it at most. value = objects collected. */
  MLOS_COMMAND_COLLECT = 6,
  /* Unmaps clean pages of read-only library segments, which come back from the file when they are touched. arguments: first
     and end address of one range, then of a second one or 0, 0; page-aligned. value = bytes of address space. The caller has
     seen that no page in them was changed. */
  MLOS_COMMAND_DROP = 7,
  /* Lets the kernel merge equal pages of private anonymous memory. arguments: first, end, 1 to begin or 0 to end. */
  MLOS_COMMAND_MERGE = 8,
  MLOS_COMMAND_CACHE_LIMIT = 9, /* arguments: closed libraries that are kept at most. value = the limit before */
  /* Closes kept libraries for good. arguments: module id, or MLOS_EVICT_OLDEST and how many. value = how many objects were
     unmapped, as the loader's own counter tells. */
  MLOS_COMMAND_EVICT = 10,
  /* The program's own callbacks. arguments: bytes wanted, milliseconds at most. value = bytes they say they freed. */
  MLOS_COMMAND_RECLAIM = 11
};
struct mlos_command {
  struct mlos_frame frame;
  uint32_t code;
  uint32_t reserved;
  uint64_t arguments[4];
};
enum mlos_result_status { MLOS_RESULT_OK = 0, MLOS_RESULT_UNSUPPORTED = 1, MLOS_RESULT_FAILED = 2 };
struct mlos_result {
  struct mlos_frame frame;
  uint32_t status;
  uint32_t code; /* the command's */
  int64_t value;
  uint64_t duration_ns;
};

_Static_assert(sizeof(struct mlos_slot) == 64, "one cache line a thread");
_Static_assert(sizeof(struct mlos_module) == 160, "module record");
_Static_assert(sizeof(struct mlos_event) == 128, "event record");
_Static_assert(sizeof(struct mlos_header) <= 4096, "the header is one page");
_Static_assert(sizeof(struct mlos_frame) == 16, "frame header");
_Static_assert(sizeof(struct mlos_hello) == 48, "hello");
_Static_assert(sizeof(struct mlos_welcome) == 24, "welcome");
_Static_assert(sizeof(struct mlos_command) == 56, "command");
_Static_assert(sizeof(struct mlos_result) == 40, "result");
_Static_assert((MLOS_EVENT_CAPACITY & (MLOS_EVENT_CAPACITY - 1)) == 0, "event capacity is a power of two");

#endif
