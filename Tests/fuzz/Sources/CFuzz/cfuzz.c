#define _GNU_SOURCE
#include "cfuzz.h"
#include "mlos_abi.h"
#include "mlos_heap.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int fuzz_memory_file(void) {
  return memfd_create("fuzz", MFD_CLOEXEC);
}

static void fill(uint8_t *base) {
  struct mlos_header *header = (void *)base;
  header->magic = MLOS_ABI_MAGIC;
  header->abi_version = MLOS_ABI_VERSION;
  header->header_size = sizeof *header;
  header->segment_size = MLOS_SEGMENT_SIZE;
  header->slots_offset = MLOS_SLOTS_OFFSET;
  header->slot_size = sizeof(struct mlos_slot);
  header->slots_capacity = MLOS_SLOT_CAPACITY;
  header->modules_offset = MLOS_MODULES_OFFSET;
  header->module_size = sizeof(struct mlos_module);
  header->modules_capacity = MLOS_MODULE_CAPACITY;
  header->events_offset = MLOS_EVENTS_OFFSET;
  header->event_size = sizeof(struct mlos_event);
  header->events_capacity = MLOS_EVENT_CAPACITY;
  header->strings_offset = MLOS_STRINGS_OFFSET;
  header->strings_size = MLOS_STRING_BYTES;
  header->state = MLOS_STATE_ACTIVE;
  header->slots_used = 1;
  header->modules_count = 2;
  header->events_head = 3;
  struct mlos_slot *slot = (void *)(base + MLOS_SLOTS_OFFSET);
  slot->allocations = 5, slot->bytes_allocated = 500, slot->frees = 1, slot->bytes_freed = 100;
  static const char paths[] = "/usr/bin/python3/usr/lib/libz.so.1";
  memcpy(base + MLOS_STRINGS_OFFSET, paths, sizeof paths - 1);
  struct mlos_module *modules = (void *)(base + MLOS_MODULES_OFFSET);
  for (unsigned i = 0; i < 2; i++) {
    modules[i].id = i + 1;
    modules[i].state = MLOS_MODULE_LOADED;
    modules[i].map_start = 0x10000 * (i + 1);
    modules[i].map_end = modules[i].map_start + 0x4000;
    modules[i].path_offset = 16 * i;
    modules[i].path_length = i ? 18 : 16;
  }
  struct mlos_event *events = (void *)(base + MLOS_EVENTS_OFFSET);
  for (unsigned i = 0; i < 3; i++) {
    events[i].kind = MLOS_EVENT_LOADED;
    events[i].module = 1;
    events[i].text_length = 4;
    memcpy(events[i].text, "text", 4);
    events[i].sequence = i + 1;
  }
}

int fuzz_segment(void **base, size_t *size) {
  int descriptor = memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0 || ftruncate(descriptor, MLOS_SEGMENT_SIZE) != 0)
    return -1;
  *size = MLOS_SEGMENT_SIZE;
  *base = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (*base == MAP_FAILED || fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
    return -1;
  fill(*base);
  return descriptor;
}

void *fuzz_heap_view(int descriptor) {
  void *view = mmap(NULL, MLOS_HEAP_SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  return view == MAP_FAILED ? NULL : view;
}

void fuzz_heap_live(void *view, uint64_t place, uint64_t address, uint64_t id, uint64_t bytes, uint64_t mean) {
  struct mlos_heap_live *rows = (void *)((uint8_t *)view + MLOS_HEAP_LIVE_OFFSET);
  rows[place % MLOS_HEAP_LIVE_CAPACITY] = (struct mlos_heap_live){address, id, bytes, mean};
}

static struct mlos_heap_record *record(void *view, uint64_t place) {
  struct mlos_heap_record *records = (void *)((uint8_t *)view + MLOS_HEAP_RING_OFFSET);
  return &records[place % MLOS_HEAP_RING_CAPACITY];
}

void fuzz_heap_record(void *view, uint64_t place, uint64_t sequence, const struct fuzz_sample *sample, const uint64_t *saved,
                      const uint64_t *stack, size_t words) {
  struct mlos_heap_record *entry = record(view, place);
  entry->id = sample->id;
  entry->bytes = sample->bytes;
  entry->mean = sample->mean;
  entry->stack_bytes = sample->stack_bytes;
  entry->pc = sample->pc;
  entry->sp = sample->sp;
  memcpy(entry->saved, saved, sizeof entry->saved);
  size_t size = words * sizeof *stack;
  memcpy(entry->stack, stack, size < MLOS_HEAP_STACK_BYTES ? size : MLOS_HEAP_STACK_BYTES);
  __atomic_store_n(&entry->sequence, sequence, __ATOMIC_RELEASE);
}

void fuzz_heap_free(void *view, uint64_t place, uint64_t sequence) {
  struct mlos_heap_record *entry = record(view, place);
  memset(entry, 0, sizeof *entry);
  __atomic_store_n(&entry->sequence, sequence, __ATOMIC_RELEASE);
}
