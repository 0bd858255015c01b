/*
 * Which object a dlopen call came to. The hook cannot look at the result (it ends in a jump), so the names asked for are
 * kept and compared with the table when it is next brought up to date. Best effort, and documented as such.
 */
#include "agent.h"
#include "module_table.h"
#include "sys.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "rare.h"

/* Names between two refreshes; of more, the latest are counted. */
#define REQUESTS 64u
#define NAME_BYTES 256u

/* Longer than the control thread looks after a dlopen. What has not come by then failed, or came under another name. */
#define FORGET_AFTER_MS 4000u

enum request_state { REQUEST_FREE, REQUEST_TAKEN, REQUEST_ASKED };
static struct request {
  _Atomic uint32_t state;
  int32_t name_space;
  uint64_t asked_ms;
  char name[NAME_BYTES];
} requests[REQUESTS];

static bool take(struct request *request, uint32_t from) {
  return atomic_compare_exchange_strong(&request->state, &from, REQUEST_TAKEN);
}

/* A free place, or that of the oldest: most of what waits long failed, and must not be in the way of the rest. */
static struct request *place(void) {
  struct request *oldest = NULL;
  for (unsigned i = 0; i < REQUESTS; i++) {
    if (take(&requests[i], REQUEST_FREE))
      return &requests[i];
    if (!oldest || requests[i].asked_ms < oldest->asked_ms)
      oldest = &requests[i];
  }
  return take(oldest, REQUEST_ASKED) ? oldest : NULL;
}

void mlos_request_note(const char *file, int32_t name_space) {
  if (!file || !*file || strnlen(file, NAME_BYTES) == NAME_BYTES)
    return;
  struct request *request = place();
  if (!request)
    return;
  memcpy(request->name, file, strlen(file) + 1);
  request->name_space = name_space;
  request->asked_ms = mlos_coarse_ms();
  atomic_store_explicit(&request->state, REQUEST_ASKED, memory_order_release);
}

/* Another thread may have held some at the fork. */
void mlos_requests_after_fork(void) {
  for (unsigned i = 0; i < REQUESTS; i++)
    atomic_store(&requests[i].state, REQUEST_FREE);
}

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* What the name means, asked of the file system at most once a look. */
struct meaning {
  bool is_file_name; /* compared with objects' file names */
  bool has_identity;
  uint64_t device, inode;
};

static struct meaning meaning_of(const char *name) {
  struct meaning meaning = {.is_file_name = !strchr(name, '/') || strchr(name, '$')};
  struct stat status;
  if (!meaning.is_file_name && !atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed) &&
      mlos_sys(SYS_newfstatat, AT_FDCWD, name, &status, 0) == 0) {
    meaning.has_identity = true;
    meaning.device = status.st_dev;
    meaning.inode = status.st_ino;
  }
  return meaning;
}

static bool matches(const struct request *request, const struct meaning *meaning, const struct mlos_module *module) {
  /* Not on the stack: it may be a coroutine's. One caller at a time. */
  static char path[MLOS_PATH_MAX];
  bool is_in = request->name_space == MLOS_ANY_NEW_NAMESPACE ? module->name_space > 0 : module->name_space == request->name_space;
  if (!is_in || module->state != MLOS_MODULE_LOADED || module->path_length == 0 || module->path_length >= MLOS_PATH_MAX)
    return false;
  memcpy(path, mlos_table_strings(mlos_agent.header) + module->path_offset, module->path_length);
  path[module->path_length] = 0;
  if (strcmp(request->name, path) == 0)
    return true;
  if (meaning->is_file_name)
    return strcmp(last_part(request->name), last_part(path)) == 0;
  return meaning->has_identity && !(module->flags & MLOS_MODULE_NO_IDENTITY) && meaning->device == module->device &&
         meaning->inode == module->inode;
}

/* A new namespace's object is the one that was opened least: every such call makes another. */
static struct mlos_module *module_for(struct mlos_header *header, const struct request *request) {
  struct meaning meaning = meaning_of(request->name);
  struct mlos_module *modules = mlos_table_modules(header), *best = NULL;
  for (uint32_t i = 0; i < header->modules_count; i++)
    if ((!best || modules[i].dlopen_count < best->dlopen_count) && matches(request, &meaning, &modules[i])) {
      best = &modules[i];
      if (request->name_space != MLOS_ANY_NEW_NAMESPACE)
        break;
    }
  return best;
}

void mlos_requests_match(void) {
  struct mlos_header *header = mlos_agent.header;
  if (atomic_flag_test_and_set_explicit(&mlos_agent.modules_lock, memory_order_acquire))
    return;
  uint64_t now_ms = mlos_coarse_ms();
  for (unsigned i = 0; i < REQUESTS; i++) {
    if (!take(&requests[i], REQUEST_ASKED))
      continue;
    struct mlos_module *module = module_for(header, &requests[i]);
    if (module)
      __atomic_fetch_add(&module->dlopen_count, 1, __ATOMIC_RELAXED);
    bool is_over = module || now_ms > requests[i].asked_ms + FORGET_AFTER_MS;
    atomic_store_explicit(&requests[i].state, is_over ? REQUEST_FREE : REQUEST_ASKED, memory_order_release);
  }
  atomic_flag_clear_explicit(&mlos_agent.modules_lock, memory_order_release);
}

#pragma clang attribute pop
