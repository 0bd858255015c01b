/*
 * dlopen, dlmopen, dlclose.
 *
 * glibc takes the caller of dlopen from its return address: RPATH, RUNPATH, $ORIGIN and the namespace depend on it. So the
 * hooks of dlopen and dlmopen do everything first and end in a jump; tools/check-agent looks for it in the built library.
 */
#include "agent.h"
#include "hooks.h"
#include "module_cache.h"
#include "sys.h"
#include <errno.h>
#include <string.h>

static void notice_open(const char *file, int flags, int32_t name_space, uint64_t *counter) {
  int saved_errno = errno;
  if (mlos_ready() && mlos_agent.started && !mlos_thread.inside) {
    mlos_thread.inside = 1;
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
    mlos_event(MLOS_EVENT_DLOPEN, 0, flags, file);
    mlos_request_note(file, name_space);
    if (name_space == 0)
      mlos_cache_before_open(file, flags);
    atomic_store_explicit(&mlos_agent.loader_active, true, memory_order_relaxed);
    bool frozen = atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed);
    if (mlos_control_running()) {
      mlos_control_kick();
    } else {
      /* Without a thread, what earlier calls loaded is seen here at the latest. */
      mlos_modules_refresh(false);
      mlos_requests_match();
      if (!frozen && mlos_sys(SYS_getpid, 0, 0, 0, 0) == mlos_agent.pid)
        mlos_housekeeping(mlos_coarse_ms());
    }
    mlos_thread.inside = 0;
  }
  errno = saved_errno;
}

/* Before glibc 2.34 these live in libdl, which may have been loaded since the agent looked. */
static void find_loader_functions(void) {
  mlos_start();
  if (!mlos_real.dlopen)
    mlos_real.dlopen = (mlos_dlopen_function *)mlos_find_anywhere("dlopen");
  if (!mlos_real.dlmopen)
    mlos_real.dlmopen = (mlos_dlmopen_function *)mlos_find_anywhere("dlmopen");
  if (!mlos_real.dlclose)
    mlos_real.dlclose = (mlos_dlclose_function *)mlos_find_anywhere("dlclose");
}

void *mlos_hook_dlopen(const char *file, int flags) {
  if (mlos_unlikely(!mlos_real.dlopen))
    find_loader_functions();
  if (mlos_agent.header)
    notice_open(file, flags, 0, &mlos_agent.header->dlopen_calls);
  __attribute__((musttail)) return mlos_real.dlopen(file, flags);
}

void *mlos_hook_dlmopen(long name_space, const char *file, int flags) {
  if (mlos_unlikely(!mlos_real.dlmopen))
    find_loader_functions();
  if (mlos_agent.header)
    notice_open(file, flags, (int32_t)name_space, &mlos_agent.header->dlmopen_calls);
  __attribute__((musttail)) return mlos_real.dlmopen(name_space, file, flags);
}

/* The program's reference goes, whatever becomes of the library: the agent may hold one of its own. What its destructors do is
   theirs. */
static int close_module(void *handle) {
  mlos_thread.inside = 1;
  struct mlos_kept *kept = mlos_cache_before_close(handle);
  mlos_thread.inside = 0;
  mlos_thread.closing++;
  int result = mlos_real.dlclose(handle);
  mlos_thread.closing--;
  return mlos_cache_after_close(kept), result;
}

int mlos_hook_dlclose(void *handle) {
  if (mlos_unlikely(!mlos_real.dlclose))
    find_loader_functions();
  if (!mlos_ready() || !mlos_agent.started || mlos_thread.inside)
    return mlos_real.dlclose(handle);
  int saved_errno = errno;
  mlos_modules_refresh(false);
  mlos_requests_match();
  uint32_t module = mlos_module_of_handle(handle);
  errno = saved_errno;
  int result = close_module(handle);
  saved_errno = errno;
  if (mlos_ready()) {
    __atomic_fetch_add(&mlos_agent.header->dlclose_calls, 1, __ATOMIC_RELAXED);
    mlos_event(MLOS_EVENT_DLCLOSE, module, result, NULL);
    mlos_module_count_close(module);
    mlos_modules_refresh(false);
    /* Asked of ld.so: the table may be in another thread's hands, and behind. */
    if (result == 0 && module && mlos_handle_is_open(handle))
      mlos_event(MLOS_EVENT_KEPT, module, 0, NULL);
    atomic_store_explicit(&mlos_agent.loader_active, true, memory_order_relaxed);
    if (!mlos_control_running())
      mlos_due_at(0);
  }
  errno = saved_errno;
  return result;
}
