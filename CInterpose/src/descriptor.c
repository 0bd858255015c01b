/*
 * The agent's descriptors live among the host's, who may close all it does not know (closefrom) and open its own files
 * under the same numbers. So each is remembered with its device and inode and compared before every use.
 */
#include "agent.h"
#include "sys.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "rare.h"

/* Above what programs hold in practice, below FD_SETSIZE. */
#define LOWEST_NUMBER 512

static long duplicate_high(int number) {
  long high = mlos_sys(SYS_fcntl, number, F_DUPFD_CLOEXEC, LOWEST_NUMBER, 0);
  if (high >= 0)
    return high;
  struct rlimit limit;
  if (mlos_sys(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &limit) < 0 || limit.rlim_cur < 32)
    return -1;
  return mlos_sys(SYS_fcntl, number, F_DUPFD_CLOEXEC, (long)limit.rlim_cur - 8, 0);
}

bool mlos_descriptor_adopt(struct mlos_descriptor *descriptor, int number) {
  descriptor->number = -1;
  long high = duplicate_high(number);
  mlos_sys(SYS_close, number, 0, 0, 0);
  if (high < 0)
    return false;
  struct stat status;
  if (mlos_sys(SYS_fstat, high, &status, 0, 0) < 0) {
    mlos_sys(SYS_close, high, 0, 0, 0);
    return false;
  }
  descriptor->device = status.st_dev;
  descriptor->inode = status.st_ino;
  descriptor->number = (int)high;
  return true;
}

bool mlos_descriptor_is_ours(const struct mlos_descriptor *descriptor) {
  struct stat status;
  return descriptor->number >= 0 && mlos_sys(SYS_fstat, descriptor->number, &status, 0, 0) == 0 &&
         status.st_dev == descriptor->device && status.st_ino == descriptor->inode;
}

void mlos_descriptor_close(struct mlos_descriptor *descriptor) {
  if (mlos_descriptor_is_ours(descriptor))
    mlos_sys(SYS_close, descriptor->number, 0, 0, 0);
  descriptor->number = -1;
}

#pragma clang attribute pop
