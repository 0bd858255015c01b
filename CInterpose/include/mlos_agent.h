/*
 * What a program and its operator may rely on about the injected agent: the environment it reads, where it looks for the
 * supervisor, and the calls by which a program may cooperate. Guide with examples: docs/cooperating.md.
 */
#ifndef MLOS_AGENT_H
#define MLOS_AGENT_H

#include <stddef.h>
#include <stdint.h>

#define MLOS_AGENT_VERSION "0.1.0"

/* Path of the supervisor's agent socket. When set, no other path is tried. */
#define MLOS_ENV_SOCKET "MLOS_SOCKET"
/* "1": forward every call and do nothing else. */
#define MLOS_ENV_DISABLE "MLOS_AGENT_DISABLE"
/* "never": no thread of the agent's, so no callbacks either; the supervisor sees shared memory, commands are answered from the
   program's own threads. */
#define MLOS_ENV_THREAD "MLOS_AGENT_THREAD"
/* "1": stay on under valgrind (for callgrind); memcheck then reports the agent's reads. */
#define MLOS_ENV_IGNORE_VALGRIND "MLOS_AGENT_IGNORE_VALGRIND"

/* How many libraries that the program has closed are kept for their return; 0: none. Not set: MLOS_MODULE_CACHE_DEFAULT. */
#define MLOS_ENV_MODULE_CACHE "MLOS_MODULE_CACHE"
#define MLOS_MODULE_CACHE_DEFAULT 100u
/* Globs (`*`, `?`) of paths, or of file names where they have no slash, separated by colons: libraries that are never kept. */
#define MLOS_ENV_MODULE_CACHE_EXCLUDE "MLOS_MODULE_CACHE_EXCLUDE"
/* Globs of libraries that are kept although a return shows that they were: their constructors do not run again, their data is
   as it was left, and destructors run at the end or when they are evicted. */
#define MLOS_ENV_MODULE_CACHE_INCLUDE "MLOS_MODULE_CACHE_INCLUDE"

/* Tried in this order when MLOS_SOCKET is not set; the first two only when the user is not root. */
#define MLOS_SOCKET_RUNTIME_SUFFIX "/mlos/agent.sock" /* after $XDG_RUNTIME_DIR */
#define MLOS_SOCKET_USER_FORMAT "/tmp/mlos-%u/agent.sock"
#define MLOS_SOCKET_SYSTEM "/run/mlos/agent.sock"

/*
 * Cooperation. A program that includes this header needs nothing to link with: without the agent every call below does nothing.
 * It works in programs, position independent or not, and in shared libraries, in C (C99 with GNU extensions) and C++.
 *
 *   static uint64_t shrink(uint64_t wanted_bytes, void *cache) {
 *     return cache_shrink(cache, wanted_bytes);
 *   }
 *   ...
 *   uint64_t registration = mlos_reclaim_register("thumbnails", shrink, cache);
 *   ...
 *   mlos_reclaim_unregister(registration);
 *   cache_free(cache);
 */

#ifdef __cplusplus
extern "C" {
#endif

/* What these functions are, raised when one is added. */
#define MLOS_COOPERATION_VERSION 1u
/* Registered at once; more are refused. */
#define MLOS_RECLAIM_CALLBACKS 64u
/* A callback that was late or freed nothing so often, one time after the other, is not asked any more. */
#define MLOS_RECLAIM_STRIKES 3u

/*
 * Gives memory back. wanted_bytes: how much is still wanted, at least 1. context: as registered. Returns the bytes it freed,
 * whether or not the allocator has given them back to the system already: 0 if none, more than wanted if that was easier.
 *
 * Runs on a thread that the agent keeps for this, with default stack size and all signals blocked; never two at a time, unless
 * one is late: then the others are asked on a new thread meanwhile. It must return: an exception that leaves it ends the program
 * (std::terminate), longjmp and pthread_exit out of it are errors. It may call any function of this header.
 */
typedef uint64_t mlos_reclaim_callback(uint64_t wanted_bytes, void *context);

#if defined(__x86_64__)
/* Through the global offset table, by assembler: compilers and linkers take an undefined weak function to be null for good in
   a program that is not position independent. */
#define MLOS_AGENT_LOOK_UP(name, place) __asm__(".weak " #name "\n\tmovq " #name "@GOTPCREL(%%rip), %0" : "=r"(place))
#elif defined(__aarch64__)
#define MLOS_AGENT_LOOK_UP(name, place)                                                                                          \
  __asm__(".weak " #name "\n\tadrp %0, :got:" #name "\n\tldr %0, [%0, :got_lo12:" #name "]" : "=r"(place))
#else
#define MLOS_AGENT_LOOK_UP(name, place) ((place) = NULL)
#endif

/* What the agent exports. Not to be called by these names: they need not be there. */
uint32_t mlosagent_version(void);
uint64_t mlosagent_register(const char *name, mlos_reclaim_callback *callback, void *context);
void mlosagent_unregister(uint64_t registration);
void mlosagent_busy_begin(void);
void mlosagent_busy_end(void);

/* The version of these functions that the agent in this process has; 0 when there is none, or it is switched off.
   From any thread; async-signal-safe. */
static inline uint32_t mlos_agent_version(void) {
  uint32_t (*function)(void);
  MLOS_AGENT_LOOK_UP(mlosagent_version, function);
  return function ? function() : 0;
}

/*
 * Registers a callback, to be asked after those that were registered before it. name: for people, 15 bytes of it are kept: the
 * thread has it while the callback runs; not null; copied. callback: not null; must stay loaded until it is unregistered: a
 * library that can be unloaded unregisters in its destructor, or the program crashes. context: any, passed on, never looked at.
 *
 * Returns the registration, to be unregistered once; 0 if there is no agent, it may have no thread (MLOS_AGENT_THREAD=never, a
 * seccomp filter that was inherited) or MLOS_RECLAIM_CALLBACKS are registered. The first registration makes the thread.
 * From any thread, also from a callback; not async-signal-safe.
 */
static inline uint64_t mlos_reclaim_register(const char *name, mlos_reclaim_callback *callback, void *context) {
  uint64_t (*function)(const char *, mlos_reclaim_callback *, void *);
  MLOS_AGENT_LOOK_UP(mlosagent_register, function);
  return function ? function(name, callback, context) : 0;
}

/*
 * Ends a registration. When it returns the callback does not run and will not be called: what it uses may be freed. Waits for a
 * callback that runs, however long that takes: hold no lock that it needs. Called by the callback itself it does not wait.
 * 0, and a registration that has ended, are ignored. From any thread; not async-signal-safe.
 */
static inline void mlos_reclaim_unregister(uint64_t registration) {
  void (*function)(uint64_t);
  MLOS_AGENT_LOOK_UP(mlosagent_unregister, function);
  if (function)
    function(registration);
}

/*
 * Begins and ends a time in which nothing is to be taken from this process; they nest, over all threads. No callback is asked
 * meanwhile; one that runs already goes on. A forked child starts with what its thread has begun and not ended.
 * From any thread, and one may end what another began; async-signal-safe.
 */
static inline void mlos_busy_begin(void) {
  void (*function)(void);
  MLOS_AGENT_LOOK_UP(mlosagent_busy_begin, function);
  if (function)
    function();
}

static inline void mlos_busy_end(void) {
  void (*function)(void);
  MLOS_AGENT_LOOK_UP(mlosagent_busy_end, function);
  if (function)
    function();
}

#ifdef __cplusplus
}
#endif

#endif
