/*
 * Keeping the agent in programs that this one starts with an LD_PRELOAD of its own (torch's launchers do). Works on the
 * caller's stack only: the caller may be a vfork child.
 */
#include "exec_environment.h"
#include "agent.h"
#include <string.h>

#include "rare.h"

#define PRELOAD "LD_PRELOAD="
#define PRELOAD_LENGTH (sizeof PRELOAD - 1)

/* How this process's own LD_PRELOAD named the agent, and whether it stood first. */
static char own_entry[MLOS_PATH_MAX];
static size_t own_length;
static bool stood_first;

static const char *last_part(const char *entry, size_t *length) {
  for (size_t i = *length; i > 0; i--)
    if (entry[i - 1] == '/') {
      *length -= i;
      return entry + i;
    }
  return entry;
}

static bool is_separator(char c) {
  return c == ':' || c == ' ';
}

/* Finds the entry whose file name is the agent's. */
static const char *find_entry(const char *list, size_t *length, bool *first) {
  static const char name[] = "libmlosagent.so";
  *first = true;
  while (*list) {
    while (is_separator(*list))
      list++;
    size_t size = 0;
    while (list[size] && !is_separator(list[size]))
      size++;
    size_t part_length = size;
    const char *part = last_part(list, &part_length);
    if (part_length >= sizeof name - 1 && memcmp(part, name, sizeof name - 1) == 0) {
      *length = size;
      return list;
    }
    if (size)
      *first = false;
    list += size;
  }
  return NULL;
}

static char *const *find_preload(char *const envp[]) {
  for (; envp && *envp; envp++)
    if (strncmp(*envp, PRELOAD, PRELOAD_LENGTH) == 0)
      return envp;
  return NULL;
}

void mlos_exec_remember(char *const envp[]) {
  char *const *preload = find_preload(envp);
  size_t length;
  const char *entry = preload ? find_entry(*preload + PRELOAD_LENGTH, &length, &stood_first) : NULL;
  if (!entry || length >= sizeof own_entry)
    return;
  memcpy(own_entry, entry, length);
  own_length = length;
}

/* More variables or a longer list than this is passed on unchanged: the stack may be a small one. */
#define VARIABLES_MAX 4096u
#define LIST_MAX 16384u

struct mlos_exec_sizes mlos_exec_measure(char *const envp[]) {
  struct mlos_exec_sizes sizes = {0, 0};
  size_t length;
  bool first;
  char *const *preload = own_length ? find_preload(envp) : NULL;
  if (!preload || find_entry(*preload + PRELOAD_LENGTH, &length, &first))
    return sizes;
  size_t variables = 0, list = strlen(*preload);
  while (envp[variables])
    variables++;
  if (variables > VARIABLES_MAX || list > LIST_MAX)
    return sizes;
  sizes.pointers = variables + 1;
  sizes.bytes = list + 1 + own_length + 1;
  return sizes;
}

void mlos_exec_compose(char *const envp[], char *pointers[], char *bytes) {
  char *const *preload = find_preload(envp);
  const char *others = *preload + PRELOAD_LENGTH;
  size_t others_length = strlen(others), at = PRELOAD_LENGTH;
  memcpy(bytes, PRELOAD, PRELOAD_LENGTH);
  if (!stood_first && others_length) {
    memcpy(bytes + at, others, others_length);
    at += others_length;
    bytes[at++] = ':';
  }
  memcpy(bytes + at, own_entry, own_length);
  at += own_length;
  if (stood_first && others_length) {
    bytes[at++] = ':';
    memcpy(bytes + at, others, others_length);
    at += others_length;
  }
  bytes[at] = 0;
  size_t i = 0;
  for (; envp[i]; i++)
    pointers[i] = &envp[i] == preload ? bytes : envp[i];
  pointers[i] = NULL;
}

#pragma clang attribute pop
