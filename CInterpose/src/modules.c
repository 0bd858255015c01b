/*
 * The table of mapped objects. dl_iterate_phdr is the truth for the base namespace; objects of others (dlmopen, LD_AUDIT) are
 * found through ld.so's lists for debuggers, inside its callback (loader.h). Its two counters say whether anything changed
 * since the last look, in any namespace.
 *
 * One writer at a time under modules_lock, which is only tried: who finds it taken sets modules_pending, and the holder
 * looks again. Readers in the supervisor use the sequence in the header.
 */
#include "agent.h"
#include "forks.h"
#include "loader.h"
#include "module_cache.h"
#include "module_facts.h"
#include "module_table.h"
#include "sys.h"
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "rare.h"

/* Which walk has seen an entry last; also marks entries whose file has not been looked at. */
static uint32_t seen_in[MLOS_MODULE_CAPACITY];
static uint64_t stamps[MLOS_MODULE_CAPACITY]; /* of an entry's file, with device and inode */
static uint32_t walk_number;
static uint32_t next_id = 1;

static bool cxx_seen; /* an object that needs a C++ runtime, other than the allocator and the runtimes */

struct walk {
  struct mlos_header *header;
  uint64_t now_ns;
  uint64_t adds, subs;
  uint32_t expected; /* where the next object stood last time: a walk is linear, not quadratic */
  uint32_t loaded;   /* objects seen, in all namespaces */
  size_t in_base, others, squares;
  int32_t name_space; /* the one that is being walked, and its objects so far */
  uint32_t in_name_space;
  size_t counted; /* by ld.so, in its way */
  bool at_start;
  bool full;
};

/* The program's own name is empty in the list. Asked once: later a filter may kill for it. */
static const char *program_path(void) {
  static char path[MLOS_PATH_MAX];
  if (!path[0]) {
    long length = mlos_sys(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, MLOS_PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
  }
  return path;
}

/* An entry for a new object: that of the same path unloaded earlier, or a fresh one. */
static struct mlos_module *entry_for(struct walk *walk, const struct mlos_object_seen *object, const char *path, size_t length) {
  struct mlos_header *header = walk->header;
  struct mlos_module *modules = mlos_table_modules(header);
  for (uint32_t i = 0; i < header->modules_count; i++)
    if (modules[i].state == MLOS_MODULE_UNLOADED && modules[i].name_space == object->name_space &&
        mlos_table_has_path(header, &modules[i], path, length))
      return &modules[i];
  if (header->modules_count >= MLOS_MODULE_CAPACITY || header->strings_used + length > MLOS_STRING_BYTES)
    return NULL;
  struct mlos_module *module = &modules[header->modules_count];
  memset(module, 0, sizeof *module);
  module->id = next_id++;
  module->first_load_ns = walk->now_ns;
  module->path_offset = header->strings_used;
  module->path_length = (uint32_t)length;
  memcpy(mlos_table_strings(header) + header->strings_used, path, length);
  header->strings_used += (uint32_t)length;
  header->modules_count++;
  return module;
}

/* What this loading of it is. The file may be another one than the last time. */
static void describe(struct walk *walk, struct mlos_module *module, const struct mlos_object_seen *object, const char *path) {
  module->flags = (walk->at_start ? MLOS_MODULE_AT_START : 0u) | (object->is_main ? MLOS_MODULE_MAIN : 0u) |
                  (strnlen(path, MLOS_PATH_MAX) == MLOS_PATH_MAX ? MLOS_MODULE_PATH_TRUNCATED : 0u) | MLOS_MODULE_NO_IDENTITY;
  module->name_space = object->name_space;
  module->device = module->inode = 0;
  module->load_address = object->load_address;
  module->map_start = module->map_end = 0;
  module->last_load_ns = walk->now_ns;
  module->unload_ns = 0;
  module->build_id_length = 0;
  struct dl_phdr_info info = {.dlpi_addr = object->load_address, .dlpi_name = path};
  if (object->info) {
    info = *object->info;
  } else {
    unsigned count = 0;
    info.dlpi_phdr = mlos_read_headers(object->map, &count);
    info.dlpi_phnum = (ElfW(Half))count;
  }
  if (!info.dlpi_phdr) {
    module->flags |= MLOS_MODULE_NO_HEADERS;
    return;
  }
  mlos_module_describe(&info, module);
  uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
  if (vdso >= module->map_start && vdso < module->map_end)
    module->flags |= MLOS_MODULE_VIRTUAL;
  if (object->name_space == 0)
    cxx_seen = cxx_seen || (mlos_agent.cxx_bypasses && mlos_is_cxx_code(&info, path));
}

static void add_module(struct walk *walk, const struct mlos_object_seen *object) {
  struct mlos_header *header = walk->header;
  const char *path = object->is_main ? program_path() : object->name;
  struct mlos_module *module = entry_for(walk, object, path, strnlen(path, MLOS_PATH_MAX));
  if (!module) {
    walk->full = true;
    header->modules_dropped++;
    return;
  }
  describe(walk, module, object, path);
  module->state = MLOS_MODULE_LOADED;
  uint32_t index = (uint32_t)(module - mlos_table_modules(header));
  seen_in[index] = walk_number;
  walk->expected = index + 1;
  mlos_event(MLOS_EVENT_LOADED, module->id, 0, NULL);
}

static void see(struct walk *walk, const struct mlos_object_seen *object) {
  struct mlos_header *header = walk->header;
  walk->loaded++;
  for (uint32_t step = 0; step < header->modules_count; step++) {
    uint32_t index = (walk->expected + step) % header->modules_count;
    if (seen_in[index] == walk_number || !mlos_table_is_entry_of(header, &mlos_table_modules(header)[index], object))
      continue;
    seen_in[index] = walk_number;
    walk->expected = index + 1;
    return;
  }
  add_module(walk, object);
}

/* The objects of other namespaces, and how many objects each has: see is_complete. */
static bool visit_map(const struct link_map *map, int32_t name_space, bool is_alias, void *data) {
  struct walk *walk = data;
  if (name_space != walk->name_space) {
    walk->name_space = name_space;
    walk->in_name_space = 0;
  }
  if (name_space == 0)
    return false;
  walk->others++;
  walk->squares += 2 * (size_t)walk->in_name_space++ + 1;
  if (!is_alias)
    see(walk, &(struct mlos_object_seen){
                  .map = map, .name_space = name_space, .load_address = map->l_addr, .name = map->l_name ? map->l_name : ""});
  return false;
}

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
  struct walk *walk = data;
  bool is_main = walk->in_base++ == 0;
  see(walk,
      &(struct mlos_object_seen){
          .info = info, .load_address = info->dlpi_addr, .name = info->dlpi_name ? info->dlpi_name : "", .is_main = is_main});
  if (is_main) {
    /* Within the first visit: the lists must not change between here and the last one. */
    walk->counted = (size_t)(info->dlpi_adds - info->dlpi_subs);
    mlos_each_link_map(visit_map, walk);
  }
  return 0;
}

