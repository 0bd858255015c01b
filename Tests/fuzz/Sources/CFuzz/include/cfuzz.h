/* What the fuzzer needs and Swift cannot import: memfds, seals, the layout's macros. */
#ifndef CFUZZ_H
#define CFUZZ_H

#include <stddef.h>
#include <stdint.h>

/* An empty memfd. */
int fuzz_memory_file(void);
/* A memfd that holds a valid segment with a thread, two modules and three events, sealed as an agent's. Returns the
   descriptor, its writable mapping in `base` and its size. */
int fuzz_segment(void *_Nullable *_Nonnull base, size_t *_Nonnull size);

/* The agent's side of a heap profile: its view of the memfd, NULL when it cannot be mapped. */
void *_Nullable fuzz_heap_view(int descriptor);
/* One entry of the table of live samples; `place` is taken modulo the table's size. */
void fuzz_heap_live(void *_Nonnull view, uint64_t place, uint64_t address, uint64_t id, uint64_t bytes, uint64_t mean);

struct fuzz_sample {
  uint64_t id, bytes, mean, pc, sp;
  uint32_t stack_bytes; /* as the record has it; may be a lie */
};
/* The record for a place of the ring, taken modulo its size: `words` of stack are copied, and `sequence` is stored last. `saved`
   has 12 registers. */
void fuzz_heap_record(void *_Nonnull view, uint64_t place, uint64_t sequence, const struct fuzz_sample *_Nonnull sample,
                      const uint64_t *_Nonnull saved, const uint64_t *_Nonnull stack, size_t words);
/* Undoes a record: the place is free for the index `sequence`, and zero. */
void fuzz_heap_free(void *_Nonnull view, uint64_t place, uint64_t sequence);

#endif
