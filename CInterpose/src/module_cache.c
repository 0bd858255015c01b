/* See module_cache.h. */
#include "module_cache.h"
#include "forks.h"
#include "hooks.h"
#include "loader.h"
#include "mlos_agent.h"
#include "module_table.h"
#include "sys.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "rare.h"

#define LIMIT_MAX 128u
/* More than the limit: libraries that were opened again keep their places. */
#define PLACES 160u
/* A dlopen waits so long for a thread that gives up what it may mean; that one is in ld.so, where it would wait anyway. */
#define BUSY_WAIT_MS 100u
/* Trials to find ld.so's count, each on another library. */
#define LEARNING_MAX 16u

enum kept_state { KEPT_FREE, KEPT_HELD, KEPT_BUSY };
static struct mlos_kept places[PLACES];
static _Atomic uint32_t in_use; /* places that are not free */
static _Atomic uint32_t top;    /* no place from here on was ever used */
static _Atomic uint32_t limit;
static _Atomic uint32_t waiting; /* dlopens, for BUSY ones */
static atomic_flag learning = ATOMIC_FLAG_INIT;
static uint32_t trials;

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

static bool is_marked(const char *path) {
  return atomic_load(&marks_full) || mark_of(path);
}

static bool is_off(void) {
  return atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed) || mlos_agent.filter_inherited;
}

/* Those after it were never used. */
static unsigned used_places(void) {
  return atomic_load_explicit(&top, memory_order_relaxed);
}

static void show_limit(void) {
  __atomic_store_n(&mlos_agent.header->cache_limit, atomic_load(&limit), __ATOMIC_RELAXED);
}

void mlos_cache_start(char *const envp[]) {
  uint32_t wanted = MLOS_MODULE_CACHE_DEFAULT;
  for (; envp && *envp; envp++)
    if (strncmp(*envp, MLOS_ENV_MODULE_CACHE "=", sizeof MLOS_ENV_MODULE_CACHE) == 0) {
      wanted = 0;
      for (const char *digit = *envp + sizeof MLOS_ENV_MODULE_CACHE; *digit >= '0' && *digit <= '9' && wanted <= LIMIT_MAX;
           digit++)
        wanted = wanted * 10 + (uint32_t)(*digit - '0');
    }
  atomic_store(&limit, is_off() ? 0 : wanted < LIMIT_MAX ? wanted : LIMIT_MAX);
  show_limit();
}

static bool try(struct mlos_kept *kept, uint32_t from) {
  /* Read first: most places are not the wanted ones, and an exchange takes the cache line. */
  return atomic_load_explicit(&kept->state, memory_order_relaxed) == from &&
         atomic_compare_exchange_strong(&kept->state, &from, KEPT_BUSY);
}

void mlos_cache_put_back(struct mlos_kept *kept) {
  atomic_store_explicit(&kept->state, KEPT_HELD, memory_order_release);
}

/* A thread that had one BUSY is not in the child. Its object stays loaded there, at worst. */
void mlos_cache_after_fork(void) {
  uint32_t used = 0;
  for (unsigned i = 0; i < used_places(); i++) {
    if (atomic_load(&places[i].state) == KEPT_BUSY)
      atomic_store(&places[i].state, KEPT_FREE);
    used += atomic_load(&places[i].state) == KEPT_HELD;
  }
  atomic_store(&in_use, used);
  atomic_store(&waiting, 0);
  mlos_release_page();
  show_limit();
}

/* The place becomes free only when ld.so is done: a dlopen that means this one waits for that. What destructors call is passed
   on as it is. A fork's child must not find ld.so's lists half changed by us. */
bool mlos_cache_drop(struct mlos_kept *kept) {
  uint64_t adds, before, after;
  uint8_t inside = mlos_thread.inside;
  mlos_thread.inside = 1;
  bool entered = mlos_forks_hold();
  mlos_loader_counters(&adds, &before);
  mlos_real.dlclose(atomic_load(&kept->map));
  mlos_loader_counters(&adds, &after);
  if (entered)
    mlos_forks_release();
  mlos_thread.inside = inside;
  atomic_store_explicit(&kept->map, NULL, memory_order_relaxed);
  atomic_store_explicit(&kept->state, KEPT_FREE, memory_order_release);
  atomic_fetch_sub(&in_use, 1);
  if (after != before)
    __atomic_fetch_add(&mlos_agent.header->cache_evictions, 1, __ATOMIC_RELAXED);
  return after != before;
}

