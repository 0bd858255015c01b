#define _GNU_SOURCE
#include "cfuzz.h"
#include "mlos_abi.h"
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
