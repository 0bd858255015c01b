/* Why a library must not be closed for good just now, and why one that was closed is still there. */
#ifndef MLOS_MODULE_HAZARDS_H
#define MLOS_MODULE_HAZARDS_H

#include "library.h"

struct mlos_hazard {
  uint32_t reason; /* enum mlos_refusal; 0: none */
  uint32_t detail;
};

/* own_frame: where the calling thread's stack is looked at from; 0: it is the control thread, which is not looked at. */
struct mlos_hazard mlos_hazards(const struct mlos_library *library, uintptr_t own_frame);
/* What keeps a library in memory that nobody has open. */
struct mlos_hazard mlos_why_mapped(const struct mlos_library *library);

/* threads.c: inside it, started from it, or not to be seen. */
struct mlos_hazard mlos_thread_hazard(const struct mlos_library *library, uintptr_t own_frame);
/* registrations.c: signal handlers, exit handlers, destructors of keys. */
struct mlos_hazard mlos_registration_hazard(const struct mlos_library *library);

#endif
