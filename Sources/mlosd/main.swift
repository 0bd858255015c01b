import CLinux
import Dispatch
import Glibc

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
