#define _GNU_SOURCE
#include "clinux_footprint.h"
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KEPT = 128 << 10 };

void mlos_linux_keep_heap_small(void) {
  mallopt(M_ARENA_MAX, 2);
  /* Setting either also ends their growth. */
  mallopt(M_MMAP_THRESHOLD, KEPT);
  mallopt(M_TRIM_THRESHOLD, KEPT);
}

/* The first object is the program. Segments that are never written hold nothing but the file's bytes: dropping them loses
   nothing. What was relocated and protected afterwards lies in a writable one. */
static int drop(struct dl_phdr_info *info, size_t size, void *total) {
  (void)size;
  unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_LOAD || (header->p_flags & PF_W) != 0)
      continue;
    unsigned long start = (info->dlpi_addr + header->p_vaddr + page - 1) & ~(page - 1);
    unsigned long end = (info->dlpi_addr + header->p_vaddr + header->p_filesz) & ~(page - 1);
    if (end > start && madvise((void *)start, end - start, MADV_DONTNEED) == 0)
      *(unsigned long *)total += end - start;
  }
  return 1;
}

unsigned long mlos_linux_drop_own_text(void) {
  unsigned long total = 0;
  dl_iterate_phdr(drop, &total);
  return total;
}
