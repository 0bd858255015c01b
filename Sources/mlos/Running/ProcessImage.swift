@preconcurrency import Glibc

/// Arguments and environment as bytes: what is handed on to another program need not be UTF-8, and keeps its order.
enum ProcessImage {
  /// The last `count` arguments of this process.
  static func lastArguments(_ count: Int) -> [[UInt8]] {
    let total = Int(CommandLine.argc)
    return (max(total - count, 0)..<total).compactMap { index in CommandLine.unsafeArgv[index].map(bytes) }
  }

  /// The first value of a variable; nil when it is not set.
  static func value(of name: String, in environment: [[UInt8]]) -> [UInt8]? {
    let prefix = Array("\(name)=".utf8)
    return environment.first { $0.starts(with: prefix) }.map { Array($0.dropFirst(prefix.count)) }
  }

  /// "NAME=value" of every variable.
  static func environment() -> [[UInt8]] {
    var variables: [[UInt8]] = []
    var next = environ
    while let variable = next.pointee {
      variables.append(bytes(variable))
      next += 1
    }
    return variables
  }

  /// `environment` with other values for some names; nil takes the variable out. What is not named stays as it is.
  static func environment(_ environment: [[UInt8]], setting changes: [(name: String, value: [UInt8]?)]) -> [[UInt8]] {
    var result = environment
    for (name, value) in changes {
      let prefix = Array("\(name)=".utf8)
      let position = result.firstIndex { $0.starts(with: prefix) }
      result.removeAll { $0.starts(with: prefix) }
      guard let value else { continue }
      result.insert(prefix + value, at: min(position ?? result.count, result.count))
    }
    return result
  }

  private static func bytes(_ string: UnsafeMutablePointer<CChar>) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: string, count: strlen(string)))
  }
}

/// Calls `body` with the bytes as a C string.
func withCString<Result>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
  (bytes + [0]).withUnsafeBufferPointer { bytes in
    bytes.withMemoryRebound(to: CChar.self) { body($0.baseAddress!) }
  }
}

/// Calls `body` with a NULL-terminated array of C strings.
func withCStrings<Result>(_ strings: [[UInt8]], _ body: ([UnsafeMutablePointer<CChar>?]) throws -> Result) rethrows -> Result {
  let pointers = strings.map { string in
    (string + [0]).withUnsafeBytes { $0.baseAddress.flatMap { strdup($0.assumingMemoryBound(to: CChar.self)) } }
  }
  defer { for pointer in pointers { free(pointer) } }
  return try body(pointers + [nil])
}
