/* See module_rules.h. */
#include "module_rules.h"
#include "mlos_agent.h"
#include "sys.h"
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "rare.h"

/* What is compared of a library's own data; more is not kept, since it would take longer than a host may notice. */
#define WRITABLE_BYTES_MAX 65536u
#define COMPARISONS_MAX 400000u /* relocations times pages: 0.5 ms */

/* The environment is copied: programs write over it. Too long an exclusion excludes all. */
#define GLOBS_BYTES 512u
static char excluded[GLOBS_BYTES], included[GLOBS_BYTES];

static const char *value_of(char *const envp[], const char *name) {
  size_t length = strlen(name);
  for (; envp && *envp; envp++)
    if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=')
      return *envp + length + 1;
  return NULL;
}

static bool copy(char *to, const char *value) {
  size_t length = value ? strlen(value) : 0;
  if (length >= GLOBS_BYTES)
    return false;
  memcpy(to, value ? value : "", length + 1);
  return true;
}

void mlos_rules_read_environment(char *const envp[]) {
  if (!copy(excluded, value_of(envp, MLOS_ENV_MODULE_CACHE_EXCLUDE)))
    copy(excluded, "*");
  copy(included, value_of(envp, MLOS_ENV_MODULE_CACHE_INCLUDE));
}

/* `*` and `?`, up to the colon; a star takes slashes too. */
static bool matches(const char *glob, const char *end, const char *text) {
  const char *star = NULL, *resume = text;
  while (*text) {
    if (glob < end && *glob == '*') {
      star = glob++;
      resume = text;
    } else if (glob < end && (*glob == '?' || *glob == *text)) {
      glob++;
      text++;
    } else if (star) {
      glob = star + 1;
      text = ++resume;
    } else {
      return false;
    }
  }
  while (glob < end && *glob == '*')
    glob++;
  return glob == end;
}

/* A glob without a slash is of the file's name. */
static bool is_listed(const char *globs, const char *path) {
  const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
  for (const char *end; *globs; globs = *end ? end + 1 : end) {
    end = strchrnul(globs, ':');
    if (end > globs && matches(globs, end, memchr(globs, '/', (size_t)(end - globs)) ? path : name))
      return true;
  }
  return false;
}

bool mlos_rules_exclude(const char *path) {
  return is_listed(excluded, path);
}

#if defined(__x86_64__)
/* The compiler's own start and end of a library, recognised by their instructions; -1 is any byte. */
static bool is_code(const uint8_t *code, const int16_t *pattern, size_t length) {
  static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
  if (memcmp(code, endbr64, sizeof endbr64) == 0)
    code += sizeof endbr64;
  for (size_t i = 0; i < length; i++)
    if (pattern[i] >= 0 && pattern[i] != code[i])
      return false;
  return true;
}
#define IS_CODE(code, pattern) is_code((code), (pattern), sizeof(pattern) / sizeof *(pattern))
#define ANY4 -1, -1, -1, -1

static bool is_trivial_start(const uint8_t *code) {
  static const int16_t init[] = {0x48, 0x83, 0xec, 0x08, 0x48, 0x8b, 0x05, ANY4, 0x48, 0x85,
                                 0xc0, 0x74, 0x02, 0xff, 0xd0, 0x48, 0x83, 0xc4, 0x08, 0xc3};
  return IS_CODE(code, init);
}

static bool is_trivial_end(const uint8_t *code) {
  static const int16_t fini[] = {0x48, 0x83, 0xec, 0x08, 0x48, 0x83, 0xc4, 0x08, 0xc3};
  return IS_CODE(code, fini);
}

/* frame_dummy: jumps to register_tm_clones, which begins by comparing two addresses. */
static bool is_frame_dummy(const uint8_t *code) {
  static const int16_t jump[] = {0xe9, ANY4}, clones[] = {0x48, 0x8d, 0x3d, ANY4, 0x48, 0x8d, 0x35, ANY4, 0x48, 0x29, 0xfe};
  if (!IS_CODE(code, jump))
    return false;
  code += *code == 0xf3 ? 4 : 0;
  int32_t distance;
  memcpy(&distance, code + 1, sizeof distance);
  return IS_CODE(code + 5 + distance, clones);
}

/* __do_global_dtors_aux */
static bool is_dtors_aux(const uint8_t *code) {
  static const int16_t aux[] = {0x80, 0x3d, ANY4, 0x00, 0x75, -1, 0x55, 0x48, 0x83, 0x3d, ANY4, 0x00, 0x48, 0x89, 0xe5};
  return IS_CODE(code, aux);
}
#else
/* Not known of arm64's: whatever has a start or an end is taken for its own. */
#define is_trivial_start(code) false
#define is_trivial_end(code) false
#define is_frame_dummy(code) false
#define is_dtors_aux(code) false
#endif

