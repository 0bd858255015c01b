/* See module_hazards.h. */
#include "module_hazards.h"
#include "loader.h"
#include "module_cache.h"
#include "module_table.h"
#include "sys.h"
#include <elf.h>
#include <string.h>

#include "rare.h"

static bool is_unique(const ElfW(Sym) * symbol, const char *name) {
  return ELF64_ST_BIND(symbol->st_info) == STB_GNU_UNIQUE && symbol->st_shndx != SHN_UNDEF;
}

static bool makes_tls_destructors(const ElfW(Sym) * symbol, const char *name) {
  return symbol->st_shndx == SHN_UNDEF && strncmp(name, "__cxa_thread_atexit", 19) == 0;
}

static bool is_python_module(const ElfW(Sym) * symbol, const char *name) {
  return symbol->st_shndx != SHN_UNDEF && strncmp(name, "PyInit_", 7) == 0;
}

/* The note that Go's linker writes: its name is "Go", its type 4. */
static bool is_go(const struct mlos_library *library) {
  for (unsigned i = 0; i < library->headers_count; i++) {
    const ElfW(Phdr) *header = &library->headers[i];
    if (header->p_type != PT_NOTE)
      continue;
    const uint8_t *note = (const uint8_t *)(library->base + header->p_vaddr), *end = note + header->p_memsz;
    while (note + sizeof(ElfW(Nhdr)) + 4 <= end) {
      const ElfW(Nhdr) *entry = (const ElfW(Nhdr) *)(const void *)note;
      if (entry->n_type == 4 && memcmp(note + sizeof *entry, "Go\0", 4) == 0)
        return true;
      note += sizeof *entry + ((entry->n_namesz + 3ULL) & ~3ULL) + ((entry->n_descsz + 3ULL) & ~3ULL);
    }
  }
  return false;
}

static uint32_t family_of(const struct mlos_library *library) {
  static const struct {
    const char *prefix;
    uint32_t family;
  } names[] = {{"libgomp", MLOS_FAMILY_OPENMP}, {"libiomp", MLOS_FAMILY_OPENMP}, {"libomp", MLOS_FAMILY_OPENMP},
               {"libcu", MLOS_FAMILY_CUDA},     {"libnv", MLOS_FAMILY_CUDA},     {"libnccl", MLOS_FAMILY_CUDA},
               {"libQt", MLOS_FAMILY_QT},       {"libjvm.so", MLOS_FAMILY_JVM},  {"libjava.so", MLOS_FAMILY_JVM}};
  const char *name = strrchr(library->map->l_name, '/');
  name = name ? name + 1 : library->map->l_name;
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (strncmp(name, names[i].prefix, strlen(names[i].prefix)) == 0)
      return names[i].family;
  if (mlos_library_symbol(library, is_python_module))
    return MLOS_FAMILY_PYTHON;
  return is_go(library) ? MLOS_FAMILY_GO : MLOS_FAMILY_NONE;
}

struct need {
  const struct mlos_library *library;
  uintptr_t by;
};

static bool needs(const struct link_map *map, int32_t name_space, bool is_alias, void *data) {
  struct need *need = data;
  const char *strings = NULL;
  if (name_space != 0 || map == need->library->map || !map->l_ld)
    return name_space != 0;
  for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++)
    if (entry->d_tag == DT_STRTAB)
      strings = (const char *)(entry->d_un.d_ptr < map->l_addr ? entry->d_un.d_ptr + map->l_addr : entry->d_un.d_ptr);
  for (const ElfW(Dyn) *entry = map->l_ld; strings && entry->d_tag != DT_NULL; entry++)
    if (entry->d_tag == DT_NEEDED && mlos_is_named(need->library->map, strings + entry->d_un.d_val))
      need->by = map->l_addr;
  return need->by != 0;
}

static int find_need(struct dl_phdr_info *info, size_t size, void *data) {
  mlos_each_link_map(needs, data);
  return 1;
}

static struct mlos_hazard needed_by(const struct mlos_library *library) {
  struct need need = {.library = library};
  struct mlos_module *modules = mlos_table_modules(mlos_agent.header);
  mlos_iterate_objects(find_need, &need);
  if (!need.by)
    return (struct mlos_hazard){0};
  for (uint32_t i = 0; i < mlos_agent.header->modules_count; i++)
    if (modules[i].state == MLOS_MODULE_LOADED && modules[i].name_space == 0 && modules[i].load_address == need.by)
      return (struct mlos_hazard){MLOS_REFUSAL_NEEDED_BY, modules[i].id};
  return (struct mlos_hazard){MLOS_REFUSAL_NEEDED_BY, 0};
}

/* What can be read from the library itself. */
static struct mlos_hazard nature(const struct mlos_library *library) {
  if ((library->flags_1 & DF_1_NODELETE) || mlos_cache_was_pinned(library->map->l_name))
    return (struct mlos_hazard){MLOS_REFUSAL_NODELETE, 0};
  if (mlos_library_symbol(library, is_unique))
    return (struct mlos_hazard){MLOS_REFUSAL_UNIQUE_SYMBOL, 0};
  return (struct mlos_hazard){0};
}

/* What the process would still do with it. */
static struct mlos_hazard use_of(const struct mlos_library *library, uintptr_t own_frame) {
  uint32_t family = family_of(library);
  if (family)
    return (struct mlos_hazard){MLOS_REFUSAL_FAMILY, family};
  struct mlos_hazard hazard = mlos_registration_hazard(library);
  return hazard.reason ? hazard : mlos_thread_hazard(library, own_frame);
}

struct mlos_hazard mlos_hazards(const struct mlos_library *library, uintptr_t own_frame) {
  struct mlos_hazard hazard = nature(library);
  if (!hazard.reason)
    hazard = needed_by(library);
  if (!hazard.reason)
    hazard = use_of(library, own_frame);
  /* And those that would go with it. */
  const struct link_map *map;
  for (uint32_t i = 1; !hazard.reason && (map = mlos_brought(library->map, i)); i++) {
    struct mlos_library other;
    if (mlos_opens(map) == 0 && !mlos_is_global(map) && mlos_library_read(map, &other))
      hazard = use_of(&other, own_frame);
  }
  return hazard;
}

struct mlos_hazard mlos_why_mapped(const struct mlos_library *library) {
  struct mlos_hazard hazard = nature(library);
  if (!hazard.reason)
    hazard = needed_by(library);
  if (!hazard.reason && mlos_library_symbol(library, makes_tls_destructors))
    hazard.reason = MLOS_REFUSAL_TLS_DESTRUCTOR;
  if (!hazard.reason)
    hazard.reason = MLOS_REFUSAL_STAYED;
  return hazard;
}

#pragma clang attribute pop
