/*
 * Functions of a library that are registered with the kernel or with libc. libc's own lists are not exported: its writable
 * memory is searched for addresses inside the library, as they are (keys) and as it hides them (functions for the exit). Of a
 * hit its neighbours tell what it is.
 */
#include "loader.h"
#include "module_hazards.h"
#include "sys.h"
#include <elf.h>
#include <signal.h>

#include "rare.h"

/* glibc's struct exit_function, one of the 32 of a struct exit_function_list, whose first word leads to the next. */
enum { EXIT_FREE = 0, EXIT_USED = 1, EXIT_CXA = 4, EXIT_PER_LIST = 32, EXIT_LISTS_MAX = 256 };
struct exit_function {
  long flavor;
  uintptr_t function, argument, object;
};
struct exit_list {
  uintptr_t next;
  size_t used;
  struct exit_function functions[EXIT_PER_LIST];
};

struct search {
  const struct mlos_library *library;
  uintptr_t guard;
  uintptr_t libc, keys; /* a function of the object that holds the lists, of exits and of keys */
  struct mlos_hazard hazard;
};

static uintptr_t revealed(const struct search *search, uintptr_t hidden) {
#if defined(__x86_64__)
  hidden = hidden >> 17 | hidden << 47;
#endif
  return hidden ^ search->guard;
}

static uintptr_t guard(void) {
#if defined(__x86_64__)
  uintptr_t value;
  __asm__("movq %%fs:0x30, %0" : "=r"(value));
  return value;
#else
  const uintptr_t *place = mlos_find_anywhere("__pointer_chk_guard");
  return place ? *place : 0;
#endif
}

/* A dlclose runs what was registered in the library's own name, if it has an end that says so. */
static void judge_exit(struct search *search, const struct exit_function *one) {
  const struct mlos_library *library = search->library;
  if (!one->function || !mlos_library_is_text(library, revealed(search, one->function)))
    return;
  bool is_run = one->flavor == EXIT_CXA && one->object >= library->start && one->object < library->end &&
                (library->fini || library->fini_count);
  if (one->flavor != EXIT_FREE && !is_run)
    search->hazard.reason = MLOS_REFUSAL_EXIT_HANDLER;
}

/* Lists after the first are on the heap. What leads to them is not known, only that their chain ends in libc's memory. */
static void follow_lists(struct search *search, uintptr_t first, uintptr_t start, uintptr_t end) {
  struct exit_list list;
  uintptr_t one = first;
  for (unsigned i = 0; i < EXIT_LISTS_MAX && one - start >= end - start; i++) {
    if ((one & 15) || !mlos_peek(&list, one, 16) || list.used > EXIT_PER_LIST || !list.next)
      return;
    one = list.next;
  }
  if (one - start >= end - start)
    return;
  for (one = first; one - start >= end - start && mlos_peek(&list, one, sizeof list); one = list.next)
    for (size_t i = 0; i < list.used && i < EXIT_PER_LIST; i++)
      judge_exit(search, &list.functions[i]);
}

static void search_words(struct search *search, uintptr_t start, uintptr_t end) {
  const uintptr_t *words = (const uintptr_t *)start;
  size_t count = (end - start) / 8;
  for (size_t i = 1; i + 2 < count && !search->hazard.reason; i++) {
    /* A key in use has an odd number before its destructor. */
    if (mlos_library_is_text(search->library, words[i]) && (words[i - 1] & 1))
      search->hazard.reason = MLOS_REFUSAL_KEY_DESTRUCTOR;
    judge_exit(search, (const struct exit_function *)(const void *)&words[i - 1]);
    if (words[i] > 4096 && !(words[i] & 15) && words[i] - start >= end - start)
      follow_lists(search, words[i], start, end);
  }
}

static int search_object(struct dl_phdr_info *info, size_t size, void *data) {
  struct search *search = data;
  bool holds = false;
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    holds |= info->dlpi_phdr[i].p_type == PT_LOAD &&
             (search->libc - start < info->dlpi_phdr[i].p_memsz || search->keys - start < info->dlpi_phdr[i].p_memsz);
  }
  for (unsigned i = 0; holds && i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    uintptr_t start = (info->dlpi_addr + header->p_vaddr + 7) & ~(uintptr_t)7;
    if (header->p_type == PT_LOAD && (header->p_flags & PF_W))
      search_words(search, start, info->dlpi_addr + header->p_vaddr + header->p_memsz);
  }
  return search->hazard.reason != 0;
}

struct kernel_sigaction {
  uintptr_t handler, flags, restorer;
  uint64_t mask;
};

struct mlos_hazard mlos_registration_hazard(const struct mlos_library *library) {
  for (uint32_t signal = 1; signal <= 64; signal++) {
    struct kernel_sigaction action = {0};
    if (mlos_sys(SYS_rt_sigaction, signal, 0, &action, 8) == 0 && mlos_library_is_text(library, action.handler))
      return (struct mlos_hazard){MLOS_REFUSAL_SIGNAL_HANDLER, signal};
  }
  struct search search = {.library = library, .guard = guard()};
  search.libc = (uintptr_t)mlos_find_anywhere("gnu_get_libc_version");
  search.keys = (uintptr_t)mlos_find_anywhere("pthread_key_create");
  mlos_iterate_objects(search_object, &search);
  return search.hazard;
}

#pragma clang attribute pop
