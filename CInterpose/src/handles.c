/* From a handle of dlopen to the module it stands for. */
#include "agent.h"
#include "forks.h"
#include "loader.h"
#include "module_table.h"

#include "rare.h"

struct handle_search {
  const void *handle;
  bool found;
  uint32_t module;
};

static bool visit_handle(const struct link_map *map, int32_t name_space, bool is_alias, void *data) {
  struct handle_search *search = data;
  struct mlos_header *header = mlos_agent.header;
  if (map != search->handle)
    return false;
  search->found = true;
  bool is_main = name_space == 0 && !map->l_prev;
  struct mlos_object_seen object = {
      .name_space = is_alias ? 0 : name_space, .load_address = map->l_addr, .name = map->l_name, .is_main = is_main};
  for (uint32_t i = 0; object.name && i < header->modules_count && !search->module; i++)
    if (mlos_table_is_entry_of(header, &mlos_table_modules(header)[i], &object))
      search->module = mlos_table_modules(header)[i].id;
  return true;
}

static int search_handle(struct dl_phdr_info *info, size_t size, void *data) {
  mlos_each_link_map(visit_handle, data);
  return 1;
}

/* The caller is about to enter the loader itself, or comes from there: it need not give way to a fork. */
static struct handle_search find_handle(const void *handle) {
  struct handle_search search = {.handle = handle};
  bool entered = mlos_forks_hold();
  mlos_iterate_objects(search_handle, &search);
  if (entered)
    mlos_forks_release();
  return search;
}

uint32_t mlos_module_of_handle(const void *handle) {
  return find_handle(handle).module;
}

bool mlos_handle_is_open(const void *handle) {
  return find_handle(handle).found;
}

static struct mlos_module *module_with(uint32_t id) {
  struct mlos_module *modules = mlos_table_modules(mlos_agent.header);
  for (uint32_t i = 0; id && i < mlos_agent.header->modules_count; i++)
    if (modules[i].id == id)
      return &modules[i];
  return NULL;
}

void mlos_module_count_close(uint32_t id) {
  struct mlos_module *module = module_with(id);
  if (module)
    __atomic_fetch_add(&module->dlclose_count, 1, __ATOMIC_RELAXED);
}

#pragma clang attribute pop
