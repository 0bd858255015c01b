/* What a full-screen program needs of the system: its terminal's size, signals as something to poll(2) for, and a terminal that
   is itself again whatever ends the program. One set of signals and one terminal a process. */
#ifndef CLINUX_TERMINAL_H
#define CLINUX_TERMINAL_H

#include <stddef.h>
#include <stdint.h>
#include <termios.h>

/* TIOCGWINSZ (ioctl is variadic, Swift imports none): -1 and errno when fd is no terminal. A terminal that does not know has 0.
 */
int mlos_linux_terminal_size(int fd, int *_Nonnull columns, int *_Nonnull rows);

/* Catches a signal from now on, unless the process was started with it ignored. System calls that wait end with EINTR.
   Returns a descriptor that can be read as soon as one came, the same at every call, or -1 and errno. Not thread-safe. */
int mlos_linux_signal_catch(int number);

/* The signals that came since the last call, bit N for signal N; empties the descriptor. However often a signal came, it is one
   bit: a storm of one kind cannot push out another. */
uint64_t mlos_linux_signals_take(void);

/* The same without taking them. */
uint64_t mlos_linux_signals_waiting(void);

/* Does to this process what the signal does to one that does not catch it; comes back only for one that stops, once the
   process was continued, and catches it again. */
void mlos_linux_signal_default(int number);

/* Whatever kills this process by a fault from now on first gives `modes` back to terminal `input` and writes `farewell` to
   `output`. `farewell` is only read and must live as long as the process. */
void mlos_linux_terminal_guard(int input, const struct termios *_Nonnull modes, int output, const char *_Nonnull farewell);

/* Ends what mlos_linux_terminal_guard began. */
void mlos_linux_terminal_unguard(void);

#endif
