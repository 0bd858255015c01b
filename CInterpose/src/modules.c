/*
 * The table of mapped objects. dl_iterate_phdr is the truth; its two counters say whether anything changed since the last
 * look. It walks the namespace this library is in; objects of other namespaces (dlmopen) are not seen.
 *
 * One writer at a time under modules_lock, which is only tried: who finds it taken sets modules_pending, and the holder
 * looks again. Readers in the supervisor use the sequence in the header.
 */
#include "agent.h"
#include "sys.h"
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

/* Which walk has seen an entry last; also marks entries whose file has not been looked at. */
static uint32_t seen_in[MLOS_MODULE_CAPACITY];
static uint32_t walk_number;
static uint32_t next_id = 1;

static bool cxx_seen; /* an object that needs a C++ runtime, other than the allocator and the runtimes */

struct walk {
  struct mlos_header *header;
  uint64_t now_ns;
  uint64_t adds, subs;
  uint32_t expected; /* where the next object stood last time: a walk is linear, not quadratic */
  uint32_t loaded;
  bool at_start;
  bool full;
};

static struct mlos_module *modules_of(struct mlos_header *header) {
  return (struct mlos_module *)(void *)((uint8_t *)header + MLOS_MODULES_OFFSET);
}

static uint8_t *strings_of(struct mlos_header *header) {
  return (uint8_t *)header + MLOS_STRINGS_OFFSET;
}

static void write_begin(struct mlos_header *header) {
  __atomic_store_n(&header->modules_sequence, header->modules_sequence + 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void write_end(struct mlos_header *header) {
  __atomic_store_n(&header->modules_sequence, header->modules_sequence + 1, __ATOMIC_RELEASE);
}

static bool has_path(struct mlos_header *header, const struct mlos_module *module, const char *path, size_t length) {
  return module->path_length == length && memcmp(strings_of(header) + module->path_offset, path, length) == 0;
}

/* The program's own name is empty in the list. */
static const char *path_of(const struct dl_phdr_info *info, bool is_main, char buffer[MLOS_PATH_MAX]) {
  if (!is_main)
    return info->dlpi_name ? info->dlpi_name : "";
  long length = mlos_sys(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", buffer, MLOS_PATH_MAX - 1);
  if (length < 0)
    length = 0;
  buffer[length] = 0;
  return buffer;
}

static void read_build_id(const struct dl_phdr_info *info, struct mlos_module *module) {
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_NOTE)
      continue;
    const uint8_t *note = (const uint8_t *)(info->dlpi_addr + header->p_vaddr), *end = note + header->p_memsz;
    while (note + sizeof(ElfW(Nhdr)) <= end) {
      const ElfW(Nhdr) *entry = (const ElfW(Nhdr) *)(const void *)note;
      const uint8_t *name = note + sizeof *entry, *value = name + ((entry->n_namesz + 3u) & ~3u);
      if (value + entry->n_descsz > end)
        break;
      if (entry->n_type == NT_GNU_BUILD_ID && entry->n_namesz == 4 && memcmp(name, "GNU", 4) == 0 &&
          entry->n_descsz <= MLOS_BUILD_ID_MAX) {
        module->build_id_length = entry->n_descsz;
        memcpy(module->build_id, value, entry->n_descsz);
        return;
      }
      note = value + ((entry->n_descsz + 3u) & ~3u);
    }
  }
}

static void read_extent(const struct dl_phdr_info *info, struct mlos_module *module) {
  uint64_t lowest = UINT64_MAX, highest = 0;
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type == PT_TLS)
      module->flags |= MLOS_MODULE_HAS_TLS;
    if (header->p_type != PT_LOAD)
      continue;
    uint64_t start = info->dlpi_addr + header->p_vaddr;
    lowest = start < lowest ? start : lowest;
    highest = start + header->p_memsz > highest ? start + header->p_memsz : highest;
  }
  module->map_start = lowest & ~4095ULL;
  module->map_end = (highest + 4095u) & ~4095ULL;
}

static bool is_cxx_runtime(const char *name) {
  return strstr(name, "libstdc++.so") || strstr(name, "libc++.so");
}

/* With an allocator that defines operator new, C++ code calls that and not our malloc. Such code is told by what it needs:
   libstdc++ or libc++. The allocators themselves need it too, and it needs nothing of its own. */