static struct mlos_kept *oldest(void) {
  struct mlos_kept *found = NULL;
  for (unsigned i = 0; i < used_places(); i++)
    if (atomic_load(&places[i].state) == KEPT_HELD && places[i].settled && (!found || places[i].closed_ns < found->closed_ns))
      found = &places[i];
  return found && try(found, KEPT_HELD) ? found : NULL;
}

struct mlos_kept *mlos_cache_take(uintptr_t load_address) {
  if (load_address == 0)
    return oldest();
  for (unsigned i = 0; i < used_places(); i++)
    if (places[i].load_address == load_address && try(&places[i], KEPT_HELD)) {
      if (places[i].load_address == load_address)
        return &places[i];
      mlos_cache_put_back(&places[i]);
    }
  return NULL;
}

/* Which of the closed ones a change touches. The judge may look at the object. */
typedef bool mlos_judge(const struct mlos_kept *kept, const void *argument);

static void drop_if(mlos_judge *judge, const void *argument) {
  for (unsigned i = 0; i < used_places() && atomic_load(&in_use); i++) {
    if (!try(&places[i], KEPT_HELD))
      continue;
    if (mlos_opens(atomic_load(&places[i].map)) <= 1 && judge(&places[i], argument))
      mlos_cache_drop(&places[i]);
    else
      mlos_cache_put_back(&places[i]);
  }
}

static bool any(const struct mlos_kept *kept, const void *argument) {
  return true;
}

static bool is_not_named(const struct mlos_kept *kept, const void *argument) {
  return kept->keep != MLOS_KEEP_NAMED;
}

/* A library loaded later that needs one of its name would get it. */
static bool has_soname(const struct mlos_kept *kept, const void *argument) {
  for (const ElfW(Dyn) *entry = atomic_load(&kept->map)->l_ld; entry->d_tag != DT_NULL; entry++)
    if (entry->d_tag == DT_SONAME)
      return kept->keep != MLOS_KEEP_NAMED;
  return false;
}

/* It keeps loaded what is about to be closed. */
static bool needs(const struct mlos_kept *kept, const void *map) {
  return atomic_load(&kept->map) != map && mlos_brings(atomic_load(&kept->map), map);
}

void mlos_cache_empty(void) {
  drop_if(any, NULL);
  atomic_store(&limit, 0);
  show_limit();
}

static void enforce_limit(void) {
  for (;;) {
    uint32_t closed = 0;
    for (unsigned i = 0; i < used_places(); i++)
      closed += atomic_load(&places[i].state) == KEPT_HELD && places[i].settled;
    struct mlos_kept *kept = closed > atomic_load(&limit) ? oldest() : NULL;
    if (!kept)
      return;
    mlos_cache_drop(kept);
  }
}

uint32_t mlos_cache_set_limit(uint64_t wanted) {
  uint32_t before = atomic_exchange(&limit, wanted < LIMIT_MAX ? (uint32_t)wanted : LIMIT_MAX);
  show_limit();
  mlos_cache_settle();
  return before;
}

/* What stands in the way of closing this object for good, since it is about to be: kept ones that need it, or that may have
   taken symbols of it. */
static void make_way(const struct link_map *map) {
  if (atomic_load(&in_use) == 0)
    return;
  drop_if(needs, map);
  if (mlos_is_global(map))
    drop_if(is_not_named, NULL);
}

static bool may_stay(struct mlos_kept *kept) {
  struct mlos_library library;
  struct link_map *map = atomic_load(&kept->map);
  return !is_off() && atomic_load(&limit) && mlos_library_read(map, &library) && !is_marked(map->l_name) &&
         !mlos_is_global(map) && (kept->keep == MLOS_KEEP_NAMED || mlos_is_alone(map)) &&
         mlos_rules_is_fresh(&library, kept->keep, &kept->file, &kept->is_lazy);
}

