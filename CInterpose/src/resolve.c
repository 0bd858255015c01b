/*
 * Finding the real functions, by reading the loaded objects' symbol tables.
 *
 * dlsym(RTLD_NEXT) would do the same, but it allocates on some paths, and before glibc 2.34 it lives in libdl, which a
 * program need not have loaded. dl_iterate_phdr lists the start-up objects in lookup order and has always been in libc.
 */
#include "agent.h"
#include "counters.h"
#include "hooks.h"
#include "sys.h"
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>

struct mlos_real mlos_real;
struct mlos_allocator_facts mlos_allocator_facts;
bool mlos_sanitizer_present;

/* The parts of an object's dynamic section that a lookup needs. */
struct object {
  uintptr_t base;
  const ElfW(Sym) * symbols;
  const char *strings;
  const uint32_t *gnu_hash;
  const uint32_t *sysv_hash;
  const uint16_t *versions;
  const uint8_t *defined_versions;
};

struct wanted {
  const char *name;
  void **place;
};
static const struct wanted wanted[] = {
#define MLOS_WANTED(name, result, arguments) {#name, (void **)&mlos_real.name},
    MLOS_HOOKS(MLOS_WANTED)};
#define WANTED_COUNT (sizeof wanted / sizeof wanted[0])
#define HIDDEN_VERSION 0x8000u

/* Executable ranges whose calls of malloc are not the host's own: libc, ld.so, the allocator, this library. */
#define RUNTIME_RANGES 8
static struct { uintptr_t start, end; } runtime_ranges[RUNTIME_RANGES];
static unsigned runtime_count;

/* ld.so relocates most of these addresses in place, but not those of the vdso. */
static const void *address_in(uintptr_t base, ElfW(Addr) value) {
  return (const void *)(value < base ? value + base : value);
}

static bool read_dynamic(uintptr_t base, const ElfW(Dyn) * entry, struct object *object) {
  *object = (struct object){.base = base};
  for (; entry->d_tag != DT_NULL; entry++) {
    const void *address = address_in(base, entry->d_un.d_ptr);
    switch (entry->d_tag) {
    case DT_SYMTAB:
      object->symbols = address;
      break;
    case DT_STRTAB:
      object->strings = address;
      break;
    case DT_GNU_HASH:
      object->gnu_hash = address;
      break;
    case DT_HASH:
      object->sysv_hash = address;
      break;
    case DT_VERSYM:
      object->versions = address;
      break;
    case DT_VERDEF:
      object->defined_versions = address;
      break;
    default:
      break;
    }
  }
  return object->symbols && object->strings;
}

static bool read_object(const struct dl_phdr_info *info, struct object *object) {
  for (unsigned i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
      return read_dynamic(info->dlpi_addr, (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr), object);
  return false;
}

/* libc's string functions may be a sanitizer's that is not ready yet. */
static bool equal(const char *a, const char *b) {
  for (; *a && *a == *b; a++, b++)
    ;
  return *a == *b;
}

static bool is_vdso(const char *name) {
  static const char prefix[] = "linux-";
  for (unsigned i = 0; prefix[i]; i++)
    if (!name || name[i] != prefix[i])
      return false;
  return true;
}

static bool begins(const char *text, const char *prefix) {
  for (; *prefix; prefix++, text++)
    if (*text != *prefix)
      return false;
  return true;
}

/* References to operator new carry a version of libstdc++, or none. A definition of any other version is not theirs. */
static bool is_foreign_operator(const struct object *object, uint32_t index, const char *name) {
  unsigned version = object->versions[index];
  if (version <= VER_NDX_GLOBAL || !object->defined_versions || !(begins(name, "_Zn") || begins(name, "_Zd")))
    return false;
  for (const uint8_t *place = object->defined_versions;;) {
    const ElfW(Verdef) *entry = (const ElfW(Verdef) *)(const void *)place;
    if (entry->vd_ndx == version) {
      const char *text = object->strings + ((const ElfW(Verdaux) *)(const void *)(place + entry->vd_aux))->vda_name;
      return !begins(text, "GLIBCXX_") && !begins(text, "CXXABI_");
    }
    if (entry->vd_next == 0)
      return false;
    place += entry->vd_next;
  }
}

static bool defines(const struct object *object, uint32_t index, const char *name) {
  const ElfW(Sym) *symbol = &object->symbols[index];
  unsigned type = ELF64_ST_TYPE(symbol->st_info), binding = ELF64_ST_BIND(symbol->st_info);
  if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0 || binding == STB_LOCAL)
    return false;
  if (object->versions && (object->versions[index] & HIDDEN_VERSION))
    return false;
  if (type != STT_FUNC && type != STT_NOTYPE && type != STT_GNU_IFUNC)
    return false;
  return equal(object->strings + symbol->st_name, name) && !(object->versions && is_foreign_operator(object, index, name));
}