static bool is_cxx_code(const struct dl_phdr_info *info, const char *path) {
  const ElfW(Dyn) *dynamic = NULL;
  const char *strings = NULL;
  if (info->dlpi_addr <= mlos_allocator_facts.start && mlos_allocator_facts.start < info->dlpi_addr + 4096)
    return false;
  for (unsigned i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
      dynamic = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
  for (const ElfW(Dyn) *entry = dynamic; entry && entry->d_tag != DT_NULL; entry++)
    if (entry->d_tag == DT_STRTAB)
      strings = (const char *)entry->d_un.d_ptr;
  if (!strings || (uintptr_t)strings < info->dlpi_addr || is_cxx_runtime(path))
    return false;
  for (const ElfW(Dyn) *entry = dynamic; entry->d_tag != DT_NULL; entry++)
    if (entry->d_tag == DT_NEEDED && is_cxx_runtime(strings + entry->d_un.d_val))
      return true;
  return false;
}

/* An entry for a new object: that of the same path unloaded earlier, or a fresh one. */
static struct mlos_module *entry_for(struct walk *walk, const char *path, size_t length) {
  struct mlos_header *header = walk->header;
  struct mlos_module *modules = modules_of(header);
  for (uint32_t i = 0; i < header->modules_count; i++)
    if (modules[i].state == MLOS_MODULE_UNLOADED && has_path(header, &modules[i], path, length))
      return &modules[i];
  if (header->modules_count >= MLOS_MODULE_CAPACITY || header->strings_used + length > MLOS_STRING_BYTES)
    return NULL;
  struct mlos_module *module = &modules[header->modules_count];
  memset(module, 0, sizeof *module);
  module->id = next_id++;
  module->first_load_ns = walk->now_ns;
  module->path_offset = header->strings_used;
  module->path_length = (uint32_t)length;
  memcpy(strings_of(header) + header->strings_used, path, length);
  header->strings_used += (uint32_t)length;
  header->modules_count++;
  return module;
}

static void add_module(struct walk *walk, const struct dl_phdr_info *info, const char *path, bool is_main) {
  struct mlos_header *header = walk->header;
  size_t length = strnlen(path, MLOS_PATH_MAX);
  struct mlos_module *module = entry_for(walk, path, length);
  if (!module) {
    walk->full = true;
    header->modules_dropped++;
    return;
  }
  module->flags = (walk->at_start ? MLOS_MODULE_AT_START : 0u) | (is_main ? MLOS_MODULE_MAIN : 0u) | MLOS_MODULE_NO_IDENTITY;
  if (length == MLOS_PATH_MAX)
    module->flags |= MLOS_MODULE_PATH_TRUNCATED;
  uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
  module->load_address = info->dlpi_addr;
  module->last_load_ns = walk->now_ns;
  module->unload_ns = 0;
  read_extent(info, module);
  if (vdso >= module->map_start && vdso < module->map_end)
    module->flags |= MLOS_MODULE_VIRTUAL;
  read_build_id(info, module);
  cxx_seen = cxx_seen || (mlos_agent.cxx_bypasses && is_cxx_code(info, path));
  module->state = MLOS_MODULE_LOADED;
  uint32_t index = (uint32_t)(module - modules_of(header));
  seen_in[index] = walk_number;
  walk->expected = index + 1;
  mlos_event(MLOS_EVENT_LOADED, module->id, 0, NULL);
}

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
  struct walk *walk = data;
  struct mlos_header *header = walk->header;
  struct mlos_module *modules = modules_of(header);
  static char buffer[MLOS_PATH_MAX];
  bool is_main = walk->loaded++ == 0;
  const char *path = NULL;
  for (uint32_t step = 0; step < header->modules_count; step++) {
    uint32_t index = (walk->expected + step) % header->modules_count;
    struct mlos_module *module = &modules[index];
    if (module->state != MLOS_MODULE_LOADED || module->load_address != info->dlpi_addr || seen_in[index] == walk_number)
      continue;
    bool same = (module->flags & MLOS_MODULE_MAIN) != 0;
    if (!is_main) {
      path = info->dlpi_name ? info->dlpi_name : "";
      same = has_path(header, module, path, strnlen(path, MLOS_PATH_MAX));
    }
    if (!same)
      continue;
    seen_in[index] = walk_number;
    walk->expected = index + 1;
    return 0;
  }
  add_module(walk, info, path_of(info, is_main, buffer), is_main);
  return 0;
}

