#include "mlos_abi.h"
#include "mlos_heap.h"

/* SwiftPM wants one source file a C target; the layout is checked here when the ABI changes. */
_Static_assert(offsetof(struct mlos_header, magic) == 0, "magic comes first");
_Static_assert(MLOS_SEGMENT_SIZE % 4096 == 0, "whole pages");
