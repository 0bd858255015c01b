import CLinux
import Glibc

/// epoll(7) with tokens instead of descriptors. Used by one thread; `wake` may be called from any.
public final class EventLoop: @unchecked Sendable {
  public struct Event: Hashable, Sendable {
    public var token: UInt64
    public var isReadable: Bool
    /// What the kernel has to tell besides data: a trigger has fired, or a file of a control group changed.
    public var isUrgent: Bool
    /// The other end is gone, or the descriptor is in error.
    public var isClosed: Bool
  }

  private let epoll: Int32
  private let wakeup: Int32
  private static let wakeToken = UInt64.max
  private static let batch = 64

  public init() throws(PlatformError) {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard epoll >= 0 else { throw PlatformError(.failed, errno: errno, context: "epoll_create1") }
    wakeup = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard wakeup >= 0 else {
      let code = errno
      close(epoll)
      throw PlatformError(.failed, errno: code, context: "eventfd")
    }
    try add(wakeup, token: Self.wakeToken)
  }

  deinit {
    close(epoll)
    close(wakeup)
  }

  /// Watches for input and hang-up, level-triggered. Tokens are the caller's, below `UInt64.max`.
  public func add(_ descriptor: Int32, token: UInt64) throws(PlatformError) {
    var event = epoll_event()
    event.events = UInt32(bitPattern: Int32(EPOLLIN.rawValue)) | EPOLLRDHUP.rawValue
    event.data.u64 = token
    guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
      throw PlatformError(.failed, errno: errno, context: "epoll_ctl")
    }
  }

  /// Watches for EPOLLPRI alone, and for errors: files of /proc and of control groups can always be read.
  public func addUrgent(_ descriptor: Int32, token: UInt64) throws(PlatformError) {
    var event = epoll_event()
    event.events = EPOLLPRI.rawValue
    event.data.u64 = token
    guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
      throw PlatformError(.failed, errno: errno, context: "epoll_ctl")
    }
  }

  public func remove(_ descriptor: Int32) { epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil) }

  /// Ends a `wait` that is under way, or the next one.
  public func wake() {
    var one: UInt64 = 1
    _ = write(wakeup, &one, 8)
  }

  /// Waits for events, at most `milliseconds`; nil for no limit. A wake-up by `wake` returns what there is, perhaps nothing.
  public func wait(milliseconds: Int32?) -> [Event] {
    var raw = [epoll_event](repeating: epoll_event(), count: Self.batch)
    let count = epoll_wait(epoll, &raw, Int32(Self.batch), milliseconds ?? -1)
    guard count > 0 else { return [] }
    var events: [Event] = []
    for event in raw.prefix(Int(count)) {
      if event.data.u64 == Self.wakeToken {
        var value: UInt64 = 0
        _ = read(wakeup, &value, 8)
        continue
      }
      let closed = EPOLLHUP.rawValue | EPOLLRDHUP.rawValue | EPOLLERR.rawValue
      events.append(
        Event(
          token: event.data.u64, isReadable: event.events & EPOLLIN.rawValue != 0,
          isUrgent: event.events & EPOLLPRI.rawValue != 0, isClosed: event.events & closed != 0))
    }
    return events
  }
}
