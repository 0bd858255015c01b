/* The event ring. Any thread may write, readers check the sequence; see mlos_abi.h. */
#include "agent.h"
#include <string.h>

void mlos_event(uint32_t kind, uint32_t module, int64_t argument, const char *text) {
  struct mlos_header *header = mlos_agent.header;
  uint64_t index = __atomic_fetch_add(&header->events_head, 1, __ATOMIC_RELAXED);
  struct mlos_event *event =
      (struct mlos_event *)(void *)((uint8_t *)header + MLOS_EVENTS_OFFSET) + (index & (MLOS_EVENT_CAPACITY - 1));
  __atomic_store_n(&event->sequence, 0, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  event->time_ns = mlos_now_ns();
  event->kind = kind;
  event->tid = mlos_thread_id();
  event->module = module;
  event->argument = argument;
  size_t length = text ? strnlen(text, MLOS_EVENT_TEXT_MAX) : 0;
  event->text_length = (uint32_t)length;
  if (length)
    memcpy(event->text, text, length);
  __atomic_store_n(&event->sequence, index + 1, __ATOMIC_RELEASE);
}