static void *address_of(const struct object *object, uint32_t index) {
  const ElfW(Sym) *symbol = &object->symbols[index];
  uintptr_t address = object->base + symbol->st_value;
  if (ELF64_ST_TYPE(symbol->st_info) != STT_GNU_IFUNC)
    return (void *)address;
#if defined(__x86_64__)
  return ((void *(*)(void))address)();
#else
  return NULL;
#endif
}

static uint32_t gnu_hash_of(const char *name) {
  uint32_t hash = 5381;
  for (; *name; name++)
    hash = hash * 33 + (uint8_t)*name;
  return hash;
}

/* The GNU hash table: header, Bloom filter, buckets, chains; a chain ends where bit 0 is set. */
static uint32_t find_gnu(const struct object *object, const char *name) {
  const uint32_t *table = object->gnu_hash;
  uint32_t bucket_count = table[0], first = table[1], bloom_size = table[2], bloom_shift = table[3];
  const ElfW(Addr) *bloom = (const ElfW(Addr) *)(table + 4);
  const uint32_t *buckets = (const uint32_t *)(bloom + bloom_size);
  const uint32_t *chains = buckets + bucket_count;
  if (bucket_count == 0)
    return 0;
  uint32_t hash = gnu_hash_of(name);
  ElfW(Addr) bits = bloom[(hash / 64) & (bloom_size - 1)];
  if (!((bits >> (hash % 64)) & (bits >> ((hash >> bloom_shift) % 64)) & 1))
    return 0;
  uint32_t index = buckets[hash % bucket_count];
  if (index < first)
    return 0;
  for (;; index++) {
    uint32_t entry = chains[index - first];
    if ((entry | 1) == (hash | 1) && defines(object, index, name))
      return index;
    if (entry & 1)
      return 0;
  }
}

/* The symbol's index; 0: not defined here. */
static uint32_t index_of(const struct object *object, const char *name) {
  if (object->gnu_hash)
    return find_gnu(object, name);
  if (!object->sysv_hash)
    return 0;
  for (uint32_t index = 1; index < object->sysv_hash[1]; index++)
    if (defines(object, index, name))
      return index;
  return 0;
}

static void *find_in(const struct object *object, const char *name) {
  uint32_t index = index_of(object, name);
  return index ? address_of(object, index) : NULL;
}

