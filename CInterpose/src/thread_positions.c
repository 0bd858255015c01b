/*
 * Whether a thread is inside a library: its program counter, or any word of its stack that points into the library's text.
 * The kernel tells stack pointer and program counter of a thread that waits (/proc/self/task/TID/syscall); of one that runs it
 * tells nothing, and it counts as inside. What lies above the thread's own descriptor, at the end of its stack, is the function
 * it was started with. Stacks that a program switches by itself (coroutines) are not seen while they rest.
 */
#include "module_cache.h"
#include "module_hazards.h"
#include "sys.h"
#include <fcntl.h>
#include <string.h>

#include "rare.h"

#define STACK_BYTES_MAX (8u << 20) /* a deeper one counts as inside: it would take longer than a few ms */
#define LOOKS 64u                  /* at a thread that runs: most wait before long */

struct thread {
  uint32_t tid;
  uintptr_t stack, counter, end, descriptor;
};

static uintptr_t number_at(const char **text, unsigned base) {
  uintptr_t value = 0;
  if (base == 16 && (*text)[0] == '0' && (*text)[1] == 'x')
    *text += 2;
  for (;; (*text)++) {
    unsigned digit = (unsigned char)**text;
    digit = digit >= 'a' ? digit - 'a' + 10 : digit - '0';
    if (digit >= base)
      return value;
    value = value * base + digit;
  }
}

static long read_file(const char *path, char *text, size_t size) {
  long descriptor = mlos_sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (descriptor < 0)
    return descriptor;
  long length = mlos_sys(SYS_read, descriptor, text, size - 1, 0);
  mlos_sys(SYS_close, descriptor, 0, 0, 0);
  text[length > 0 ? length : 0] = 0;
  return length;
}

/* 1: it waits, and where; 0: it is gone; -1: not to be seen. */
static int find_stack(struct thread *thread) {
  char path[48] = "/proc/self/task/", digits[12], text[256];
  size_t length = strlen(path), count = 0;
  for (uint32_t rest = thread->tid; rest; rest /= 10)
    digits[count++] = (char)('0' + rest % 10);
  while (count)
    path[length++] = digits[--count];
  memcpy(path + length, "/syscall", 9);
  for (unsigned look = 0; look < LOOKS; look++) {
    long bytes = read_file(path, text, sizeof text);
    if (bytes < 0)
      return bytes == -2 || bytes == -3 ? 0 : -1; /* ENOENT, ESRCH */
    const char *last = strrchr(text, ' ');
    if (last && last > text && *text != 'r') {
      const char *before = last - 1;
      while (before > text && *before != ' ')
        before--;
      before++;
      last++;
      thread->stack = number_at(&before, 16);
      thread->counter = number_at(&last, 16);
      return 1;
    }
    mlos_sys(SYS_sched_yield, 0, 0, 0, 0);
  }
  return -1;
}

/* Where the mapping ends that holds the stack pointer; 0: none does. */
static uintptr_t find_end(uintptr_t stack, uint8_t *page) {
  long descriptor = mlos_sys(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0), bytes;
  uintptr_t found = 0;
  size_t kept = 0;
  while (descriptor >= 0 && !found && (bytes = mlos_sys(SYS_read, descriptor, page + kept, 4095 - kept, 0)) > 0) {
    size_t length = kept + (size_t)bytes;
    const char *line = (const char *)page;
    page[length] = 0;
    for (const char *end; (end = strchr(line, '\n')); line = end + 1) {
      uintptr_t first = number_at(&line, 16);
      line++;
      uintptr_t last = number_at(&line, 16);
      if (stack - first < last - first)
        found = last;
    }
    kept = length - (size_t)(line - (const char *)page);
    if (kept >= 2048)
      kept = 0; /* the rest of a long path: not the beginning of a line that matters */
    memmove(page, line, kept);
  }
  if (descriptor >= 0)
    mlos_sys(SYS_close, descriptor, 0, 0, 0);
  return found;
}

static struct mlos_hazard judge(const struct mlos_library *library, struct thread *thread, uint8_t *page) {
  struct mlos_hazard inside = {MLOS_REFUSAL_THREAD_INSIDE, thread->tid};
  size_t bytes;
  if (mlos_library_is_text(library, thread->counter))
    return inside;
  thread->end = find_end(thread->stack, page);
  if (!thread->end || thread->end - thread->stack > STACK_BYTES_MAX)
    return inside;
  /* It lies in the descriptor; a main thread's is not on its stack. */
  if (mlos_sys(SYS_get_robust_list, thread->tid, &thread->descriptor, &bytes, 0) != 0)
    thread->descriptor = 0;
  for (uintptr_t place = thread->stack & ~(uintptr_t)7, next; place < thread->end; place = next) {
    next = (place & ~(uintptr_t)4095) + 4096;
    next = next < thread->end ? next : thread->end;
    if (!mlos_peek(page, place, next - place))
      return (struct mlos_hazard){0}; /* it has ended */
    for (size_t i = 0; i < (next - place) / 8; i++)
      if (mlos_library_is_text(library, ((const uintptr_t *)(const void *)page)[i]))
        return thread->descriptor > thread->stack && place + i * 8 > thread->descriptor
                   ? (struct mlos_hazard){MLOS_REFUSAL_THREAD_STARTED, thread->tid}
                   : inside;
  }
  return (struct mlos_hazard){0};
}

static struct mlos_hazard look_at(const struct mlos_library *library, uint32_t tid, uintptr_t own_frame, uint8_t *page) {
  struct thread thread = {.tid = tid, .stack = own_frame};
  if (mlos_cache_is_wanted())
    return (struct mlos_hazard){MLOS_REFUSAL_LOADER_BUSY, 0};
#if defined(__aarch64__)
  /* A function that calls nothing keeps its return address in a register, which is not to be seen. */
  if (!own_frame)
    return (struct mlos_hazard){MLOS_REFUSAL_THREAD_INSIDE, tid};
#endif
  int seen = own_frame ? 1 : find_stack(&thread);
  if (seen <= 0)
    return seen < 0 ? (struct mlos_hazard){MLOS_REFUSAL_THREAD_INSIDE, tid} : (struct mlos_hazard){0};
  return judge(library, &thread, page);
}

struct entry {
  uint64_t inode, offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

struct mlos_hazard mlos_thread_hazard(const struct mlos_library *library, uintptr_t own_frame) {
  struct mlos_hazard hazard = {0};
  uint64_t entries[128];
  uint32_t self = (uint32_t)mlos_sys(SYS_gettid, 0, 0, 0, 0);
  uint8_t *page = mlos_take_page();
  long descriptor = page ? mlos_sys(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) : -1, bytes;
  if (descriptor < 0)
    hazard = (struct mlos_hazard){MLOS_REFUSAL_LOADER_BUSY, 0};
  while (descriptor >= 0 && !hazard.reason && (bytes = mlos_sys(SYS_getdents64, descriptor, entries, sizeof entries, 0)) > 0)
    for (long at = 0; at < bytes && !hazard.reason;) {
      const struct entry *entry = (const struct entry *)(const void *)((const uint8_t *)entries + at);
      const char *name = entry->name;
      uint32_t tid = (uint32_t)number_at(&name, 10);
      if (tid != 0 && (tid != self || own_frame))
        hazard = look_at(library, tid, tid == self ? own_frame : 0, page);
      at += entry->length;
    }
  if (descriptor >= 0)
    mlos_sys(SYS_close, descriptor, 0, 0, 0);
  if (page)
    mlos_release_page();
  return hazard;
}

#pragma clang attribute pop
