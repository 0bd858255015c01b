/*
 * What Embedded Swift asks of a C library and glibc has only since 2.36: its hash seed. Hidden, so the library keeps to the
 * symbol floor of glibc 2.28 and exports nothing of it.
 */
#include "sys.h"
#include <stddef.h>

__attribute__((visibility("hidden"))) void arc4random_buf(void *bytes, size_t count);

void arc4random_buf(void *bytes, size_t count) {
  unsigned char *at = bytes;
  while (count > 0) {
    long got = mlos_sys(SYS_getrandom, at, count, 0, 0);
    if (got <= 0)
      return;
    at += got;
    count -= (size_t)got;
  }
}
