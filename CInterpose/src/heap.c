/*
 * The life of a heap profile: begun and ended by the supervisor's commands, ended by the agent itself when the supervisor
 * goes away, when its time is over, or when the process becomes one in which it may not go on.
 *
 * A thread in the middle of a sample cannot be waited for. So the mapping is taken away only when nobody is in there, else
 * it stays until the next command: `inside` is raised before `segment` is read, and read after `segment` was taken away.
 */
#include "heap.h"
#include "sys.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "rare.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define MEAN_MAX (1ull << 40)
#define SETTLE_MS 100u
#define RATE_MIN 10u
#define RATE_MAX 1000000u

static struct mlos_heap_header *_Atomic segment; /* of the profile under way */
static struct mlos_heap_header *retired;         /* ended, perhaps still in use by a thread */
static _Atomic uint32_t inside;
static atomic_flag changing = ATOMIC_FLAG_INIT; /* tried by whoever begins or ends a profile; the loser gives up */

struct mlos_heap_header *mlos_heap_enter(void) {
  atomic_fetch_add(&inside, 1);
  struct mlos_heap_header *header = atomic_load(&segment);
  if (!header)
    mlos_heap_leave();
  return header;
}

void mlos_heap_leave(void) {
  atomic_fetch_sub(&inside, 1);
}

static bool discard_retired(void) {
  if (retired && atomic_load(&inside) == 0) {
    mlos_sys(SYS_munmap, retired, MLOS_HEAP_SEGMENT_SIZE, 0, 0);
    retired = NULL;
  }
  return retired == NULL;
}

/* Maps the segment if it cannot be cut off under us and is laid out as we know it. */
static uint32_t map_segment(int descriptor, struct mlos_heap_header **result) {
  struct stat status;
  long seals = mlos_sys(SYS_fcntl, descriptor, F_GET_SEALS, 0, 0);
  if (seals < 0 || (seals & SEALS) != SEALS || mlos_sys(SYS_fstat, descriptor, &status, 0, 0) < 0 ||
      status.st_size != MLOS_HEAP_SEGMENT_SIZE)
    return MLOS_HEAP_WRONG_SEGMENT;
  long address = mlos_sys6(SYS_mmap, 0, MLOS_HEAP_SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (address < 0 && address > -4096)
    return MLOS_HEAP_NO_MEMORY;
  struct mlos_heap_header *header = (struct mlos_heap_header *)address;
  bool known = header->magic == MLOS_HEAP_MAGIC && header->version == MLOS_HEAP_VERSION &&
               header->header_size == sizeof *header && header->segment_size == MLOS_HEAP_SEGMENT_SIZE &&
               header->live_offset == MLOS_HEAP_LIVE_OFFSET && header->live_size == sizeof(struct mlos_heap_live) &&
               header->live_capacity == MLOS_HEAP_LIVE_CAPACITY && header->ring_offset == MLOS_HEAP_RING_OFFSET &&
               header->record_size == sizeof(struct mlos_heap_record) && header->ring_capacity == MLOS_HEAP_RING_CAPACITY &&
               header->mean >= 1 && header->mean <= MEAN_MAX && header->rate >= RATE_MIN && header->rate <= RATE_MAX &&
               header->state == MLOS_HEAP_NEW;
  if (!known) {
    mlos_sys(SYS_munmap, address, MLOS_HEAP_SEGMENT_SIZE, 0, 0);
    return MLOS_HEAP_WRONG_SEGMENT;
  }
  *result = header;
  return 0;
}

/* Every thread draws anew. None counts down now: no profile is under way. */
static void reset_countdowns(void) {
  struct mlos_slot *slots = mlos_slots(mlos_agent.header);
  uint32_t used = __atomic_load_n(&mlos_agent.header->slots_used, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < used && i < MLOS_SLOT_CAPACITY; i++) {
    __atomic_store_n(&slots[i].sample_drawn, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&slots[i].sample_countdown, 0, __ATOMIC_RELAXED);
  }
}

static uint32_t begin(int descriptor) {
  if (mlos_mode() != MLOS_MODE_COUNTING)
    return MLOS_HEAP_NOT_COUNTING;
  if (atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed) || mlos_agent.filter_inherited)
    return MLOS_HEAP_SECCOMP;
  if (descriptor < 0)
    return MLOS_HEAP_NO_DESCRIPTOR;
  if (atomic_load(&segment) || !discard_retired())
    return MLOS_HEAP_BUSY;
  struct mlos_heap_header *header;
  uint32_t refusal = map_segment(descriptor, &header);
  if (refusal)
    return refusal;
  uint64_t now_ns = mlos_now_ns();
  mlos_heap_live_begin();
  mlos_heap_rate_begin(header->rate, now_ns);
  reset_countdowns();
  __atomic_store_n(&header->started_ns, now_ns, __ATOMIC_RELAXED);
  mlos_segment_sums(mlos_agent.header, header->sums_at_start);
  __atomic_store_n(&header->state, MLOS_HEAP_SAMPLING, __ATOMIC_RELEASE);
  atomic_store(&segment, header);
  mlos_route_sampling(true);
  return 0;
}

uint32_t mlos_heap_start(int descriptor) {
  uint32_t refusal = MLOS_HEAP_BUSY;
  if (!atomic_flag_test_and_set(&changing)) {
    refusal = begin(descriptor);
    atomic_flag_clear(&changing);
  }
  if (descriptor >= 0)
    mlos_sys(SYS_close, descriptor, 0, 0, 0);
  return refusal;
}

bool mlos_heap_end(uint32_t reason) {
  if (atomic_flag_test_and_set(&changing))
    return false;
  struct mlos_heap_header *header = atomic_load(&segment);
  if (header) {
    mlos_route_sampling(false);
    mlos_segment_sums(mlos_agent.header, header->sums_at_end);
    __atomic_store_n(&header->ended_ns, mlos_now_ns(), __ATOMIC_RELAXED);
    __atomic_store_n(&header->end_reason, reason, __ATOMIC_RELAXED);
    __atomic_store_n(&header->state, MLOS_HEAP_ENDED, __ATOMIC_RELEASE);
    retired = header;
    atomic_store(&segment, NULL);
  }
  if (!atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed))
    discard_retired();
  atomic_flag_clear(&changing);
  return header != NULL;
}

/* Samples take microseconds; only before a filter would kill a thread for its system calls is one waited for. */
void mlos_heap_settle(void) {
  uint64_t limit_ms = mlos_now_ms() + SETTLE_MS;
  while (atomic_load(&inside) && mlos_now_ms() < limit_ms)
    mlos_sys(SYS_sched_yield, 0, 0, 0, 0);
  discard_retired();
}

/* The child lets go of its parent's profile. It is alone, whatever the counter says. */
void mlos_heap_after_fork(void) {
  struct mlos_heap_header *header = atomic_load(&segment);
  atomic_store(&segment, NULL);
  atomic_store(&inside, 0);
  if (header)
    mlos_sys(SYS_munmap, header, MLOS_HEAP_SEGMENT_SIZE, 0, 0);
  discard_retired();
  atomic_flag_clear(&changing);
}

uint32_t mlos_heap_command(const struct mlos_command *command, int64_t *value) {
  if (command->code == MLOS_COMMAND_HEAP_STOP) {
    *value = mlos_heap_end(MLOS_HEAP_END_STOPPED);
    return MLOS_RESULT_OK;
  }
  *value = mlos_heap_start(mlos_link_take_descriptor());
  return *value ? MLOS_RESULT_FAILED : MLOS_RESULT_OK;
}

#pragma clang attribute pop
