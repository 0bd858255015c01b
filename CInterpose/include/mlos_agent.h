/*
 * What a program and its operator may rely on about the injected agent: the environment it reads and where it looks for
 * the supervisor. The agent exports no function of its own; a program cooperates by setting these before it starts.
 */
#ifndef MLOS_AGENT_H
#define MLOS_AGENT_H

#define MLOS_AGENT_VERSION "0.1.0"

/* Path of the supervisor's agent socket. When set, no other path is tried. */
#define MLOS_ENV_SOCKET "MLOS_SOCKET"
/* "1": forward every call and do nothing else. */
#define MLOS_ENV_DISABLE "MLOS_AGENT_DISABLE"
/* "never": no control thread; the supervisor sees shared memory, commands are answered from the program's own threads. */
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

#endif
