import Glibc

/// The log that `mlos run` makes for the supervisor it starts, as its standard error.
enum EmbeddedLog {
  /// Takes the file away, so that a program that was run under it leaves nothing behind: only when it is what standard error is.
  /// What started the supervisor has read it by now if there was trouble.
  static func remove(besideSocket socket: String) {
    guard let slash = socket.lastIndex(of: "/") else { return }
    let path = socket[..<slash] + "/mlosd.log"
    var own = stat()
    var named = stat()
    guard fstat(STDERR_FILENO, &own) == 0, lstat(String(path), &named) == 0, own.st_mode & S_IFMT == S_IFREG,
      own.st_dev == named.st_dev, own.st_ino == named.st_ino
    else { return }
    unlink(String(path))
  }
}
