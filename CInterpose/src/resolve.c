/*
 * Finding the real functions, by reading the loaded objects' symbol tables.
 *
 * dlsym(RTLD_NEXT) would do the same, but it allocates on some paths, and before glibc 2.34 it lives in libdl, which a
 * program need not have loaded. dl_iterate_phdr lists the start-up objects in lookup order and has always been in libc.
 */
#include "agent.h"
#include "counters.h"
#include "hooks.h"
#include "loader.h"
#include "object.h"
#include "sys.h"
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "rare.h"

struct mlos_real mlos_real;
struct mlos_allocator_facts mlos_allocator_facts;
bool mlos_sanitizer_present;

/* Offsets instead of pointers: each of those would cost 24 bytes of relocation in the file. */
static const struct hook_names {
#define MLOS_NAME(name, result, arguments) char name[sizeof #name];
  MLOS_HOOKS(MLOS_NAME)
} hook_names = {
#define MLOS_NAME_TEXT(name, result, arguments) .name = #name,
    MLOS_HOOKS(MLOS_NAME_TEXT)};
struct wanted {
  uint16_t name;  /* in hook_names */
  uint16_t place; /* in mlos_real */
};
static const struct wanted wanted[] = {
#define MLOS_WANTED(name, result, arguments) {offsetof(struct hook_names, name), offsetof(struct mlos_real, name)},
    MLOS_HOOKS(MLOS_WANTED)};
static const char *name_of(const struct wanted *one) {
  return (const char *)&hook_names + one->name;
}
static void **place_of(const struct wanted *one) {
  return (void **)(void *)((char *)&mlos_real + one->place);
}
#define WANTED_COUNT (sizeof wanted / sizeof wanted[0])

/* Executable ranges whose calls of malloc are not the host's own: libc, ld.so, the allocator, this library. */
#define RUNTIME_RANGES 8
static struct { uintptr_t start, end; } runtime_ranges[RUNTIME_RANGES];
static unsigned runtime_count;

static bool is_vdso(const char *name) {
  static const char prefix[] = "linux-";
  for (unsigned i = 0; prefix[i]; i++)
    if (!name || name[i] != prefix[i])
      return false;
  return true;
}

/* The debugger's list of objects, by way of the program's own dynamic section. Only for the start, with one thread. NULL where
   the program's load address is not to be found: without PT_PHDR, as in a library that is run by naming it to ld.so. */
static const struct link_map *first_link_map(void) {
  const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
  uintptr_t base = 0;
  bool base_known = false;
  unsigned long count = headers ? getauxval(AT_PHNUM) : 0;
  const ElfW(Phdr) *dynamic = NULL;
  for (unsigned long i = 0; i < count; i++) {
    if (headers[i].p_type == PT_PHDR) {
      base = (uintptr_t)headers - headers[i].p_vaddr;
      base_known = true;
    }
    if (headers[i].p_type == PT_DYNAMIC)
      dynamic = &headers[i];
  }
  if (!dynamic || !base_known)
    return NULL;
  for (const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(base + dynamic->p_vaddr); entry->d_tag != DT_NULL; entry++)
    if (entry->d_tag == DT_DEBUG && entry->d_un.d_ptr)
      return ((const struct r_debug *)entry->d_un.d_ptr)->r_map;
  return NULL;
}

typedef int iterate_function(int (*)(struct dl_phdr_info *, size_t, void *), void *);
static iterate_function *iterate;

/* libc's own dl_iterate_phdr, past whoever interposes it: TSan's crashes when it is called before TSan is ready. */
static void find_iterate(void) {
  for (const struct link_map *map = first_link_map(); map; map = map->l_next) {
    struct mlos_object object;
    if (!map->l_ld || is_vdso(map->l_name) || !mlos_object_read(map->l_addr, map->l_ld, &object))
      continue;
    if (mlos_object_find(&object, "gnu_get_libc_version"))
      iterate = (iterate_function *)mlos_object_find(&object, "dl_iterate_phdr");
  }
  if (!iterate)
    iterate = dl_iterate_phdr;
}

