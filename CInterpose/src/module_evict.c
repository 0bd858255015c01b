/* The supervisor's commands to the cache: its limit, and closing for good. */
#include "forks.h"
#include "loader.h"
#include "mlos_agent.h"
#include "module_cache.h"
#include "module_hazards.h"
#include "module_table.h"
#include "reclaim.h"
#include <string.h>

#include "rare.h"

static struct mlos_module *module_with(uint32_t id) {
  struct mlos_module *modules = mlos_table_modules(mlos_agent.header);
  for (uint32_t i = 0; i < mlos_agent.header->modules_count; i++)
    if (modules[i].id == id)
      return &modules[i];
  return NULL;
}

static struct mlos_module *module_at(uintptr_t load_address) {
  struct mlos_module *modules = mlos_table_modules(mlos_agent.header);
  for (uint32_t i = 0; i < mlos_agent.header->modules_count; i++)
    if (modules[i].state == MLOS_MODULE_LOADED && modules[i].name_space == 0 && modules[i].load_address == load_address)
      return &modules[i];
  return NULL;
}

static struct mlos_hazard refused(struct mlos_module *module, struct mlos_hazard hazard) {
  if (module) {
    __atomic_store_n(&module->refusal_detail, hazard.detail, __ATOMIC_RELAXED);
    __atomic_store_n(&module->refusal, hazard.reason, __ATOMIC_RELEASE);
  }
  __atomic_fetch_add(&mlos_agent.header->cache_refusals, 1, __ATOMIC_RELAXED);
  return hazard;
}

/* Closed, and still there: what holds it. The agent takes its reference again, so that a later eviction can be tried. */
static struct mlos_hazard after_close(const struct mlos_kept *was, const void *map) {
  struct mlos_library library;
  if (!mlos_library_read(map, &library) || library.base != was->load_address)
    return (struct mlos_hazard){0};
  if (mlos_opens(library.map) > 0)
    return (struct mlos_hazard){MLOS_REFUSAL_NOT_KEPT, 0}; /* the program has just opened it */
  struct mlos_hazard hazard = mlos_why_mapped(&library);
  mlos_cache_hold((struct link_map *)(uintptr_t)map, hazard.reason, hazard.detail, was);
  return hazard;
}

/* The entry is the caller's. */
static struct mlos_hazard evict(struct mlos_kept *kept, uintptr_t own_frame) {
  struct mlos_library library;
  struct link_map *map = atomic_load(&kept->map);
  struct mlos_hazard hazard = {MLOS_REFUSAL_NOT_KEPT, 0};
  if (mlos_opens(map) == 1 && mlos_library_read(map, &library)) {
    hazard = (struct mlos_hazard){MLOS_REFUSAL_LOADER_BUSY, 0};
    if (mlos_forks_hold()) {
      mlos_forks_release();
      hazard = mlos_hazards(&library, own_frame);
    }
  }
  if (hazard.reason) {
    kept->refusal = hazard.reason;
    kept->refusal_detail = hazard.detail;
    mlos_cache_put_back(kept);
    return hazard;
  }
  struct mlos_kept was = {.keep = kept->keep, .file = kept->file, .closed_ns = kept->closed_ns, .is_lazy = kept->is_lazy};
  was.load_address = kept->load_address;
  mlos_cache_drop(kept);
  return after_close(&was, map);
}

struct search {
  uintptr_t load_address;
  const struct link_map *map;
};

static bool is_at(const struct link_map *map, int32_t name_space, bool is_alias, void *data) {
  struct search *search = data;
  if (name_space == 0 && map->l_addr == search->load_address)
    search->map = map;
  return search->map || name_space != 0;
}

static int find_map(struct dl_phdr_info *info, size_t size, void *data) {
  mlos_each_link_map(is_at, data);
  return 1;
}

/* Closed by the program, and still there: ld.so keeps it. Its count says nothing of a library that is never unloaded. */
static struct mlos_hazard why_in_loader(const struct mlos_module *module) {
  struct search search = {.load_address = module->load_address};
  struct mlos_library library;
  mlos_iterate_objects(find_map, &search);
  struct mlos_hazard hazard = {MLOS_REFUSAL_NOT_KEPT, 0};
  if (module->dlclose_count == 0 || !search.map || !mlos_library_read(search.map, &library))
    return hazard;
  struct mlos_hazard why = mlos_why_mapped(&library);
  bool is_for_good = why.reason == MLOS_REFUSAL_NODELETE || why.reason == MLOS_REFUSAL_UNIQUE_SYMBOL;
  return is_for_good || (mlos_opens_known() && mlos_opens(search.map) == 0) ? why : hazard;
}

/* A library that is not kept: nothing to close, but perhaps something to say. */
static struct mlos_hazard why_not_kept(const struct mlos_module *module) {
  static char path[MLOS_PATH_MAX]; /* one command at a time */
  if (!module || module->path_length >= MLOS_PATH_MAX)
    return (struct mlos_hazard){MLOS_REFUSAL_NOT_KEPT, 0};
  memcpy(path, mlos_table_strings(mlos_agent.header) + module->path_offset, module->path_length);
  path[module->path_length] = 0;
  return mlos_rules_exclude(path) ? (struct mlos_hazard){MLOS_REFUSAL_EXCLUDED, 0} : why_in_loader(module);
}

static struct mlos_hazard evict_module(uint32_t id, uintptr_t own_frame) {
  struct mlos_module *module = module_with(id);
  bool is_loaded = module && module->state == MLOS_MODULE_LOADED && module->name_space == 0 && module->load_address;
  struct mlos_kept *kept = is_loaded ? mlos_cache_take(module->load_address) : NULL;
  struct mlos_hazard hazard = kept ? evict(kept, own_frame) : why_not_kept(is_loaded ? module : NULL);
  return hazard.reason ? refused(module, hazard) : hazard;
}

/* Each of them once: what is refused is put back with its time, so the count bounds the loop. */
static struct mlos_hazard evict_oldest(uint64_t count, uintptr_t own_frame) {
  struct mlos_hazard last = {0};
  while (count-- > 0 && !last.reason) {
    struct mlos_kept *kept = mlos_cache_take(0);
    if (!kept)
      break;
    struct mlos_module *module = module_at(kept->load_address);
    last = evict(kept, own_frame);
    if (last.reason)
      refused(module, last);
  }
  return last;
}

uint32_t mlos_cache_command(const struct mlos_command *command, int64_t *value) {
  uint64_t adds, before, after;
  if (command->code == MLOS_COMMAND_CACHE_LIMIT) {
    *value = mlos_cache_set_limit(command->arguments[0]);
    return MLOS_RESULT_OK;
  }
  /* Above this frame are only the program's, or the control thread's own. */
  uintptr_t own_frame = mlos_control_running() ? 0 : (uintptr_t)__builtin_frame_address(0);
  mlos_cache_settle();
  mlos_modules_refresh(false);
  mlos_loader_counters(&adds, &before);
  struct mlos_hazard hazard = command->arguments[0] == MLOS_EVICT_OLDEST
                                  ? evict_oldest(command->arguments[1], own_frame)
                                  : evict_module((uint32_t)command->arguments[0], own_frame);
  mlos_loader_counters(&adds, &after);
  mlos_modules_refresh(false);
  *value = (int64_t)(after - before);
  if (hazard.reason && *value == 0) {
    *value = mlos_refusal(hazard.reason, hazard.detail);
    return MLOS_RESULT_FAILED;
  }
  return MLOS_RESULT_OK;
}

#pragma clang attribute pop