static bool has_own_code_at_ends(const struct mlos_library *library) {
  if ((library->init && !is_trivial_start(library->init)) || (library->fini && !is_trivial_end(library->fini)))
    return true;
  for (size_t i = 0; i < library->init_count; i++)
    if (!is_frame_dummy((const uint8_t *)library->init_array[i]))
      return true;
  for (size_t i = 0; i < library->fini_count; i++)
    if (!is_dtors_aux((const uint8_t *)library->fini_array[i]))
      return true;
  return false;
}

/* Such a library is never unloaded, and its count does not fall. */
static bool is_unique(const ElfW(Sym) * symbol, const char *name) {
  return ELF64_ST_BIND(symbol->st_info) == STB_GNU_UNIQUE;
}

/* By these it could leave something of itself elsewhere, which a close takes back or which keeps ld.so from closing; or hold
   others open. A unique symbol does the latter. */
static bool binds_it(const ElfW(Sym) * symbol, const char *name) {
  static const char *const names[] = {"__cxa_atexit",
                                      "__cxa_thread_atexit",
                                      "__cxa_thread_atexit_impl",
                                      "__cxa_at_quick_exit",
                                      "atexit",
                                      "on_exit",
                                      "at_quick_exit",
                                      "__register_atfork",
                                      "pthread_atfork",
                                      "pthread_key_create",
                                      "tss_create",
                                      "pthread_create",
                                      "thrd_create",
                                      "signal",
                                      "sigaction",
                                      "bsd_signal",
                                      "sigset",
                                      "__sysv_signal",
                                      "timer_create",
                                      "dlopen",
                                      "dlmopen",
                                      "clone",
                                      "syscall",
                                      "mq_notify",
                                      "register_printf_specifier",
                                      "register_printf_function",
                                      "set_mempolicy",
                                      "__register_frame",
                                      "__register_frame_info"};
  if (ELF64_ST_BIND(symbol->st_info) == STB_GNU_UNIQUE)
    return true;
  if (symbol->st_shndx != SHN_UNDEF)
    return false;
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i], name) == 0)
      return true;
  return false;
}

static uintptr_t protected_end(const struct mlos_library *library, uintptr_t *start) {
  for (unsigned i = 0; i < library->headers_count; i++)
    if (library->headers[i].p_type == PT_GNU_RELRO) {
      *start = library->base + library->headers[i].p_vaddr;
      return (*start + library->headers[i].p_memsz) & ~(uintptr_t)4095;
    }
  return *start = 0;
}

static size_t writable_bytes(const struct mlos_library *library) {
  size_t bytes = 0;
  uintptr_t start, end = protected_end(library, &start);
  for (unsigned i = 0; i < library->headers_count; i++)
    if (library->headers[i].p_type == PT_LOAD && (library->headers[i].p_flags & PF_W))
      bytes += library->headers[i].p_memsz;
    else if (library->headers[i].p_type == PT_TLS)
      return SIZE_MAX;
  return bytes > end - start ? bytes - (end - start) : 0;
}

enum mlos_keep mlos_rules_judge(const struct mlos_library *library) {
  const char *path = library->map->l_name;
  if (path[0] != '/' || strchr(path, '$') || is_listed(excluded, path) || (library->flags_1 & DF_1_NODELETE))
    return MLOS_KEEP_NOT;
  if (is_listed(included, path))
    return mlos_library_symbol(library, is_unique) ? MLOS_KEEP_NOT : MLOS_KEEP_NAMED;
  size_t bytes = writable_bytes(library);
  if (library->odd || bytes > WRITABLE_BYTES_MAX ||
      (library->relocations[0] + library->relocations[1]) * (bytes / 4096 + 2) > COMPARISONS_MAX ||
      has_own_code_at_ends(library) || mlos_library_symbol(library, binds_it))
    return MLOS_KEEP_NOT;
  return MLOS_KEEP_FRESH;
}

uint64_t mlos_file_stamp(uint64_t size, uint64_t seconds, uint64_t nanoseconds) {
  return (size * 0x9E3779B97F4A7C15ULL ^ seconds * 1000000000ULL) + nanoseconds;
}

bool mlos_status_is_same(const struct stat *status, const struct mlos_file *file) {
  return S_ISREG(status->st_mode) && status->st_dev == file->device && status->st_ino == file->inode &&
         mlos_file_stamp((uint64_t)status->st_size, (uint64_t)status->st_mtim.tv_sec, (uint64_t)status->st_mtim.tv_nsec) ==
             file->stamp;
}

bool mlos_file_is_same(const char *path, const struct mlos_file *file) {
  struct stat status;
  return mlos_sys(SYS_newfstatat, AT_FDCWD, path, &status, 0) == 0 && mlos_status_is_same(&status, file);
}

#if defined(__x86_64__)
enum { RELATIVE = R_X86_64_RELATIVE, WORD = R_X86_64_64, SLOT = R_X86_64_JUMP_SLOT, GLOBAL = R_X86_64_GLOB_DAT };
#else
enum { RELATIVE = R_AARCH64_RELATIVE, WORD = R_AARCH64_ABS64, SLOT = R_AARCH64_JUMP_SLOT, GLOBAL = R_AARCH64_GLOB_DAT };
#endif

