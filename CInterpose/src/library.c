/* See library.h. */
#include "library.h"
#include "hooks.h"
#include "loader.h"
#include "sys.h"
#include <dlfcn.h>
#include <elf.h>
#include <string.h>
#include <sys/uio.h>

#include "rare.h"

/* How far ld.so's structure is read; it is larger in every version from 2.28 to 2.42. */
#define MAP_BYTES 1024u

/* What follows the public part, the same since 2.2; checked before each use. */
struct private_map {
  struct link_map shown;
  const struct link_map *real;
  long name_space;
  struct name {
    const char *text;
    const struct name *next;
  } const *names;
};

static uint32_t opens_at, scope_at; /* places in ld.so's structure; 0: not known */

bool mlos_peek(void *to, uintptr_t from, size_t bytes) {
  struct iovec here = {to, bytes}, there = {(void *)from, bytes};
  return mlos_sys6(SYS_process_vm_readv, mlos_sys(SYS_getpid, 0, 0, 0, 0), (long)&here, 1, (long)&there, 1, 0) == (long)bytes;
}

static atomic_flag page_lock = ATOMIC_FLAG_INIT;

uint8_t *mlos_take_page(void) {
  static uint8_t page[4096] __attribute__((aligned(64)));
  return atomic_flag_test_and_set_explicit(&page_lock, memory_order_acquire) ? NULL : page;
}

void mlos_release_page(void) {
  atomic_flag_clear_explicit(&page_lock, memory_order_release);
}

static void read_entry(struct mlos_library *library, const ElfW(Dyn) * entry) {
  uintptr_t value = entry->d_un.d_ptr, address = value < library->base ? value + library->base : value;
  switch (entry->d_tag) {
  case DT_SYMTAB:
    library->symbols = (const ElfW(Sym) *)address;
    break;
  case DT_STRTAB:
    library->strings = (const char *)address;
    break;
  case DT_GNU_HASH:
    library->gnu_hash = (const uint32_t *)address;
    break;
  case DT_HASH:
    library->sysv_hash = (const uint32_t *)address;
    break;
  case DT_RELA:
  case DT_JMPREL:
    library->tables[entry->d_tag == DT_JMPREL] = (const ElfW(Rela) *)address;
    break;
  case DT_RELASZ:
  case DT_PLTRELSZ:
    library->relocations[entry->d_tag == DT_PLTRELSZ] = value / sizeof(ElfW(Rela));
    break;
  case DT_INIT_ARRAY:
    library->init_array = (const uint64_t *)(library->base + value);
    break;
  case DT_FINI_ARRAY:
    library->fini_array = (const uint64_t *)(library->base + value);
    break;
  case DT_INIT_ARRAYSZ:
    library->init_count = value / 8;
    break;
  case DT_FINI_ARRAYSZ:
    library->fini_count = value / 8;
    break;
  case DT_INIT:
    library->init = (const uint8_t *)(library->base + value);
    break;
  case DT_FINI:
    library->fini = (const uint8_t *)(library->base + value);
    break;
  case DT_PLTGOT:
    library->got = address;
    break;
  case DT_SONAME:
    library->soname = (const char *)value; /* an offset until all are read */
    break;
  case DT_FLAGS_1:
    library->flags_1 = value;
    break;
  case DT_TEXTREL:
  case DT_REL:
  case 36: /* DT_RELR, which elf.h has since glibc 2.36 */
    library->odd = true;
    break;
  case DT_FLAGS:
    library->odd |= (value & DF_TEXTREL) != 0;
    break;
  default:
    break;
  }
}

static int find_headers(struct dl_phdr_info *info, size_t size, void *data) {
  struct mlos_library *library = data;
  const struct private_map *map = (const struct private_map *)library->map;
  /* The list's name and the map's are one string: it tells two objects apart that lie nowhere (l_addr 0). */
  if (info->dlpi_addr != library->base || info->dlpi_name != map->shown.l_name)
    return 0;
  library->headers = info->dlpi_phdr;
  library->headers_count = info->dlpi_phnum;
  return 1;
}

static bool same_map(const struct link_map *map, int32_t name_space, bool is_alias, void *data) {
  struct mlos_library *library = data;
  if (name_space != 0 || map != library->map)
    return name_space != 0;
  library->base = map->l_addr;
  library->odd = !map->l_prev || !map->l_ld;
  library->end = 1;
  return true;
}

