/*
 * What the supervisor may have this process give back: the allocator's free memory, Python's garbage, clean pages of
 * libraries. Nothing here decides; what came of it is measured outside.
 */
#include "reclaim.h"
#include "cooperate.h"
#include "forks.h"
#include "hooks.h"
#include "loader.h"
#include "module_cache.h"
#include "module_table.h"
#include "object.h"
#include "sys.h"
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <sys/mman.h>

#include "rare.h"

/* jemalloc's MALLCTL_ARENAS_ALL, since 5.0. */
#define JEMALLOC_PURGE_ALL "arena.4096.purge"

static uint64_t last_trim_ms;

static uint32_t refuse(int64_t *value, uint32_t reason, uint32_t detail) {
  *value = mlos_refusal(reason, detail);
  return MLOS_RESULT_FAILED;
}

/* Each allocator's own call, looked up once it is asked for: most processes never are. False: there is none. */
static bool purge(int64_t *value) {
  *value = 0;
  switch (mlos_allocator_facts.allocator) {
  case MLOS_ALLOCATOR_GLIBC: {
    int (*trim)(size_t) = (int (*)(size_t))mlos_find_anywhere("malloc_trim");
    if (trim)
      *value = trim(0);
    return trim != NULL;
  }
  case MLOS_ALLOCATOR_JEMALLOC: {
    int (*control)(const char *, void *, size_t *, void *, size_t) =
        (int (*)(const char *, void *, size_t *, void *, size_t))mlos_find_anywhere("mallctl");
    return control && (*value = control(JEMALLOC_PURGE_ALL, NULL, NULL, NULL, 0)) == 0;
  }
  case MLOS_ALLOCATOR_TCMALLOC: {
    void (*release)(void) = (void (*)(void))mlos_find_anywhere("MallocExtension_ReleaseFreeMemory");
    if (release)
      release();
    return release != NULL;
  }
  case MLOS_ALLOCATOR_MIMALLOC: {
    void (*collect)(bool) = (void (*)(bool))mlos_find_anywhere("mi_collect");
    if (collect)
      collect(true);
    return collect != NULL;
  }
  default:
    return false;
  }
}

static uint32_t trim(int64_t *value) {
  uint64_t now = mlos_now_ms();
  if (last_trim_ms && now - last_trim_ms < MLOS_TRIM_PAUSE_MS)
    return refuse(value, MLOS_REFUSAL_TOO_SOON, (uint32_t)(MLOS_TRIM_PAUSE_MS - (now - last_trim_ms)));
  last_trim_ms = now;
  if (!purge(value))
    return refuse(value, MLOS_REFUSAL_NO_PURGE, 0);
  /* A walk over a large heap takes long: the pause is one between two walks. */
  last_trim_ms = mlos_now_ms();
  return MLOS_RESULT_OK;
}

struct range {
  uintptr_t start, end;
  uint64_t load_address; /* of the object that holds it */
  long result;           /* of madvise; 1: no segment holds it */
};

/* By the table, not by everybody's program headers: reading those would bring back the first pages of every library. */
static bool find_object(struct range *range) {
  struct mlos_header *header = mlos_agent.header;
  bool found = false;
  if (atomic_flag_test_and_set_explicit(&mlos_agent.modules_lock, memory_order_acquire))
    return false;
  for (uint32_t i = 0; i < header->modules_count && !found; i++) {
    const struct mlos_module *module = &mlos_table_modules(header)[i];
    found = module->state == MLOS_MODULE_LOADED && range->start >= module->map_start && range->end <= module->map_end;
    range->load_address = module->load_address;
  }
  atomic_flag_clear_explicit(&mlos_agent.modules_lock, memory_order_release);
  /* Somebody came by for a look meanwhile, and left it to whoever held the lock. */
  if (atomic_load_explicit(&mlos_agent.modules_pending, memory_order_acquire))
    mlos_modules_refresh(false);
  return found;
}

