/* What the fuzzer needs and Swift cannot import: memfds, seals, the layout's macros. */
#ifndef CFUZZ_H
#define CFUZZ_H

#include <stddef.h>

/* An empty memfd. */
int fuzz_memory_file(void);
/* A memfd that holds a valid segment with a thread, two modules and three events, sealed as an agent's. Returns the
   descriptor, its writable mapping in `base` and its size. */
int fuzz_segment(void *_Nullable *_Nonnull base, size_t *_Nonnull size);

#endif
