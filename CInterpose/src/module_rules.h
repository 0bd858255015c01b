/*
 * Which closed libraries may be kept. By itself only one that cannot be told from a freshly loaded one when it comes back: no
 * constructor or destructor of its own, nothing of its memory changed, nothing that it could have registered elsewhere. The
 * operator may name others, whose programs do not count on a fresh start.
 */
#ifndef MLOS_MODULE_RULES_H
#define MLOS_MODULE_RULES_H

#include "library.h"
#include <sys/stat.h>

/* The file a library came from, as it was when the table saw it. */
struct mlos_file {
  uint64_t device, inode, stamp; /* the last: size and time of change */
};

enum mlos_keep { MLOS_KEEP_NOT, MLOS_KEEP_FRESH, MLOS_KEEP_NAMED /* by the operator */ };

void mlos_rules_read_environment(char *const envp[]);
bool mlos_rules_exclude(const char *path);
/* What does not change while it is loaded. Cheap: most libraries end here. */
enum mlos_keep mlos_rules_judge(const struct mlos_library *library);
/* Once the program has closed it: whether it is as it was loaded, and the file still the same. is_lazy: calls are not all bound.
 */
bool mlos_rules_is_fresh(const struct mlos_library *library, enum mlos_keep keep, const struct mlos_file *file, bool *is_lazy);
/* What the table knows of the file behind a library of the base namespace; modules.c. */
bool mlos_module_file(uintptr_t load_address, struct mlos_file *file);
bool mlos_file_is_same(const char *path, const struct mlos_file *file);
bool mlos_status_is_same(const struct stat *status, const struct mlos_file *file);
uint64_t mlos_file_stamp(uint64_t size, uint64_t seconds, uint64_t nanoseconds);

#endif
