/* What a long-running process does to stay small. */
#ifndef CLINUX_FOOTPRINT_H
#define CLINUX_FOOTPRINT_H

/* Sets glibc's allocator for a process that is mostly idle: two arenas; free memory at the top and blocks of 128 KiB and
   more go back to the kernel at once instead of by thresholds that grow with use (mallopt(3)). Call it before other threads. */
void mlos_linux_keep_heap_small(void);

/* Unmaps the pages of this program's own file that are only read; those still in use are mapped again from the page cache,
   by a minor fault each (madvise(2), MADV_DONTNEED). Meant for the end of a start. Returns the bytes of the ranges. */
unsigned long mlos_linux_drop_own_text(void);

#endif
