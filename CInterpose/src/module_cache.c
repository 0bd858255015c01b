/* See module_cache.h. */
#include "module_cache.h"
#include "forks.h"
#include "hooks.h"
#include "loader.h"
#include "mlos_agent.h"
#include "module_table.h"
#include "sys.h"
#include <string.h>

#include "rare.h"

#define LIMIT_MAX 128u
/* More than the limit: libraries that were opened again keep their places. */
#define PLACES 160u
/* Trials to find ld.so's count, each on another library. */
#define LEARNING_MAX 16u

enum kept_state { KEPT_FREE, KEPT_HELD, KEPT_BUSY };
static struct mlos_kept places[PLACES];
static _Atomic uint32_t in_use; /* places that are not free */
static _Atomic uint32_t top;    /* no place from here on was ever used */
static _Atomic uint32_t limit;
static atomic_flag learning = ATOMIC_FLAG_INIT;
static uint32_t trials;

bool mlos_cache_is_empty(void) {
  return atomic_load(&in_use) == 0;
}

bool mlos_cache_is_off(void) {
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
  atomic_store(&limit, mlos_cache_is_off() ? 0 : wanted < LIMIT_MAX ? wanted : LIMIT_MAX);
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
  mlos_cache_open_after_fork();
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

void mlos_cache_drop_if(mlos_judge *judge, const void *argument) {
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

bool mlos_cache_is_not_named(const struct mlos_kept *kept, const void *argument) {
  return kept->keep != MLOS_KEEP_NAMED;
}

/* It keeps loaded what is about to be closed. */
static bool needs(const struct mlos_kept *kept, const void *map) {
  return atomic_load(&kept->map) != map && mlos_brings(atomic_load(&kept->map), map);
}

void mlos_cache_empty(void) {
  mlos_cache_drop_if(any, NULL);
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
  mlos_cache_drop_if(needs, map);
  if (mlos_is_global(map))
    mlos_cache_drop_if(mlos_cache_is_not_named, NULL);
}

static bool may_stay(struct mlos_kept *kept) {
  struct mlos_library library;
  struct link_map *map = atomic_load(&kept->map);
  return !mlos_cache_is_off() && atomic_load(&limit) && mlos_library_read(map, &library) && !mlos_cache_is_marked(map->l_name) &&
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

bool mlos_cache_has_busy(void) {
  for (unsigned i = 0; i < used_places(); i++)
    if (atomic_load(&places[i].state) == KEPT_BUSY)
      return true;
  return false;
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
  if (mlos_cache_is_off() || (atomic_load(&limit) == 0 && atomic_load(&in_use) == 0) || mlos_thread.closing)
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
    if (facts.keep && !mlos_cache_is_marked(map->l_name) && !mlos_is_global(map) && mlos_module_file(map->l_addr, &facts.file))
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
