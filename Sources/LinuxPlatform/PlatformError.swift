import Glibc

/// Why something could not be read from, or asked of, the kernel or a file.
public struct PlatformError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What a caller can react to.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// No such file.
    case notFound = "not-found"
    /// The kernel refused: another user's process, no capability.
    case notPermitted = "not-permitted"
    /// The content is not what it must be.
    case malformed
    /// More than the limit set for it.
    case tooLarge = "too-large"
    /// The process has ended.
    case gone
    /// Everything else; `errno` says more.
    case failed
  }

  /// What a caller can react to.
  public var code: Code
  /// The kernel's number, nil when the content and not a call was at fault.
  public var errno: Int32?
  /// What was being done, in words.
  public var context: String

  /// An error found in content, or one whose code is already known.
  public init(_ code: Code, errno: Int32? = nil, context: String) {
    self.code = code
    self.errno = errno
    self.context = context
  }

  /// An error of a system call. None is impossible: a file system in user space answers open(2) and read(2) with any number.
  public init(errno number: Int32, context: String) {
    let code: Code =
      switch number {
      case ENOENT, ENOTDIR: .notFound
      case EACCES, EPERM, EROFS: .notPermitted
      case ESRCH: .gone
      case ENAMETOOLONG, EFBIG, E2BIG: .tooLarge
      default: .failed
      }
    self.init(code, errno: number, context: context)
  }

  /// One line for a log or a terminal.
  public var description: String {
    guard let number = self.errno else { return "\(context): \(code.rawValue)" }
    return "\(context): \(String(cString: strerror(number)))"
  }
}

/// Makes a system call until it is not interrupted; -1 becomes an error that holds errno as it was at once afterwards.
func retryingCall<Result: SignedInteger>(
  _ context: @autoclosure () -> String, _ call: () -> Result
) throws(PlatformError) -> Result {
  while true {
    let result = call()
    if result != -1 { return result }
    let number = errno
    if number != EINTR { throw PlatformError(errno: number, context: context()) }
  }
}
