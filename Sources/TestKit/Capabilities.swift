import Glibc

/// Runs `body` in a thread of its own without any capability; other threads keep theirs. nil when they cannot be given up.
public func withoutCapabilities<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value? {
  let box = Box<Value>()
  let work = Work {
    // capset(2) has no declaration in the C library's headers, only a symbol. Version 3: two 32-bit words of each set.
    typealias Capset = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Int32
    guard let symbol = dlsym(nil, "capset") else { return }
    var header: [UInt32] = [0x2008_0522, 0]
    var sets = [UInt32](repeating: 0, count: 6)
    guard unsafeBitCast(symbol, to: Capset.self)(&header, &sets) == 0 else { return }
    box.value = body()
  }
  var thread = pthread_t()
  let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { raw in
    Unmanaged<Work>.fromOpaque(raw!).takeRetainedValue().run()
    return nil
  }
  guard pthread_create(&thread, nil, start, Unmanaged.passRetained(work).toOpaque()) == 0 else {
    fatalError("pthread_create")
  }
  pthread_join(thread, nil)
  return box.value
}

/// Written by the thread before the join, read by the caller after it: never by both.
private final class Box<Value>: @unchecked Sendable {
  var value: Value?
}

private final class Work: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
