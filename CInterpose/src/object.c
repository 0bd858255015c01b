/* Looking names up in one loaded object, without libc: it may not be ready, or a sanitizer's. */
#include "object.h"

#define HIDDEN_VERSION 0x8000u

/* ld.so relocates most of these addresses in place, but not those of the vdso. */
static const void *address_in(uintptr_t base, ElfW(Addr) value) {
  return (const void *)(value < base ? value + base : value);
}

bool mlos_object_read(uintptr_t base, const ElfW(Dyn) * entry, struct mlos_object *object) {
  *object = (struct mlos_object){.base = base};
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

bool mlos_object_of(const struct dl_phdr_info *info, struct mlos_object *object) {
  for (unsigned i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
      return mlos_object_read(info->dlpi_addr, (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr), object);
  return false;
}

/* libc's string functions may be a sanitizer's that is not ready yet. */
static bool equal(const char *a, const char *b) {
  for (; *a && *a == *b; a++, b++)
    ;
  return *a == *b;
}

static bool begins(const char *text, const char *prefix) {
  for (; *prefix; prefix++, text++)
    if (*text != *prefix)
      return false;
  return true;
}

/* References to operator new carry a version of libstdc++, or none. A definition of any other version is not theirs. */
static bool is_foreign_operator(const struct mlos_object *object, uint32_t index, const char *name) {
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

static bool defines(const struct mlos_object *object, uint32_t index, const char *name) {
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

static void *address_of(const struct mlos_object *object, uint32_t index) {
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
static uint32_t find_gnu(const struct mlos_object *object, const char *name) {
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

uint32_t mlos_object_index(const struct mlos_object *object, const char *name) {
  if (object->gnu_hash)
    return find_gnu(object, name);
  if (!object->sysv_hash)
    return 0;
  for (uint32_t index = 1; index < object->sysv_hash[1]; index++)
    if (defines(object, index, name))
      return index;
  return 0;
}

void *mlos_object_find(const struct mlos_object *object, const char *name) {
  uint32_t index = mlos_object_index(object, name);
  return index ? address_of(object, index) : NULL;
}