void mlos_iterate_objects(int (*visit)(struct dl_phdr_info *, size_t, void *), void *data) {
  iterate(visit, data);
}

static void note_runtime(const struct dl_phdr_info *info) {
  for (unsigned i = 0; i < info->dlpi_phnum && runtime_count < RUNTIME_RANGES; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
      continue;
    runtime_ranges[runtime_count].start = info->dlpi_addr + header->p_vaddr;
    runtime_ranges[runtime_count].end = info->dlpi_addr + header->p_vaddr + header->p_memsz;
    runtime_count++;
  }
}

static void note_extent(const struct dl_phdr_info *info) {
  uintptr_t lowest = UINTPTR_MAX, highest = 0;
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_LOAD)
      continue;
    uintptr_t start = info->dlpi_addr + header->p_vaddr;
    lowest = start < lowest ? start : lowest;
    highest = start + header->p_memsz > highest ? start + header->p_memsz : highest;
  }
  mlos_allocator_facts.start = lowest;
  mlos_allocator_facts.end = highest;
}

bool mlos_in_runtime(const void *address) {
  for (unsigned i = 0; i < runtime_count; i++)
    if ((uintptr_t)address >= runtime_ranges[i].start && (uintptr_t)address < runtime_ranges[i].end)
      return true;
  return false;
}

/* Told by containment: the address of an exported function may be somebody else's, who stands before us. */
static bool is_this_library(const struct dl_phdr_info *info) {
  static const char inside;
  uintptr_t here = (uintptr_t)&inside;
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    if (info->dlpi_phdr[i].p_type == PT_LOAD && here >= start && here < start + info->dlpi_phdr[i].p_memsz)
      return true;
  }
  return false;
}

static uint32_t identify(const struct mlos_object *object) {
  if (mlos_object_find(object, "gnu_get_libc_version"))
    return MLOS_ALLOCATOR_GLIBC;
  if (mlos_object_find(object, "mallctl"))
    return MLOS_ALLOCATOR_JEMALLOC;
  if (mlos_object_find(object, "MallocExtension_ReleaseFreeMemory") || mlos_object_find(object, "tc_version"))
    return MLOS_ALLOCATOR_TCMALLOC;
  if (mlos_object_find(object, "mi_version"))
    return MLOS_ALLOCATOR_MIMALLOC;
  return MLOS_ALLOCATOR_OTHER;
}

struct walk {
  bool behind_us;      /* objects after this library are where the real functions are */
  unsigned index;      /* of the object */
  unsigned definer[4]; /* object index of malloc, free, realloc, malloc_usable_size */
  struct mlos_object self;
};

static int resolve_object(struct dl_phdr_info *info, size_t size, void *data) {
  struct walk *walk = data;
  struct mlos_object object;
  if (walk->index++ == 0)
    mlos_loader_remember(info);
  if (is_vdso(info->dlpi_name))
    return 0;
  if (!mlos_object_of(info, &object))
    return 0;
  if (mlos_object_find(&object, "__asan_init") || mlos_object_find(&object, "__tsan_init") ||
      mlos_object_find(&object, "__msan_init") || mlos_object_find(&object, "__lsan_init"))
    mlos_sanitizer_present = true;
  bool is_libc = mlos_object_find(&object, "gnu_get_libc_version") != NULL;
  uintptr_t loader = getauxval(AT_BASE);
  if (is_libc || (loader && info->dlpi_addr == loader))
    note_runtime(info);
  if (is_this_library(info)) {
    note_runtime(info);
    walk->behind_us = true;
    walk->self = object;
    return 0;
  }
  void *malloc_here = mlos_object_find(&object, "malloc");
  if (!walk->behind_us) {
    void *free_here = mlos_object_find(&object, "free");
    if (!mlos_allocator_facts.front_free)
      mlos_allocator_facts.front_free = (mlos_free_function *)free_here;
    if (malloc_here) {
      mlos_allocator_facts.bypassed = true;
      if (mlos_allocator_facts.allocator == MLOS_ALLOCATOR_UNKNOWN)
        mlos_allocator_facts.allocator = identify(&object);
    }
    return 0;
  }
  for (unsigned i = 0; i < WANTED_COUNT; i++)
    if (!*place_of(&wanted[i]))
      *place_of(&wanted[i]) = mlos_object_find(&object, name_of(&wanted[i]));
  void *const four[4] = {(void *)mlos_real.malloc, (void *)mlos_real.free, (void *)mlos_real.realloc,
                         (void *)mlos_real.malloc_usable_size};
  for (unsigned i = 0; i < 4; i++)
    if (four[i] && !walk->definer[i])
      walk->definer[i] = walk->index;
  if (malloc_here && malloc_here == (void *)mlos_real.malloc) {
    mlos_allocator_facts.defines_new = mlos_object_find(&object, "_Znwm") != NULL;
    if (!is_libc)
      note_runtime(info);
    note_extent(info);
    if (!mlos_allocator_facts.bypassed)
      mlos_allocator_facts.allocator = identify(&object);
  }
  return 0;
}

