import CLinux
import Glibc
import LinuxPlatform
import Logging
import TestKit
import Testing

@testable import SocketAPI

/// A program that wants to hear of pressure.
private struct Program: ~Copyable {
  let socket: Int32

  init(_ path: String) {
    socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let descriptor = socket
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, size) }
    }
    if result != 0 { Issue.record("connect: errno \(errno)") }
  }
  deinit { close(socket) }

  /// Waits for a byte or the end: 1 or 0; -1 when nothing came within a minute.
  func hear() -> Int {
    var state = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    guard poll(&state, 1, 60_000) > 0 else { return -1 }
    var byte: UInt8 = 0
    return max(0, recv(socket, &byte, 1, 0))
  }
}

@Suite struct PressureListenerTests {
  private let tree = TemporaryTree()

  private func withListener(_ body: (PressureListener, String) throws -> Void) throws {
    let claim = try SocketClaim(path: "\(tree.path)/agent.sock", sharedFolder: false)
    let path = "\(tree.path)/memory.sock"
    let listener = try PressureListener(
      path: path, listener: try claim.listen(path: path, type: SOCK_STREAM, mode: 0o600, backlog: 512),
      admission: .user(geteuid()), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    listener.start()
    defer {
      listener.stop()
      claim.release()
    }
    try body(listener, path)
  }

  @Test func everyoneWhoIsConnectedIsToldAndMayWriteWhatTheProtocolAsks() throws {
    try withListener { listener, path in
      let first = Program(path)
      let second = Program(path)
      let words = Array("some 200000 2000000\0".utf8)
      #expect(send(first.socket, words, words.count, 0) == words.count)
      listener.ring()
      #expect(first.hear() == 1 && second.hear() == 1)
      listener.ring()
      #expect(first.hear() == 1)
      #expect(listener.report().rings == 2 && listener.report().refused == 0)
    }
  }

  @Test func whoDoesNotReadIsLetGoAndHoldsUpNobody() throws {
    try withListener { listener, path in
      let deaf = Program(path)
      let alert = Program(path)
      // Bytes that the kernel keeps, and then a minute of them in vain.
      for _ in 0..<(PressureListener.unreadLimit + 64) {
        listener.ring()
        #expect(alert.hear() == 1)
      }
      #expect(listener.report().refused == 1)
      var last = deaf.hear()
      while last == 1 { last = deaf.hear() }
      #expect(last == 0)
    }
  }

  @Test func whoTalksTooMuchIsLetGo() throws {
    try withListener { listener, path in
      let talker = Program(path)
      let words = [UInt8](repeating: 65, count: PressureListener.inputLimit + 1)
      #expect(send(talker.socket, words, words.count, Int32(MSG_NOSIGNAL)) == words.count)
      #expect(talker.hear() == 0)
      #expect(listener.report().refused == 1)
    }
  }

  @Test func oneUserHasSoManyPlacesAndThoseThatAreGoneAreFree() throws {
    try withListener { listener, path in
      var sockets: [Int32] = []
      defer { for socket in sockets { close(socket) } }
      for _ in 0..<PressureListener.userLimit {
        let program = Program(path)
        sockets.append(dup(program.socket))
      }
      do {
        let more = Program(path)
        #expect(more.hear() == 0)
      }
      close(sockets.removeLast())
      // Ends are taken one by one with new ones: the thread may see the new one first.
      var isIn = false
      while !isIn {
        let again = Program(path)
        listener.ring()
        isIn = again.hear() == 1
      }
      #expect(isIn)
    }
  }

  @Test func atTheEndEveryoneIsHungUp() throws {
    let claim = try SocketClaim(path: "\(tree.path)/agent.sock", sharedFolder: false)
    let path = "\(tree.path)/memory.sock"
    let listener = try PressureListener(
      path: path, listener: try claim.listen(path: path, type: SOCK_STREAM, mode: 0o600, backlog: 8), admission: .everyone,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    listener.start()
    let program = Program(path)
    listener.ring()
    #expect(program.hear() == 1)
    listener.stop()
    #expect(program.hear() == 0)
    claim.release()
    #expect(access(path, F_OK) != 0)
  }
}