/* The debugger's list of objects, by way of the program's own dynamic section. Only for the start, with one thread. */
static const struct link_map *first_link_map(void) {
  const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
  uintptr_t base = 0;
  unsigned long count = headers ? getauxval(AT_PHNUM) : 0;
  const ElfW(Phdr) *dynamic = NULL;
  for (unsigned long i = 0; i < count; i++) {
    if (headers[i].p_type == PT_PHDR)
      base = (uintptr_t)headers - headers[i].p_vaddr;
    if (headers[i].p_type == PT_DYNAMIC)
      dynamic = &headers[i];
  }
  if (!dynamic)
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
    struct object object;
    if (!map->l_ld || is_vdso(map->l_name) || !read_dynamic(map->l_addr, map->l_ld, &object))
      continue;
    if (find_in(&object, "gnu_get_libc_version"))
      iterate = (iterate_function *)find_in(&object, "dl_iterate_phdr");
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

static uint32_t identify(const struct object *object) {
  if (find_in(object, "gnu_get_libc_version"))
    return MLOS_ALLOCATOR_GLIBC;
  if (find_in(object, "mallctl"))
    return MLOS_ALLOCATOR_JEMALLOC;
  if (find_in(object, "MallocExtension_ReleaseFreeMemory") || find_in(object, "tc_version"))
    return MLOS_ALLOCATOR_TCMALLOC;
  if (find_in(object, "mi_version"))
    return MLOS_ALLOCATOR_MIMALLOC;
  return MLOS_ALLOCATOR_OTHER;
}

struct walk {
  bool behind_us;      /* objects after this library are where the real functions are */
  bool bypassed;       /* an object before us defines malloc: the host never calls ours */
  unsigned index;      /* of the object */
  unsigned definer[4]; /* object index of malloc, free, realloc, malloc_usable_size */
  struct object self;
};

static int resolve_object(struct dl_phdr_info *info, size_t size, void *data) {
  struct walk *walk = data;
  struct object object;
  walk->index++;
  if (is_vdso(info->dlpi_name))
    return 0;
  if (!read_object(info, &object))
    return 0;
  if (find_in(&object, "__asan_init") || find_in(&object, "__tsan_init") || find_in(&object, "__msan_init") ||
      find_in(&object, "__lsan_init"))
    mlos_sanitizer_present = true;
  bool is_libc = find_in(&object, "gnu_get_libc_version") != NULL;
  uintptr_t loader = getauxval(AT_BASE);
  if (is_libc || (loader && info->dlpi_addr == loader))
    note_runtime(info);
  if (is_this_library(info)) {
    note_runtime(info);
    walk->behind_us = true;
    walk->self = object;
    return 0;
  }
  void *malloc_here = find_in(&object, "malloc");
  if (!walk->behind_us) {
    if (malloc_here) {
      walk->bypassed = true;
      if (mlos_allocator_facts.allocator == MLOS_ALLOCATOR_UNKNOWN)
        mlos_allocator_facts.allocator = identify(&object);
    }
    return 0;
  }
  for (unsigned i = 0; i < WANTED_COUNT; i++)
    if (!*wanted[i].place)
      *wanted[i].place = find_in(&object, wanted[i].name);
  void *const four[4] = {(void *)mlos_real.malloc, (void *)mlos_real.free, (void *)mlos_real.realloc,
                         (void *)mlos_real.malloc_usable_size};
  for (unsigned i = 0; i < 4; i++)
    if (four[i] && !walk->definer[i])
      walk->definer[i] = walk->index;
  if (malloc_here && malloc_here == (void *)mlos_real.malloc) {
    mlos_allocator_facts.defines_new = find_in(&object, "_Znwm") != NULL;
    if (!is_libc)
      note_runtime(info);
    note_extent(info);
    if (!walk->bypassed)
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
static void withdraw_operators(const struct object *self) {
  static const struct wanted operators[] = {MLOS_HOOKS_NEW(MLOS_WANTED) MLOS_HOOKS_DELETE(MLOS_WANTED)};
  uintptr_t page = getauxval(AT_PAGESZ), first = UINTPTR_MAX, end = 0;
  uint32_t gone[sizeof operators / sizeof operators[0]], count = 0;
  for (unsigned i = 0; i < sizeof operators / sizeof operators[0]; i++) {
    uint32_t index = *operators[i].place ? 0 : index_of(self, operators[i].name);
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
  mlos_allocator_facts.one_object = same && !walk.bypassed;
  if (walk.behind_us)
    withdraw_operators(&walk.self);
}

struct search {
  const char *name;
  void *found;
};

static int search_object(struct dl_phdr_info *info, size_t size, void *data) {
  struct search *search = data;
  struct object object;
  if (is_vdso(info->dlpi_name) || is_this_library(info) || !read_object(info, &object))
    return 0;
  void *address = find_in(&object, search->name);
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