static void note_reopened(struct mlos_kept *kept) {
  if (kept->settled)
    __atomic_fetch_add(&mlos_agent.header->cache_reopens, 1, __ATOMIC_RELAXED);
  kept->settled = false;
}

/* The entry is the caller's before, and nobody's after. */
static void settle(struct mlos_kept *kept) {
  struct link_map *map = atomic_load(&kept->map);
  if (mlos_opens(map) > 1) {
    note_reopened(kept);
  } else if (!kept->settled) {
    if (!may_stay(kept)) {
      make_way(map);
      mlos_cache_drop(kept);
      return;
    }
    kept->settled = true;
    kept->refusal = kept->refusal_detail = 0;
    kept->closed_ns = mlos_now_ns();
  }
  mlos_cache_put_back(kept);
}

void mlos_cache_settle(void) {
  if (atomic_load(&in_use) == 0)
    return;
  for (unsigned i = 0; i < used_places(); i++)
    if (try(&places[i], KEPT_HELD))
      settle(&places[i]);
  enforce_limit();
}

/* A free place, or that of one that is open again, which loses nothing by it, or of the oldest. */
static struct mlos_kept *place(void) {
  for (unsigned i = 0; i < PLACES; i++)
    if (try(&places[i], KEPT_FREE)) {
      uint32_t before = atomic_load(&top);
      while (before <= i && !atomic_compare_exchange_weak(&top, &before, i + 1))
        ;
      return &places[i];
    }
  for (unsigned i = 0; i < used_places(); i++)
    if (!places[i].settled && try(&places[i], KEPT_HELD)) {
      mlos_cache_drop(&places[i]);
      return try(&places[i], KEPT_FREE) ? &places[i] : NULL;
    }
  struct mlos_kept *kept = oldest();
  if (kept)
    mlos_cache_drop(kept);
  return kept && try(kept, KEPT_FREE) ? kept : NULL;
}

static struct mlos_kept *enter(struct link_map *map, const struct mlos_kept *facts) {
  struct mlos_kept *kept = place();
  if (!kept)
    return NULL;
  if (!mlos_own(map)) {
    atomic_store(&kept->state, KEPT_FREE);
    return NULL;
  }
  atomic_fetch_add(&in_use, 1);
  kept->keep = facts->keep;
  kept->file = facts->file;
  kept->closed_ns = facts->closed_ns;
  kept->settled = facts->settled;
  kept->is_lazy = facts->is_lazy;
  kept->refusal = facts->refusal;
  kept->refusal_detail = facts->refusal_detail;
  kept->load_address = map->l_addr;
  atomic_store(&kept->map, map);
  return kept;
}

void mlos_cache_hold(struct link_map *map, uint32_t refusal, uint32_t detail, const struct mlos_kept *was) {
  struct mlos_kept facts = {
      .keep = was->keep, .file = was->file, .closed_ns = was->closed_ns, .settled = true, .is_lazy = was->is_lazy};
  facts.refusal = refusal;
  facts.refusal_detail = detail;
  struct mlos_kept *kept = enter(map, &facts);
  if (kept)
    mlos_cache_put_back(kept);
}

static bool know_count(struct link_map *map) {
  if (mlos_opens(map) > 0)
    return true;
  if (atomic_flag_test_and_set(&learning))
    return false;
  bool known = mlos_opens(map) > 0 || (trials < LEARNING_MAX && (trials++, mlos_learn_opens(map)));
  atomic_flag_clear(&learning);
  return known;
}

struct mlos_kept *mlos_cache_before_close(void *handle) {
  struct mlos_library library;
  struct mlos_kept facts = {0};
  if (is_off() || (atomic_load(&limit) == 0 && atomic_load(&in_use) == 0) || mlos_thread.closing)
    return NULL;
  for (unsigned i = 0; i < used_places() && atomic_load(&in_use); i++) {
    if (atomic_load(&places[i].map) != handle)
      continue;
    if (!try(&places[i], KEPT_HELD))
      return NULL;
    if (atomic_load(&places[i].map) == handle && mlos_opens(handle) > 1) {
      note_reopened(&places[i]);
      return &places[i];
    }
    /* The program closes what it has not open. It must not take our reference for its own. */
    mlos_cache_drop(&places[i]);
    return NULL;
  }
  if (!mlos_library_read(handle, &library))
    return NULL;
  struct link_map *map = handle;
  facts.keep = atomic_load(&limit) ? mlos_rules_judge(&library) : MLOS_KEEP_NOT;
  /* Also of one that is not kept: by its number the supervisor is told why it is still there. */
  if (know_count(map) && mlos_opens(map) == 1 && (facts.keep || atomic_load(&in_use))) {
    struct mlos_kept *kept = NULL;
    if (facts.keep && !is_marked(map->l_name) && !mlos_is_global(map) && mlos_module_file(map->l_addr, &facts.file))
      kept = enter(map, &facts);
    if (kept)
      return kept;
    make_way(map);
  }
  return NULL;
}