/*
 * A program without a C++ runtime may load one later into a local scope, where it is found only by those who loaded it. An
 * operator new exported from here would stand before it, and cannot tell for whom it is called: calls that end in jumps
 * leave another object's return address. So what nobody defines behind us at start is taken out of this library's symbol
 * table before anything can be loaded, and looked up from then on as if we were not there. What somebody does define then
 * comes before all local scopes with or without us, for whoever finds us.
 */
static void withdraw_operators(const struct mlos_object *self) {
  static const struct wanted operators[] = {MLOS_HOOKS_NEW(MLOS_WANTED) MLOS_HOOKS_DELETE(MLOS_WANTED)};
  uintptr_t page = getauxval(AT_PAGESZ), first = UINTPTR_MAX, end = 0;
  uint32_t gone[sizeof operators / sizeof operators[0]], count = 0;
  for (unsigned i = 0; i < sizeof operators / sizeof operators[0]; i++) {
    uint32_t index = *place_of(&operators[i]) ? 0 : mlos_object_index(self, name_of(&operators[i]));
    if (index == 0)
      continue;
    uintptr_t place = (uintptr_t)&self->symbols[index];
    gone[count++] = index;
    first = place < first ? place : first;
    end = place + sizeof(ElfW(Sym)) > end ? place + sizeof(ElfW(Sym)) : end;
  }
  if (count == 0)
    return;
  first &= ~(page - 1);
  end = (end + page - 1) & ~(page - 1);
  if (mlos_sys(SYS_mprotect, first, end - first, PROT_READ | PROT_WRITE, 0) != 0)
    return;
  ElfW(Sym) *symbols = (ElfW(Sym) *)(uintptr_t)self->symbols;
  for (uint32_t i = 0; i < count; i++) {
    symbols[gone[i]].st_value = 0;
    symbols[gone[i]].st_shndx = SHN_UNDEF;
  }
  mlos_sys(SYS_mprotect, first, end - first, PROT_READ, 0);
}

void mlos_resolve(void) {
  struct walk walk = {0};
  find_iterate();
  iterate(resolve_object, &walk);
  bool same = walk.definer[0] != 0;
  for (unsigned i = 1; i < 4; i++)
    same = same && walk.definer[i] == walk.definer[0];
  mlos_allocator_facts.one_object = same && !mlos_allocator_facts.bypassed;
  if (walk.behind_us)
    withdraw_operators(&walk.self);
}

struct search {
  const char *name;
  void *found;
};

static int search_object(struct dl_phdr_info *info, size_t size, void *data) {
  struct search *search = data;
  struct mlos_object object;
  if (is_vdso(info->dlpi_name) || is_this_library(info) || !mlos_object_of(info, &object))
    return 0;
  void *address = mlos_object_find(&object, search->name);
  if (!address)
    return 0;
  search->found = address;
  return 1;
}

void *mlos_find_anywhere(const char *name) {
  struct search search = {.name = name};
  iterate(search_object, &search);
  return search.found;
}

#pragma clang attribute pop