static void retire_unseen(struct walk *walk) {
  struct mlos_module *modules = modules_of(walk->header);
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
  struct mlos_module *modules = modules_of(header);
  char path[MLOS_PATH_MAX];
  for (uint32_t i = 0; i < header->modules_count; i++) {
    struct mlos_module *module = &modules[i];
    if (module->state != MLOS_MODULE_LOADED || !(module->flags & MLOS_MODULE_NO_IDENTITY) || seen_in[i] == 0 ||
        module->last_load_ns < header->table_updated_ns || module->path_length >= MLOS_PATH_MAX)
      continue;
    memcpy(path, strings_of(header) + module->path_offset, module->path_length);
    path[module->path_length] = 0;
    struct stat status;
    if ((module->flags & MLOS_MODULE_VIRTUAL) || mlos_sys(SYS_newfstatat, AT_FDCWD, path, &status, 0) != 0)
      continue;
    write_begin(header);
    module->device = status.st_dev;
    module->inode = status.st_ino;
    module->flags &= ~(uint32_t)MLOS_MODULE_NO_IDENTITY;
    write_end(header);
  }
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
  write_begin(header);
  header->modules_epoch++;
  header->modules_count = 0;
  header->strings_used = 0;
  write_end(header);
}

static void walk_objects(struct walk *walk) {
  walk_number++;
  walk->loaded = walk->expected = 0;
  walk->full = false;
  write_begin(walk->header);
  mlos_iterate_objects(visit, walk);
  retire_unseen(walk);
  write_end(walk->header);
}

static int64_t refresh(bool at_start) {
  struct mlos_header *header = mlos_agent.header;
  struct walk walk = {.header = header, .now_ns = mlos_now_ns(), .at_start = at_start};
  /* Counters first: what changes during the walk is seen by the next one. */
  mlos_loader_counters(&walk.adds, &walk.subs);
  if (walk.adds != header->dl_adds || walk.subs != header->dl_subs || header->modules_count == 0) {
    walk_objects(&walk);
    if (walk.full && header->modules_count > walk.loaded) {
      start_over(header);
      walk_objects(&walk);
    }
    header->dl_adds = walk.adds;
    header->dl_subs = walk.subs;
    if (!atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed))
      identify_files(header);
    header->table_updated_ns = walk.now_ns;
  }
  if (mlos_agent.cxx_bypasses && header->state == MLOS_STATE_ACTIVE && cxx_seen)
    mlos_set_state(MLOS_STATE_LOADER_ONLY, MLOS_REASON_MIXED_ALLOCATOR);
  int64_t loaded = 0;
  for (uint32_t i = 0; i < header->modules_count; i++)
    loaded += modules_of(header)[i].state == MLOS_MODULE_LOADED;
  return loaded;
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
  }
  return loaded;
}

/* glibc's handle is the object's link_map. An invalid handle is the host's error: the real dlclose would read it too. */
uint32_t mlos_module_of_handle(void *handle) {
  const struct link_map *map = handle;
  struct mlos_header *header = mlos_agent.header;
  if (!map || !map->l_name)
    return 0;
  size_t length = strnlen(map->l_name, MLOS_PATH_MAX);
  const struct mlos_module *modules = modules_of(header);
  for (uint32_t i = 0; i < header->modules_count; i++)
    if (modules[i].state == MLOS_MODULE_LOADED && modules[i].load_address == map->l_addr &&
        ((modules[i].flags & MLOS_MODULE_MAIN) || has_path(header, &modules[i], map->l_name, length)))
      return modules[i].id;
  return 0;
}

static struct mlos_module *module_with(uint32_t id) {
  struct mlos_module *modules = modules_of(mlos_agent.header);
  for (uint32_t i = 0; id && i < mlos_agent.header->modules_count; i++)
    if (modules[i].id == id)
      return &modules[i];
  return NULL;
}

bool mlos_module_is_loaded(uint32_t id) {
  const struct mlos_module *module = module_with(id);
  return module && module->state == MLOS_MODULE_LOADED;
}

void mlos_module_count_close(uint32_t id) {
  struct mlos_module *module = module_with(id);
  if (module)
    __atomic_fetch_add(&module->dlclose_count, 1, __ATOMIC_RELAXED);
}