/* Whether all that ld.so counts was seen. It counts every object of the base namespace, and the objects of another as often
   as that one has objects (in all versions to 2.42; the number itself is accepted too, should that be mended). A namespace
   that is just being made is counted before its list can be found. */
static bool is_complete(const struct walk *walk) {
  return walk->counted == walk->in_base + walk->squares || walk->counted == walk->in_base + walk->others;
}

static void retire_unseen(struct walk *walk) {
  struct mlos_module *modules = mlos_table_modules(walk->header);
  for (uint32_t i = 0; i < walk->header->modules_count; i++) {
    if (modules[i].state != MLOS_MODULE_LOADED || seen_in[i] == walk_number)
      continue;
    modules[i].state = MLOS_MODULE_UNLOADED;
    modules[i].unload_ns = walk->now_ns;
    mlos_event(MLOS_EVENT_UNLOADED, modules[i].id, 0, NULL);
  }
}

/* Device and inode, outside ld.so's lock: a file system may be slow. */
static void identify_files(struct mlos_header *header) {
  struct mlos_module *modules = mlos_table_modules(header);
  /* Not on the stack: it may be a coroutine's. One writer at a time. */
  static char path[MLOS_PATH_MAX];
  for (uint32_t i = 0; i < header->modules_count; i++) {
    struct mlos_module *module = &modules[i];
    if (module->state != MLOS_MODULE_LOADED || !(module->flags & MLOS_MODULE_NO_IDENTITY) || seen_in[i] == 0 ||
        module->last_load_ns < header->table_updated_ns || module->path_length >= MLOS_PATH_MAX)
      continue;
    memcpy(path, mlos_table_strings(header) + module->path_offset, module->path_length);
    path[module->path_length] = 0;
    struct stat status;
    if ((module->flags & MLOS_MODULE_VIRTUAL) || mlos_sys(SYS_newfstatat, AT_FDCWD, path, &status, 0) != 0)
      continue;
    mlos_table_write_begin(header);
    module->device = status.st_dev;
    module->inode = status.st_ino;
    stamps[i] = mlos_file_stamp((uint64_t)status.st_size, (uint64_t)status.st_mtim.tv_sec, (uint64_t)status.st_mtim.tv_nsec);
    module->flags &= ~(uint32_t)MLOS_MODULE_NO_IDENTITY;
    mlos_table_write_end(header);
  }
}

