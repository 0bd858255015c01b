import CLinux
import Dispatch
import Glibc

// First: the next descriptor that is opened would be the log's, or what something else prints to.
StartConditions.openStandardDescriptors()
do throws(StartError) {
  // Dispatch, too, ends a process that has no descriptors left, without a word.
  try StartConditions.raiseDescriptorLimit()
} catch {
  Daemon.fail(error.description)
}
// A log that has reached a limit of size, or a reader that has gone, costs lines, not the daemon.
signal(SIGXFSZ, SIG_IGN)
signal(SIGPIPE, SIG_IGN)
// Before the first asynchronous call: Dispatch ends a process that cannot read /proc, without a word.
guard access("/proc/self/cmdline", R_OK) == 0 else {
  Daemon.fail("/proc is not mounted here: nothing could be seen, nor this command line")
}
mlos_linux_keep_heap_small()
Task {
  await Daemon.main()
  exit(0)
}
dispatchMain()
