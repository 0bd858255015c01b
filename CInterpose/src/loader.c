/* See loader.h. */
#include "loader.h"
#include "agent.h"
#include "sys.h"
#include <string.h>
#include <sys/uio.h>

#include "rare.h"

/* link.h has it since glibc 2.35 as r_debug_extended; r_version tells whether `next` is there. A namespace's entry stays in the
   chain for good, with an empty list while it is unused, and the chain is in the order of their numbers. */
struct debug {
  struct r_debug base;
  const struct debug *next;
};
static const struct debug *debug;

void mlos_loader_remember(const struct dl_phdr_info *program) {
  for (unsigned i = 0; i < program->dlpi_phnum; i++) {
    if (program->dlpi_phdr[i].p_type != PT_DYNAMIC)
      continue;
    const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(program->dlpi_addr + program->dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; entry++)
      if (entry->d_tag == DT_DEBUG)
        debug = (const struct debug *)entry->d_un.d_ptr;
  }
}

static const struct debug *after(const struct debug *one) {
  return __atomic_load_n(&one->base.r_version, __ATOMIC_ACQUIRE) >= 2 ? __atomic_load_n(&one->next, __ATOMIC_ACQUIRE) : NULL;
}

bool mlos_each_link_map(mlos_map_visitor *visit, void *data) {
  int32_t number = 0;
  for (const struct debug *one = debug; one; one = after(one), number++) {
    const struct link_map *map = __atomic_load_n(&one->base.r_map, __ATOMIC_ACQUIRE);
    for (; map; map = map->l_next) {
      bool is_alias = number > 0 && (!map->l_ld || map->l_addr == debug->base.r_ldbase);
      if (visit(map, number, is_alias, data))
        return true;
    }
  }
  return debug != NULL;
}

const ElfW(Phdr) * mlos_read_headers(const struct link_map *map, unsigned *count) {
  static union {
    uint8_t bytes[4096];
    ElfW(Ehdr) header;
  } page;
  struct iovec here = {&page, sizeof page}, there = {(void *)map->l_addr, sizeof page};
  /* By the kernel, which fails where a load would fault: nothing promises that an object begins with its header, or at its
     load address. A filter may kill for this call. */
  if (atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed) || mlos_agent.filter_inherited ||
      mlos_sys6(SYS_process_vm_readv, mlos_agent.pid, (long)&here, 1, (long)&there, 1, 0) != (long)sizeof page)
    return NULL;
  if (memcmp(page.header.e_ident, ELFMAG, SELFMAG) != 0 || page.header.e_ident[EI_CLASS] != ELFCLASS64 ||
      page.header.e_phentsize != sizeof(ElfW(Phdr)))
    return NULL;
  uint64_t offset = page.header.e_phoff, bytes = page.header.e_phnum * sizeof(ElfW(Phdr));
  if (offset % _Alignof(ElfW(Phdr)) != 0 || offset > sizeof page || bytes > sizeof page - offset)
    return NULL;
  const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(const void *)(page.bytes + offset);
  *count = page.header.e_phnum;
  /* It is this object's header if it leads to the dynamic section that ld.so found. */
  for (unsigned i = 0; i < *count; i++)
    if (headers[i].p_type == PT_DYNAMIC && map->l_addr + headers[i].p_vaddr == (uintptr_t)map->l_ld)
      return headers;
  return NULL;
}

#pragma clang attribute pop
