/*
 * The rate of samples: held below a limit by doubling the mean between them, and cut off there. Looked at in windows of a
 * tenth of a second, so that one burst cannot fill the ring.
 *
 * Estimates stay unbiased by the doubling: every thread keeps the mean its countdown was drawn with until it is over.
 */
#include "heap.h"

#include "rare.h"

#define WINDOW_NS 100000000u
#define WINDOWS_A_SECOND 10u
/* Beyond 8 TiB a mean says nothing any more. */
#define MEAN_MAX (1ull << 43)
#define DOUBLINGS_MAX 24u

static uint32_t limit;
static _Atomic uint64_t window_start;
static _Atomic uint32_t window_count;

void mlos_heap_rate_begin(uint32_t limit_a_second, uint64_t now_ns) {
  limit = limit_a_second / WINDOWS_A_SECOND;
  atomic_store(&window_start, now_ns);
  atomic_store(&window_count, 0);
}

static void change(struct mlos_heap_header *header, bool up) {
  uint32_t before = __atomic_load_n(&header->doublings, __ATOMIC_RELAXED);
  if (up ? before >= DOUBLINGS_MAX || header->mean << before >= MEAN_MAX : before == 0)
    return;
  uint32_t after = up ? before + 1 : before - 1;
  __atomic_store_n(&header->doublings, after, __ATOMIC_RELAXED);
  if (after > __atomic_load_n(&header->doublings_max, __ATOMIC_RELAXED))
    __atomic_store_n(&header->doublings_max, after, __ATOMIC_RELAXED);
}

bool mlos_heap_rate_admits(struct mlos_heap_header *header, uint64_t now_ns) {
  uint64_t start = atomic_load(&window_start);
  if (now_ns > start && now_ns - start >= WINDOW_NS && atomic_compare_exchange_strong(&window_start, &start, now_ns)) {
    uint32_t count = atomic_exchange(&window_count, 0);
    /* An eighth: half of it again is still far from the half at which the mean is doubled. */
    if (count < limit / 8 || now_ns - start >= 2ull * WINDOW_NS)
      change(header, false);
  }
  uint32_t count = atomic_fetch_add(&window_count, 1) + 1;
  if (count == limit / 2 || count == limit / 2 + limit / 4)
    change(header, true);
  return count <= limit;
}

#pragma clang attribute pop
