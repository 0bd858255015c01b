/*
 * A loaded library of the base namespace, as the cache of closed ones looks at it; and three things that ld.so keeps to itself:
 * how often an object is open, by which names it is known, and which objects are in the global scope. Their places in ld.so's
 * own structure are found by trying (a dlopen must change the one, the program's own entry must show the other), never assumed:
 * where a trial fails nothing is kept.
 */
#ifndef MLOS_LIBRARY_H
#define MLOS_LIBRARY_H

#include "agent.h"
#include <link.h>

struct mlos_library {
  const struct link_map *map;
  const ElfW(Phdr) * headers;
  unsigned headers_count;
  uintptr_t base, start, end; /* l_addr; lowest and highest address of the segments */
  const ElfW(Sym) * symbols;
  const char *strings, *soname;
  const uint32_t *gnu_hash, *sysv_hash;
  const ElfW(Rela) * tables[2]; /* DT_RELA, DT_JMPREL */
  size_t relocations[2];
  const uint64_t *init_array, *fini_array;
  size_t init_count, fini_count;
  const uint8_t *init, *fini;
  uintptr_t got;
  uint64_t flags_1;
  bool odd; /* something that is rare and would have to be understood: text relocations, packed or old ones */
};

/* The caller holds the object open. False: not in the base namespace, or not readable. */
bool mlos_library_read(const void *map, struct mlos_library *library);
bool mlos_library_is_text(const struct mlos_library *library, uintptr_t address);
/* Symbols of the dynamic table; those below the second's value are what it takes from others, where that is known. */
uint32_t mlos_library_symbols(const struct mlos_library *library);
/* The first symbol that the judge accepts; NULL: none. */
const char *mlos_library_symbol(const struct mlos_library *library, bool (*judge)(const ElfW(Sym) * symbol, const char *name));

/* Calls of dlopen that are not undone, the agent's own among them; 0 also where it is not known. The object must not go. */
uint32_t mlos_opens(const struct link_map *map);
bool mlos_opens_known(void);
/* Finds out where that is kept, by this object, which the caller holds open. One caller at a time. */
bool mlos_learn_opens(struct link_map *map);
/* The agent's own reference to it. */
bool mlos_own(struct link_map *map);
/* By this name dlopen takes the object for the one that is meant, without a look at the file system. */
bool mlos_is_named(const struct link_map *map, const char *name);
/* In the global scope; true also where it is not known. */
bool mlos_is_global(const struct link_map *map);
/* `needed` came with it, or is itself. */
bool mlos_brings(const struct link_map *map, const struct link_map *needed);
/* What came with it, from 1 on; NULL: no more. */
const struct link_map *mlos_brought(const struct link_map *map, uint32_t index);
/* Nothing came with it but what is in the global scope. */
bool mlos_is_alone(const struct link_map *map);
/* Some object of the base namespace has this name. */
bool mlos_is_loaded(const char *name);

/* Memory of this process, by the kernel: false where a load would fault. */
bool mlos_peek(void *to, uintptr_t from, size_t bytes);

/* One page for whoever looks into files or other threads' stacks; NULL: somebody does. */
uint8_t *mlos_take_page(void);
void mlos_release_page(void);

#endif