bool mlos_module_file(uintptr_t load_address, struct mlos_file *file) {
  struct mlos_header *header = mlos_agent.header;
  struct mlos_module *modules = mlos_table_modules(header);
  bool found = false;
  if (atomic_flag_test_and_set_explicit(&mlos_agent.modules_lock, memory_order_acquire))
    return false;
  for (uint32_t i = 0; i < header->modules_count && !found; i++) {
    found = modules[i].state == MLOS_MODULE_LOADED && modules[i].name_space == 0 && modules[i].load_address == load_address &&
            !(modules[i].flags & (MLOS_MODULE_NO_IDENTITY | MLOS_MODULE_AT_START));
    if (found)
      *file = (struct mlos_file){modules[i].device, modules[i].inode, stamps[i]};
  }
  atomic_flag_clear_explicit(&mlos_agent.modules_lock, memory_order_release);
  return found;
}

static int read_counters(struct dl_phdr_info *info, size_t size, void *data) {
  struct walk *walk = data;
  walk->adds = info->dlpi_adds;
  walk->subs = info->dlpi_subs;
  return 1;
}

void mlos_loader_counters(uint64_t *adds, uint64_t *subs) {
  struct walk walk = {0};
  mlos_iterate_objects(read_counters, &walk);
  *adds = walk.adds;
  *subs = walk.subs;
}

/* All places or all string bytes are taken: names and entries start over, with the loaded objects only. Ids go on. */
static void start_over(struct mlos_header *header) {
  mlos_table_write_begin(header);
  header->modules_epoch++;
  header->modules_count = 0;
  header->strings_used = 0;
  mlos_table_write_end(header);
}

static void walk_objects(struct walk *walk) {
  walk_number++;
  walk->loaded = walk->expected = walk->in_name_space = 0;
  walk->in_base = walk->others = walk->squares = walk->counted = 0;
  walk->name_space = 0;
  walk->full = false;
  mlos_table_write_begin(walk->header);
  mlos_iterate_objects(visit, walk);
  retire_unseen(walk);
  mlos_table_write_end(walk->header);
}

/* The loader's part of bringing the table up to date. False: nothing had changed. */
static bool look(struct walk *walk) {
  struct mlos_header *header = walk->header;
  /* Counters first: what changes during the walk is seen by the next one. */
  mlos_loader_counters(&walk->adds, &walk->subs);
  if (walk->adds == header->dl_adds && walk->subs == header->dl_subs && header->modules_count != 0)
    return false;
  walk_objects(walk);
  if (walk->full && header->modules_count > walk->loaded) {
    start_over(header);
    walk_objects(walk);
  }
  uint32_t name_spaces = !is_complete(walk) ? MLOS_NAMESPACES_NOT_LISTED
                         : walk->others     ? MLOS_NAMESPACES_LISTED
                                            : MLOS_NAMESPACES_BASE_ONLY;
  __atomic_store_n(&header->name_spaces, name_spaces, __ATOMIC_RELAXED);
  /* Before glibc 2.35 looking again would show no more. */
  if (is_complete(walk) || header->glibc_minor < 35) {
    header->dl_adds = walk->adds;
    header->dl_subs = walk->subs;
  }
  return true;
}

static int64_t loaded_modules(struct mlos_header *header) {
  int64_t loaded = 0;
  for (uint32_t i = 0; i < header->modules_count; i++)
    loaded += mlos_table_modules(header)[i].state == MLOS_MODULE_LOADED;
  return loaded;
}

/* -1: a thread is forking just now. */
static int64_t refresh(bool at_start) {
  struct mlos_header *header = mlos_agent.header;
  struct walk walk = {.header = header, .now_ns = mlos_now_ns(), .at_start = at_start};
  if (!mlos_forks_hold())
    return -1;
  bool changed = look(&walk);
  mlos_forks_release();
  if (changed) {
    if (!atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed))
      identify_files(header);
    header->table_updated_ns = walk.now_ns;
  }
  mlos_cache_tell(header);
  if (mlos_agent.cxx_bypasses && header->state == MLOS_STATE_ACTIVE && cxx_seen)
    mlos_set_state(MLOS_STATE_LOADER_ONLY, MLOS_REASON_MIXED_ALLOCATOR);
  return loaded_modules(header);
}

int64_t mlos_modules_refresh(bool at_start) {
  int64_t loaded = -1;
  atomic_store_explicit(&mlos_agent.modules_pending, true, memory_order_release);
  while (atomic_load_explicit(&mlos_agent.modules_pending, memory_order_acquire)) {
    if (atomic_flag_test_and_set_explicit(&mlos_agent.modules_lock, memory_order_acquire))
      return loaded;
    atomic_store_explicit(&mlos_agent.modules_pending, false, memory_order_relaxed);
    loaded = refresh(at_start);
    atomic_flag_clear_explicit(&mlos_agent.modules_lock, memory_order_release);
    if (loaded < 0) {
      atomic_store_explicit(&mlos_agent.modules_pending, true, memory_order_relaxed);
      return loaded;
    }
  }
  return loaded;
}

#pragma clang attribute pop