static bool has_text_relocations(const struct dl_phdr_info *info) {
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_DYNAMIC)
      continue;
    const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; entry++)
      if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL)))
        return true;
  }
  return false;
}

/* Under ld.so's lock: the object cannot be unmapped, and its addresses given to others, between the look and the call. Only
   segments that were never writable: relocated read-only data lies in writable ones, and would be lost. */
static int drop_in_object(struct dl_phdr_info *info, size_t size, void *data) {
  struct range *range = data;
  if (info->dlpi_addr != range->load_address)
    return 0;
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    uintptr_t start = (info->dlpi_addr + header->p_vaddr) & ~(uintptr_t)4095;
    uintptr_t end = (info->dlpi_addr + header->p_vaddr + header->p_memsz + 4095) & ~(uintptr_t)4095;
    if (header->p_type != PT_LOAD || (header->p_flags & PF_W) || range->start < start || range->end > end)
      continue;
    if (!has_text_relocations(info))
      range->result = mlos_sys(SYS_madvise, range->start, range->end - range->start, MADV_DONTNEED, 0);
    return 1;
  }
  return 0;
}

static uint32_t drop(const struct mlos_command *command, int64_t *value) {
  int64_t bytes = 0;
  for (unsigned i = 0; i < 4; i += 2) {
    struct range range = {.start = command->arguments[i], .end = command->arguments[i + 1], .result = 1};
    if (i > 0 && range.start == 0 && range.end == 0)
      break;
    if (range.start >= range.end || ((range.start | range.end) & 4095) != 0)
      return refuse(value, MLOS_REFUSAL_NOT_CODE, 0);
    /* One that was just opened may not be in the table yet. */
    if (!find_object(&range) && (mlos_modules_refresh(false) < 0 || !find_object(&range)))
      return refuse(value, MLOS_REFUSAL_NOT_CODE, 0);
    if (!mlos_forks_hold())
      return refuse(value, MLOS_REFUSAL_LOADER_BUSY, 0);
    mlos_iterate_objects(drop_in_object, &range);
    mlos_forks_release();
    if (range.result != 0)
      return refuse(value, range.result > 0 ? MLOS_REFUSAL_NOT_CODE : MLOS_REFUSAL_KERNEL,
                    range.result > 0 ? 0 : (uint32_t)-range.result);
    bytes += (int64_t)(range.end - range.start);
  }
  *value = bytes;
  return MLOS_RESULT_OK;
}

/* Whatever lies there by now: merging changes no program's memory as the program sees it. */
static uint32_t merge(const struct mlos_command *command, int64_t *value) {
  uintptr_t start = command->arguments[0], end = command->arguments[1];
  if (start >= end || ((start | end) & 4095) != 0)
    return refuse(value, MLOS_REFUSAL_KERNEL, EINVAL);
  long error = mlos_sys(SYS_madvise, start, end - start, command->arguments[2] ? MADV_MERGEABLE : MADV_UNMERGEABLE, 0);
  if (error < 0)
    return refuse(value, MLOS_REFUSAL_KERNEL, (uint32_t)-error);
  *value = (int64_t)(end - start);
  return MLOS_RESULT_OK;
}

uint32_t mlos_reclaim_command(const struct mlos_command *command, int64_t *value) {
  if (atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed) || mlos_agent.filter_inherited)
    return refuse(value, MLOS_REFUSAL_SECCOMP, 0);
  switch (command->code) {
  case MLOS_COMMAND_TRIM:
    return trim(value);
  case MLOS_COMMAND_COLLECT:
    return mlos_python_collect(command, value);
  case MLOS_COMMAND_DROP:
    return drop(command, value);
  case MLOS_COMMAND_MERGE:
    return merge(command, value);
  case MLOS_COMMAND_RECLAIM:
    return mlos_callbacks_reclaim(command, value);
  case MLOS_COMMAND_CACHE_LIMIT:
  case MLOS_COMMAND_EVICT:
    return mlos_cache_command(command, value);
  default:
    return MLOS_RESULT_UNSUPPORTED;
  }
}

#pragma clang attribute pop