static int find_map(struct dl_phdr_info *info, size_t size, void *data) {
  mlos_each_link_map(same_map, data);
  return 1;
}

bool mlos_library_read(const void *map, struct mlos_library *library) {
  *library = (struct mlos_library){.map = map};
  mlos_iterate_objects(find_map, library);
  if (library->end == 0 || library->odd)
    return false;
  const struct private_map *whole = map;
  if (whole->real != map || whole->name_space != 0)
    return false;
  mlos_iterate_objects(find_headers, library);
  library->start = UINTPTR_MAX;
  for (unsigned i = 0; i < library->headers_count; i++) {
    const ElfW(Phdr) *header = &library->headers[i];
    uintptr_t start = library->base + header->p_vaddr;
    if (header->p_type != PT_LOAD)
      continue;
    library->start = start < library->start ? start : library->start;
    library->end = start + header->p_memsz > library->end ? start + header->p_memsz : library->end;
  }
  for (const ElfW(Dyn) *entry = library->map->l_ld; entry->d_tag != DT_NULL; entry++)
    read_entry(library, entry);
  if (library->soname)
    library->soname = library->strings + (uintptr_t)library->soname;
  return library->start < library->end && library->symbols && library->strings;
}

bool mlos_library_is_text(const struct mlos_library *library, uintptr_t address) {
  if (address < library->start || address >= library->end)
    return false;
  for (unsigned i = 0; i < library->headers_count; i++)
    if (library->headers[i].p_type == PT_LOAD && (library->headers[i].p_flags & PF_X) &&
        address - library->base - library->headers[i].p_vaddr < library->headers[i].p_memsz)
      return true;
  return false;
}

uint32_t mlos_library_symbols(const struct mlos_library *library) {
  if (library->sysv_hash)
    return library->sysv_hash[1];
  if (!library->gnu_hash)
    return 0;
  uint32_t buckets = library->gnu_hash[0], first = library->gnu_hash[1], last = 0;
  const uint32_t *bucket = library->gnu_hash + 4 + 2 * library->gnu_hash[2], *chain = bucket + buckets;
  for (uint32_t i = 0; i < buckets; i++)
    last = bucket[i] > last ? bucket[i] : last;
  while (last >= first && last && !(chain[last - first] & 1))
    last++;
  return last < first ? first : last + 1;
}

const char *mlos_library_symbol(const struct mlos_library *library, bool (*judge)(const ElfW(Sym) * symbol, const char *name)) {
  uint32_t count = mlos_library_symbols(library);
  for (uint32_t i = 1; i < count; i++) {
    const char *name = library->strings + library->symbols[i].st_name;
    if (judge(&library->symbols[i], name))
      return name;
  }
  return NULL;
}

uint32_t mlos_opens(const struct link_map *map) {
  return opens_at ? __atomic_load_n((const uint32_t *)(const void *)((const uint8_t *)map + opens_at), __ATOMIC_ACQUIRE) : 0;
}

bool mlos_opens_known(void) {
  return opens_at != 0;
}

bool mlos_own(struct link_map *map) {
  void *handle = mlos_real.dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD);
  if (handle && handle != map)
    mlos_real.dlclose(handle);
  return handle == map;
}

bool mlos_learn_opens(struct link_map *map) {
  const uint32_t *words = (const uint32_t *)(const void *)map;
  uint32_t *before = (uint32_t *)(void *)mlos_take_page(), place = 0, changed = 0;
  if (!before || opens_at)
    goto end;
  memcpy(before, words, MAP_BYTES);
  if (!mlos_own(map))
    goto end;
  for (uint32_t i = sizeof(struct private_map) / 4; i < MAP_BYTES / 4; i++)
    if (words[i] != before[i]) {
      changed++;
      place = i;
    }
  bool raised = changed == 1 && before[place] > 0 && words[place] == before[place] + 1;
  mlos_real.dlclose(map);
  /* Another thread may have opened it too just then: the next one tells. */
  if (raised && words[place] == before[place])
    opens_at = place * 4;
end:
  if (before)
    mlos_release_page();
  return opens_at != 0;
}

