/* What the command line needs of the terminal and of process creation. Prefixed mlos_linux_; thread-safe unless said otherwise.
 */
#ifndef CLINUX_PROCESS_H
#define CLINUX_PROCESS_H

/* Columns of the terminal behind fd (TIOCGWINSZ: ioctl is variadic, Swift imports none); 0 when it is no terminal or does
   not say. */
int mlos_linux_terminal_columns(int fd);

/* Starts path in a session of its own, as nobody's child: forked twice, so that the caller, or the program it is about to
   become, never sees it in wait(2). Swift may not run between fork and exec, hence C.

   The new process has /dev/null as standard input and output, log_fd as standard error, ready_fd as descriptor 3, nothing
   else open, no signal blocked or ignored, and / as its directory. argv and envp end with NULL; all stay the caller's.
   Returns 0 once path was executed, else the errno of what failed. Blocks until then. */
int mlos_linux_spawn_detached(const char *_Nonnull path, char *_Nullable const *_Nonnull argv,
                              char *_Nullable const *_Nonnull envp, int log_fd, int ready_fd);

/* flock(2), LOCK_EX, waited for no longer than this; the lock is the caller's until fd is closed. 0, or an errno: ETIMEDOUT when
   the time was over. Then a thread still waits with a descriptor of its own: for a process about to end or to execute another. */
int mlos_linux_lock_within(int fd, int milliseconds);

/* Opens /dev/null on those of the descriptors 0 to 2 that are closed, so that nothing the process opens later gets a standard
   stream's number and with it the stream's output; a program executed later finds them closed again. Meant for the first line of
   main, before other threads. Returns a set of bits: bit N when descriptor N was closed; -1 and errno when /dev/null cannot be
   opened. */
int mlos_linux_open_standard_descriptors(void);

#endif
