/*
 * What a dlopen must not find: before it, kept libraries are closed for good that it would take for others, or that would make it
 * another call than it is without them.
 */
#include "module_cache.h"
#include "sys.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "rare.h"

/* A dlopen waits so long for a thread that gives up what it may mean; that one is in ld.so, where it would wait anyway. */
#define BUSY_WAIT_MS 100u
static _Atomic uint32_t waiting; /* dlopens, for BUSY ones */

void mlos_cache_open_after_fork(void) {
  atomic_store(&waiting, 0);
}

/* Names opened with flags that change what the library is, as long as it is loaded. */
#define MARKS 64u
static struct mark {
  _Atomic uint32_t name; /* a hash; 0: free */
  _Atomic bool pinned;
} marks[MARKS];
static _Atomic bool marks_full;

static uint32_t hash_of_name(const char *path) {
  const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
  uint32_t hash = 2166136261u;
  for (; *name; name++)
    hash = (hash ^ (uint8_t)*name) * 16777619u;
  return hash | 1;
}

static void mark(const char *file, bool pinned) {
  uint32_t hash = hash_of_name(file);
  for (unsigned i = 0; i < MARKS; i++) {
    uint32_t expected = 0;
    if (atomic_load(&marks[i].name) == hash || atomic_compare_exchange_strong(&marks[i].name, &expected, hash) ||
        expected == hash) {
      if (pinned)
        atomic_store(&marks[i].pinned, true);
      return;
    }
  }
  atomic_store(&marks_full, true);
}

static const struct mark *mark_of(const char *path) {
  uint32_t hash = hash_of_name(path);
  for (unsigned i = 0; i < MARKS; i++)
    if (atomic_load(&marks[i].name) == hash)
      return &marks[i];
  return NULL;
}

bool mlos_cache_was_pinned(const char *path) {
  const struct mark *found = mark_of(path);
  return found && atomic_load(&found->pinned);
}

bool mlos_cache_is_marked(const char *path) {
  return atomic_load(&marks_full) || mark_of(path);
}

static bool any(const struct mlos_kept *kept, const void *argument) {
  return true;
}

/* A library loaded later that needs one of its name would get it. */
static bool has_soname(const struct mlos_kept *kept, const void *argument) {
  for (const ElfW(Dyn) *entry = atomic_load(&kept->map)->l_ld; entry->d_tag != DT_NULL; entry++)
    if (entry->d_tag == DT_SONAME)
      return kept->keep != MLOS_KEEP_NAMED;
  return false;
}

struct asked {
  const char *file;
  int flags;
  bool has_status;
  struct stat status;
  bool named; /* it is the name of a kept one, which stays */
};

/* Whether a kept one, of which it is a name, is what a dlopen without it would load. */
static bool is_meant(const struct mlos_kept *kept, const struct asked *asked) {
  const char *path = atomic_load(&kept->map)->l_name;
  bool by_path = strcmp(path, asked->file) == 0;
  return !(asked->flags & (RTLD_NOLOAD | RTLD_DEEPBIND)) && !((asked->flags & RTLD_NOW) && kept->is_lazy) &&
         (by_path ? asked->has_status && mlos_status_is_same(&asked->status, &kept->file)
                  : kept->keep == MLOS_KEEP_NAMED && mlos_file_is_same(path, &kept->file));
}

static bool is_in_the_way(const struct mlos_kept *kept, const void *argument) {
  struct asked *asked = (struct asked *)(uintptr_t)argument;
  if (mlos_is_named(atomic_load(&kept->map), asked->file)) {
    bool meant = kept->settled && is_meant(kept, asked);
    asked->named |= meant;
    return !meant;
  }
  /* The same file by another name: freshly loaded it would have that one. */
  return asked->has_status && asked->status.st_dev == kept->file.device && asked->status.st_ino == kept->file.inode;
}

bool mlos_cache_is_wanted(void) {
  return atomic_load(&waiting) != 0;
}

static void wait_for_busy(void) {
  atomic_fetch_add(&waiting, 1);
  for (uint64_t start = mlos_now_ms(); mlos_now_ms() - start < BUSY_WAIT_MS;) {
    if (!mlos_cache_has_busy())
      break;
    mlos_sys(SYS_sched_yield, 0, 0, 0, 0);
  }
  atomic_fetch_sub(&waiting, 1);
}

static void clear_way_for_open(const char *file, int flags) {
  /* Within a dlclose of this thread it may be its own. */
  if (!mlos_thread.closing)
    wait_for_busy();
  struct asked asked = {.file = file, .flags = flags};
  asked.has_status = strchr(file, '/') && mlos_sys(SYS_newfstatat, AT_FDCWD, file, &asked.status, 0) == 0;
  mlos_cache_drop_if(is_in_the_way, &asked);
  if (flags & RTLD_GLOBAL)
    mlos_cache_drop_if(mlos_cache_is_not_named, NULL);
  if (asked.named || mlos_cache_is_empty() || mlos_is_loaded(file))
    return;
  /* Something that is not loaded yet, or is under another name. */
  if ((flags & RTLD_NOLOAD) && !strchr(file, '/'))
    mlos_cache_drop_if(any, NULL);
  else
    mlos_cache_drop_if(has_soname, NULL);
}

void mlos_cache_before_open(const char *file, int flags) {
  if (!file || !*file)
    return;
  if (flags & (RTLD_NODELETE | RTLD_DEEPBIND))
    mark(file, (flags & RTLD_NODELETE) != 0);
  if (mlos_cache_is_empty() || mlos_cache_is_off())
    return;
  uint64_t evictions = __atomic_load_n(&mlos_agent.header->cache_evictions, __ATOMIC_RELAXED);
  clear_way_for_open(file, flags);
  /* What comes may lie where this one lay, under its name: the table must have seen that one go. */
  if (evictions != __atomic_load_n(&mlos_agent.header->cache_evictions, __ATOMIC_RELAXED))
    mlos_modules_refresh(false);
}

#pragma clang attribute pop
