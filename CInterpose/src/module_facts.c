/* What a loaded object's program headers say about it. */
#include "module_facts.h"
#include "agent.h"
#include <elf.h>
#include <string.h>

#include "rare.h"

/* Whether the object's file is readable there: tools that rewrite libraries leave headers that point elsewhere. */
static bool is_in_file(const struct dl_phdr_info *info, uint64_t address, uint64_t size) {
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type == PT_LOAD && (header->p_flags & PF_R) && address >= header->p_vaddr && size <= header->p_filesz &&
        address - header->p_vaddr <= header->p_filesz - size)
      return true;
  }
  return false;
}

static void read_build_id(const struct dl_phdr_info *info, struct mlos_module *module) {
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_NOTE || !is_in_file(info, header->p_vaddr, header->p_memsz))
      continue;
    const uint8_t *note = (const uint8_t *)(info->dlpi_addr + header->p_vaddr), *end = note + header->p_memsz;
    while (note + sizeof(ElfW(Nhdr)) <= end) {
      const ElfW(Nhdr) *entry = (const ElfW(Nhdr) *)(const void *)note;
      const uint8_t *name = note + sizeof *entry, *value = name + ((entry->n_namesz + 3ULL) & ~3ULL);
      if (value + entry->n_descsz > end)
        break;
      if (entry->n_type == NT_GNU_BUILD_ID && entry->n_namesz == 4 && memcmp(name, "GNU", 4) == 0 &&
          entry->n_descsz <= MLOS_BUILD_ID_MAX) {
        module->build_id_length = entry->n_descsz;
        memcpy(module->build_id, value, entry->n_descsz);
        return;
      }
      note = value + ((entry->n_descsz + 3ULL) & ~3ULL);
    }
  }
}

void mlos_module_describe(const struct dl_phdr_info *info, struct mlos_module *module) {
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
  if (lowest < highest) {
    module->map_start = lowest & ~4095ULL;
    module->map_end = (highest + 4095u) & ~4095ULL;
  }
  read_build_id(info, module);
}

static bool is_cxx_runtime(const char *name) {
  return strstr(name, "libstdc++.so") || strstr(name, "libc++.so");
}

bool mlos_is_cxx_code(const struct dl_phdr_info *info, const char *path) {
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

#pragma clang attribute pop
