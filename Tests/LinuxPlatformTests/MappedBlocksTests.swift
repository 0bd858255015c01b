import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct MappedBlocksTests {
  /// Holds blocks of all sizes, some freed in between, and says what the allocator itself counts of those with a mapping of their own.
  private static let program = """
    import ctypes, os, sys
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    class Walk(ctypes.Structure):
        _fields_ = [(n, ctypes.c_size_t) for n in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]
    libc.mallinfo2.restype = Walk
    libc.mallopt(-3, 131072)
    blocks = [libc.malloc(size) for size in (200_000, 1_000_000, 5_000_001, 131_100, 40_000_000, 3_000_000)]
    for block in blocks: ctypes.memset(block, 1, 100)
    libc.free(blocks[1])
    held = bytearray(8 << 20)
    os.write(1, f"{libc.mallinfo2().hblkhd}\\n".encode())
    sys.stdin.read()
    """

  @Test func whatTheAllocatorCountsIsFoundFromOutside() throws {
    let child = try #require(ChildProcess(["python3", "-c", Self.program]))
    let counted = try #require(UInt64(child.read().split(separator: "\n").first ?? ""))
    let proc = ProcFS()
    let identity = try proc.identity(of: child.pid)
    #expect(counted > 48_000_000)
    let found = try MappedBlocks().bytes(of: identity, in: proc.mappings(of: child.pid))
    #expect(found == Bytes(counted), "\(found.count)")
    let other = ProcessIdentity(pid: child.pid, startTicks: identity.startTicks + 1)
    #expect(throws: PlatformError.self) { try MappedBlocks().bytes(of: other, in: proc.mappings(of: child.pid)) }
  }

  /// 4 MiB that no allocator made, each page like a header that cannot be.
  private static let other = """
    import mmap, os, sys
    memory = mmap.mmap(-1, 4 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(b"\\x02" * (4 << 20))
    os.write(1, b"ready\\n")
    sys.stdin.read()
    """

  @Test func whatIsNoBlockIsNotCounted() throws {
    let child = try #require(ChildProcess(["python3", "-c", Self.other]))
    #expect(child.read() == "ready\n")
    let proc = ProcFS()
    let identity = try proc.identity(of: child.pid)
    #expect(try MappedBlocks().bytes(of: identity, in: proc.mappings(of: child.pid)) < .mebibytes(4))
  }
}
