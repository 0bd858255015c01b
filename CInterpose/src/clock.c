/* Time, by the vdso: no system call. */
#include "agent.h"
#include <time.h>

static uint64_t read_ns(clockid_t clock) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0)
    return 0;
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mlos_now_ns(void) {
  return read_ns(CLOCK_MONOTONIC);
}
uint64_t mlos_now_ms(void) {
  return read_ns(CLOCK_MONOTONIC) / 1000000u;
}
uint64_t mlos_coarse_ms(void) {
  return read_ns(CLOCK_MONOTONIC_COARSE) / 1000000u;
}