bool mlos_is_named(const struct link_map *map, const char *name) {
  const struct private_map *whole = (const struct private_map *)map;
  if (strcmp(map->l_name, name) == 0)
    return true;
  if (whole->real == map)
    for (const struct name *one = whole->names; one; one = one->next)
      if (strcmp(one->text, name) == 0)
        return true;
  const char *strings = NULL;
  uintptr_t soname = 0;
  for (const ElfW(Dyn) *entry = map->l_ld; entry && entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag == DT_STRTAB)
      strings = (const char *)(entry->d_un.d_ptr < map->l_addr ? entry->d_un.d_ptr + map->l_addr : entry->d_un.d_ptr);
    if (entry->d_tag == DT_SONAME)
      soname = entry->d_un.d_val;
  }
  return strings && soname && strcmp(strings + soname, name) == 0;
}

struct loaded {
  const char *name;
  bool found;
};

static bool is_it(const struct link_map *map, int32_t name_space, bool is_alias, void *data) {
  struct loaded *loaded = data;
  loaded->found = name_space == 0 && map->l_name && mlos_is_named(map, loaded->name);
  return loaded->found || name_space != 0;
}

static int find_loaded(struct dl_phdr_info *info, size_t size, void *data) {
  mlos_each_link_map(is_it, data);
  return 1;
}

bool mlos_is_loaded(const char *name) {
  struct loaded loaded = {.name = name};
  mlos_iterate_objects(find_loaded, &loaded);
  return loaded.found;
}

/* What ld.so calls a search list. */
struct scope {
  const struct link_map *const *maps;
  uint32_t count;
};

static bool first_map(const struct link_map *map, int32_t name_space, bool is_alias, void *data) {
  *(const struct link_map **)data = map;
  return true;
}

/* A list whose first is the program and whose others are all loaded objects. */
static bool is_scope(const struct scope *scope, const struct link_map *program) {
  const struct link_map *one = NULL;
  if (scope->count < 2 || scope->count > MLOS_MODULE_CAPACITY || ((uintptr_t)scope->maps & 7) || !scope->maps)
    return false;
  for (uint32_t i = 0; i < scope->count; i++) {
    if (!mlos_peek(&one, (uintptr_t)&scope->maps[i], sizeof one) || (i == 0 && one != program))
      return false;
    const struct link_map *known = program;
    while (known && known != one)
      known = known->l_next;
    if (!known)
      return false;
  }
  return true;
}

static int find_scope(struct dl_phdr_info *info, size_t size, void *data) {
  const struct link_map **program = data;
  mlos_each_link_map(first_map, program);
  for (uint32_t at = sizeof(struct private_map); *program && !scope_at && at + sizeof(struct scope) <= MAP_BYTES; at += 8)
    if (is_scope((const struct scope *)(const void *)((const uint8_t *)*program + at), *program))
      scope_at = at;
  return 1;
}

static const struct link_map *program;

static bool read_scope(const struct link_map *map, struct scope *scope) {
  if (!scope_at)
    mlos_iterate_objects(find_scope, &program);
  return scope_at && mlos_peek(scope, (uintptr_t)map + scope_at, sizeof *scope) && scope->maps && scope->count > 0;
}

/* Other threads may replace the list meanwhile; it then lies elsewhere, and nothing is said. */
static bool is_in(const struct scope *scope, const struct link_map *wanted, bool *found) {
  *found = false;
  for (uint32_t i = 0; i < scope->count; i++) {
    const struct link_map *one;
    if (!mlos_peek(&one, (uintptr_t)&scope->maps[i], sizeof one))
      return false;
    *found |= one == wanted;
  }
  return true;
}

bool mlos_is_global(const struct link_map *map) {
  struct scope scope, after;
  bool found;
  /* Its own list is empty where it was only brought by another: what counts is the program's, known after the first look. */
  read_scope(map, &scope);
  if (!program || !read_scope(program, &scope) || !is_in(&scope, map, &found))
    return true;
  return found || !read_scope(program, &after) || after.maps != scope.maps;
}

bool mlos_brings(const struct link_map *map, const struct link_map *needed) {
  struct scope scope;
  bool found;
  return !read_scope(map, &scope) || !is_in(&scope, needed, &found) || found;
}

const struct link_map *mlos_brought(const struct link_map *map, uint32_t index) {
  struct scope scope;
  const struct link_map *one;
  bool known = read_scope(map, &scope) && index < scope.count && mlos_peek(&one, (uintptr_t)&scope.maps[index], sizeof one);
  return known ? one : NULL;
}

bool mlos_is_alone(const struct link_map *map) {
  const struct link_map *one;
  for (uint32_t i = 1; (one = mlos_brought(map, i)); i++)
    if (!mlos_is_global(one))
      return false;
  return mlos_brought(map, 0) == map;
}

#pragma clang attribute pop