void mlos_cache_after_close(struct mlos_kept *kept) {
  if (kept)
    settle(kept);
  mlos_cache_settle();
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
    bool busy = false;
    for (unsigned i = 0; i < used_places(); i++)
      busy |= atomic_load(&places[i].state) == KEPT_BUSY;
    if (!busy)
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
  drop_if(is_in_the_way, &asked);
  if (flags & RTLD_GLOBAL)
    drop_if(is_not_named, NULL);
  if (asked.named || atomic_load(&in_use) == 0 || mlos_is_loaded(file))
    return;
  /* Something that is not loaded yet, or is under another name. */
  if ((flags & RTLD_NOLOAD) && !strchr(file, '/'))
    drop_if(any, NULL);
  else
    drop_if(has_soname, NULL);
}

void mlos_cache_before_open(const char *file, int flags) {
  if (!file || !*file)
    return;
  if (flags & (RTLD_NODELETE | RTLD_DEEPBIND))
    mark(file, (flags & RTLD_NODELETE) != 0);
  if (atomic_load(&in_use) == 0 || is_off())
    return;
  uint64_t evictions = __atomic_load_n(&mlos_agent.header->cache_evictions, __ATOMIC_RELAXED);
  clear_way_for_open(file, flags);
  /* What comes may lie where this one lay, under its name: the table must have seen that one go. */
  if (evictions != __atomic_load_n(&mlos_agent.header->cache_evictions, __ATOMIC_RELAXED))
    mlos_modules_refresh(false);
}

static struct mlos_module *module_at(struct mlos_header *header, uintptr_t load_address) {
  struct mlos_module *modules = mlos_table_modules(header);
  for (uint32_t i = 0; i < header->modules_count; i++)
    if (modules[i].state == MLOS_MODULE_LOADED && modules[i].name_space == 0 && modules[i].load_address == load_address)
      return &modules[i];
  return NULL;
}

static bool is_closed_at(uintptr_t load_address) {
  for (unsigned i = 0; i < used_places(); i++)
    if (atomic_load(&places[i].state) != KEPT_FREE && places[i].load_address == load_address && places[i].settled)
      return true;
  return false;
}

void mlos_cache_tell(struct mlos_header *header) {
  static bool told; /* some entry may have the flag */
  struct mlos_module *modules = mlos_table_modules(header);
  if (!told && atomic_load(&in_use) == 0)
    return;
  told = atomic_load(&in_use) != 0;
  mlos_table_write_begin(header);
  for (unsigned i = 0; i < used_places() && atomic_load(&in_use); i++) {
    struct mlos_kept *kept = &places[i];
    struct mlos_module *module;
    if (!try(kept, KEPT_HELD))
      continue;
    if (mlos_opens(atomic_load(&kept->map)) > 1)
      note_reopened(kept);
    else if (kept->settled && (module = module_at(header, kept->load_address))) {
      module->flags |= MLOS_MODULE_CLOSED;
      module->closed_ns = kept->closed_ns;
      module->refusal = kept->refusal;
      module->refusal_detail = kept->refusal_detail;
    }
    mlos_cache_put_back(kept);
  }
  for (uint32_t i = 0; i < header->modules_count; i++)
    if ((modules[i].flags & MLOS_MODULE_CLOSED) &&
        (modules[i].state != MLOS_MODULE_LOADED || !is_closed_at(modules[i].load_address)))
      modules[i].flags &= ~(uint32_t)MLOS_MODULE_CLOSED;
  mlos_table_write_end(header);
}

#pragma clang attribute pop
