/* The entries of the segment's module table: places, paths, the sequence lock. Who writes holds modules_lock. */
#ifndef MLOS_MODULE_TABLE_H
#define MLOS_MODULE_TABLE_H

#include "agent.h"
#include <link.h>
#include <string.h>

/* A mapped object: info is the base namespace's, map another's. */
struct mlos_object_seen {
  const struct dl_phdr_info *info;
  const struct link_map *map;
  int32_t name_space;
  uintptr_t load_address;
  const char *name;
  bool is_main;
};

static inline struct mlos_module *mlos_table_modules(struct mlos_header *header) {
  return (struct mlos_module *)(void *)((uint8_t *)header + MLOS_MODULES_OFFSET);
}

static inline uint8_t *mlos_table_strings(struct mlos_header *header) {
  return (uint8_t *)header + MLOS_STRINGS_OFFSET;
}

static inline void mlos_table_write_begin(struct mlos_header *header) {
  __atomic_store_n(&header->modules_sequence, header->modules_sequence + 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void mlos_table_write_end(struct mlos_header *header) {
  __atomic_store_n(&header->modules_sequence, header->modules_sequence + 1, __ATOMIC_RELEASE);
}

static inline bool mlos_table_has_path(struct mlos_header *header, const struct mlos_module *module, const char *path,
                                       size_t length) {
  return module->path_length == length && memcmp(mlos_table_strings(header) + module->path_offset, path, length) == 0;
}

static inline bool mlos_table_is_entry_of(struct mlos_header *header, const struct mlos_module *module,
                                          const struct mlos_object_seen *object) {
  if (module->state != MLOS_MODULE_LOADED || module->load_address != object->load_address ||
      module->name_space != object->name_space)
    return false;
  return object->is_main ? (module->flags & MLOS_MODULE_MAIN) != 0
                         : mlos_table_has_path(header, module, object->name, strnlen(object->name, MLOS_PATH_MAX));
}

#endif
