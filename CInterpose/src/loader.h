/* ld.so's lists of loaded objects, of all namespaces. */
#ifndef MLOS_LOADER_H
#define MLOS_LOADER_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* dl_iterate_phdr, libc's own. */
void mlos_iterate_objects(int (*visit)(struct dl_phdr_info *info, size_t size, void *data), void *data);

/* Takes note of ld.so's description for debuggers, which the program's dynamic section leads to. Once, at start. */
void mlos_loader_remember(const struct dl_phdr_info *program);

/* What the visitor of a link map is told; true ends the walk. The base namespace is 0, and dlinfo's number for the others. A
   namespace's own entry for ld.so, of which there is only one in a process, is an alias of the base's. */
typedef bool mlos_map_visitor(const struct link_map *map, int32_t name_space, bool is_alias, void *data);
/* All link maps, those of other namespaces where glibc tells (2.35 and newer). Only inside a visit of mlos_iterate_objects: it
   holds the lock under which every list changes. False: not even the base's are known. */
bool mlos_each_link_map(mlos_map_visitor *visit, void *data);

/* The program headers of an object of which only the link map is known, read from its ELF header where it is mapped; valid
   until the next call. NULL: not there, or not this object's. One caller at a time. */
const ElfW(Phdr) * mlos_read_headers(const struct link_map *map, unsigned *count);

#endif