/* What ld.so has written into these bytes when it loaded the library. False: it is not known. */
static bool relocate(const struct mlos_library *library, uint8_t *expected, uintptr_t address, size_t length) {
  for (unsigned table = 0; table < 2; table++)
    for (size_t i = 0; i < library->relocations[table]; i++) {
      const ElfW(Rela) *one = &library->tables[table][i];
      uintptr_t place = library->base + one->r_offset;
      if (place - address >= length)
        continue;
      if ((place & 7) || length - (place - address) < 8)
        return false;
      const ElfW(Sym) *symbol = &library->symbols[ELF64_R_SYM(one->r_info)];
      uint64_t value;
      switch (ELF64_R_TYPE(one->r_info)) {
      case RELATIVE:
        value = library->base + (uintptr_t)one->r_addend;
        break;
      case WORD:
        if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS || ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC)
          return false;
        value = library->base + symbol->st_value + (uintptr_t)one->r_addend;
        break;
      case SLOT:
      case GLOBAL: /* the linker's own words, which no program writes */
        value = *(const uint64_t *)place;
        break;
      default:
        return false;
      }
      memcpy(expected + (place - address), &value, 8);
    }
  /* ld.so's two words in the table of calls. */
  for (uintptr_t place = library->got + 8; library->got && place <= library->got + 16; place += 8)
    if (place - address < length)
      memcpy(expected + (place - address), (const void *)place, 8);
  return true;
}

static bool is_segment_fresh(const struct mlos_library *library, const ElfW(Phdr) * header, int descriptor, uint8_t *page) {
  uintptr_t skip_start, skip_end = protected_end(library, &skip_start);
  uintptr_t start = library->base + header->p_vaddr, end = start + header->p_memsz;
  for (uintptr_t place = start, next; place < end; place = next) {
    next = ((place & ~(uintptr_t)4095) + 4096) < end ? (place & ~(uintptr_t)4095) + 4096 : end;
    if (place >= skip_start && place < skip_end) {
      next = skip_end < end ? skip_end : end;
      continue;
    }
    size_t length = next - place, offset = place - start;
    size_t in_file = offset < header->p_filesz ? header->p_filesz - offset : 0;
    in_file = in_file < length ? in_file : length;
    memset(page, 0, length);
    if (in_file && mlos_sys(SYS_pread64, descriptor, page, in_file, header->p_offset + offset) != (long)in_file)
      return false;
    if (!relocate(library, page, place, length) || memcmp(page, (const void *)place, length) != 0)
      return false;
  }
  return true;
}

/* The file's first page holds the headers and the build id: the file is what is mapped. */
static bool is_its_file(const struct mlos_library *library, int descriptor, uint8_t *page) {
  for (unsigned i = 0; i < library->headers_count; i++) {
    const ElfW(Phdr) *header = &library->headers[i];
    if (header->p_type != PT_LOAD || header->p_offset != 0)
      continue;
    size_t length = header->p_filesz < 4096 ? header->p_filesz : 4096;
    return !(header->p_flags & PF_W) && mlos_sys(SYS_pread64, descriptor, page, length, 0) == (long)length &&
           memcmp(page, (const void *)(library->base + header->p_vaddr), length) == 0;
  }
  return false;
}

static bool compare(const struct mlos_library *library, enum mlos_keep keep, int descriptor, uint8_t *page) {
  if (!is_its_file(library, descriptor, page))
    return false;
  for (unsigned i = 0; keep == MLOS_KEEP_FRESH && i < library->headers_count; i++)
    if (library->headers[i].p_type == PT_LOAD && (library->headers[i].p_flags & PF_W) &&
        !is_segment_fresh(library, &library->headers[i], descriptor, page))
      return false;
  return true;
}

static bool has_unbound_calls(const struct mlos_library *library) {
  for (size_t i = 0; i < library->relocations[1]; i++) {
    const ElfW(Rela) *one = &library->tables[1][i];
    if (ELF64_R_TYPE(one->r_info) == SLOT && library->symbols[ELF64_R_SYM(one->r_info)].st_shndx == SHN_UNDEF &&
        *(const uintptr_t *)(library->base + one->r_offset) - library->start < library->end - library->start)
      return true;
  }
  return false;
}

bool mlos_rules_is_fresh(const struct mlos_library *library, enum mlos_keep keep, const struct mlos_file *file, bool *is_lazy) {
  /* The path may lead to a pipe by now: opening it must not wait. */
  long descriptor = mlos_sys(SYS_openat, AT_FDCWD, library->map->l_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0);
  if (descriptor < 0)
    return false;
  struct stat status;
  uint8_t *page = mlos_take_page();
  bool fresh = page && mlos_sys(SYS_fstat, descriptor, &status, 0, 0) == 0 && mlos_status_is_same(&status, file) &&
               compare(library, keep, (int)descriptor, page);
  if (page)
    mlos_release_page();
  mlos_sys(SYS_close, descriptor, 0, 0, 0);
  *is_lazy = has_unbound_calls(library);
  return fresh;
}

#pragma clang attribute pop
