/*
 * Which object a dlopen call came to. The hook cannot look at the result (it ends in a jump), so the names asked for are
 * kept and compared with the table when it is next brought up to date. Best effort, and documented as such.
 */
#include "agent.h"
#include "sys.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Names between two refreshes; more are not counted. */
#define REQUESTS 64u
#define NAME_BYTES 256u

enum request_state { REQUEST_FREE, REQUEST_WRITING, REQUEST_ASKED };
static struct {
  _Atomic uint32_t state;
  char name[NAME_BYTES];
} requests[REQUESTS];

void mlos_request_note(const char *file) {
  if (!file || !*file || strnlen(file, NAME_BYTES) == NAME_BYTES)
    return;
  for (unsigned i = 0; i < REQUESTS; i++) {
    uint32_t expected = REQUEST_FREE;
    if (!atomic_compare_exchange_strong(&requests[i].state, &expected, REQUEST_WRITING))
      continue;
    memcpy(requests[i].name, file, strlen(file) + 1);
    atomic_store_explicit(&requests[i].state, REQUEST_ASKED, memory_order_release);
    return;
  }
}

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool matches(const char *name, const struct mlos_module *module) {
  char path[MLOS_PATH_MAX];
  if (module->path_length == 0 || module->path_length >= MLOS_PATH_MAX)
    return false;
  memcpy(path, (const uint8_t *)mlos_agent.header + MLOS_STRINGS_OFFSET + module->path_offset, module->path_length);
  path[module->path_length] = 0;
  if (strcmp(name, path) == 0)
    return true;
  if (!strchr(name, '/') || strchr(name, '$'))
    return strcmp(last_part(name), last_part(path)) == 0;
  struct stat status;
  if (atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed) || (module->flags & MLOS_MODULE_NO_IDENTITY) ||
      mlos_sys(SYS_newfstatat, AT_FDCWD, name, &status, 0) != 0)
    return false;
  return status.st_dev == module->device && status.st_ino == module->inode;
}

void mlos_requests_match(void) {
  struct mlos_header *header = mlos_agent.header;
  if (atomic_flag_test_and_set_explicit(&mlos_agent.modules_lock, memory_order_acquire))
    return;
  struct mlos_module *modules = (struct mlos_module *)(void *)((uint8_t *)header + MLOS_MODULES_OFFSET);
  for (unsigned i = 0; i < REQUESTS; i++) {
    if (atomic_load_explicit(&requests[i].state, memory_order_acquire) != REQUEST_ASKED)
      continue;
    for (uint32_t k = 0; k < header->modules_count; k++) {
      if (modules[k].state != MLOS_MODULE_LOADED || !matches(requests[i].name, &modules[k]))
        continue;
      __atomic_fetch_add(&modules[k].dlopen_count, 1, __ATOMIC_RELAXED);
      atomic_store_explicit(&requests[i].state, REQUEST_FREE, memory_order_release);
      break;
    }
  }
  atomic_flag_clear_explicit(&mlos_agent.modules_lock, memory_order_release);
}

/* What was asked for and never came: a failed dlopen, or an object of another namespace. */
void mlos_requests_forget(void) {
  for (unsigned i = 0; i < REQUESTS; i++) {
    uint32_t expected = REQUEST_ASKED;
    atomic_compare_exchange_strong(&requests[i].state, &expected, REQUEST_FREE);
  }
}
