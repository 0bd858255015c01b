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

#endif
