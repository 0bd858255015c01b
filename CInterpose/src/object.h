/* A loaded object's symbol table. */
#ifndef MLOS_OBJECT_H
#define MLOS_OBJECT_H

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The parts of an object's dynamic section that a lookup needs. */
struct mlos_object {
  uintptr_t base;
  const ElfW(Sym) * symbols;
  const char *strings;
  const uint32_t *gnu_hash;
  const uint32_t *sysv_hash;
  const uint16_t *versions;
  const uint8_t *defined_versions;
};

bool mlos_object_read(uintptr_t base, const ElfW(Dyn) * entry, struct mlos_object *object);
bool mlos_object_of(const struct dl_phdr_info *info, struct mlos_object *object);
uint32_t mlos_object_index(const struct mlos_object *object, const char *name); /* of the symbol; 0: not defined here */
void *mlos_object_find(const struct mlos_object *object, const char *name);

#endif
