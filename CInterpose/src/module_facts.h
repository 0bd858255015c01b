/* What a loaded object's program headers say about it. */
#ifndef MLOS_MODULE_FACTS_H
#define MLOS_MODULE_FACTS_H

#include "mlos_abi.h"
#include <link.h>
#include <stdbool.h>

/* Where it is mapped, its build id and whether it has thread-local storage. */
void mlos_module_describe(const struct dl_phdr_info *info, struct mlos_module *module);
/* With an allocator that defines operator new, C++ code calls that and not our malloc. Such code is told by what it needs:
   libstdc++ or libc++. The allocators themselves need it too, and it needs nothing of its own. */
bool mlos_is_cxx_code(const struct dl_phdr_info *info, const char *path);

#endif
