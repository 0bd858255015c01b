import Model
import Testing

@testable import Supervisor

@Suite struct HeapAttributionTests {
  private func sums(_ bytes: Double) -> HeapSums {
    var sums = HeapSums()
    sums.add(bytes: bytes, probability: 1)
    return sums
  }

  private var record: HeapRecord {
    var record = HeapRecord()
    let names = ["/x/libmlosagent.so", "/lib/libc.so.6", "/lib/libstdc++.so.6", "/py/numpy/core.so", "/usr/bin/python3"]
    record.frames = names.map { HeapFrame(file: file($0), address: 16, function: Array("f".utf8)) }
    record.frames.append(HeapFrame(file: nil, address: 0xABC, function: nil))
    func stack(_ frames: [Int], _ allocated: Double, live: Double) {
      record.stacks.append(HeapStack(frames: frames, isComplete: true))
      record.stacks[record.stacks.count - 1].allocated = sums(allocated)
      if live > 0 { record.stacks[record.stacks.count - 1].live = sums(live) }
    }
    stack([0, 0, 1, 2, 3, 4, 1], 100, live: 10)
    stack([0, 1, 4], 50, live: 0)
    stack([0, 5, 4], 7, live: 7)
    stack([0, 1], 3, live: 0)
    stack([0], 1, live: 0)
    return record
  }

  private let owners = Dictionary(
    uniqueKeysWithValues: [
      ("/x/libmlosagent.so", "mlos"), ("/lib/libc.so.6", "libc6"), ("/lib/libstdc++.so.6", "libstdc++6"),
      ("/py/numpy/core.so", "numpy"), ("/usr/bin/python3", "python"),
    ].map { (Array($0.utf8), PackageIdentity(name: $1, kind: .system)) })

  @Test("A stack belongs to who asked the C library and the C++ runtime for memory") func owner() {
    let attribution = HeapAttribution(record, packages: owners)
    let own = Dictionary(uniqueKeysWithValues: attribution.packages.map { ($0.identity.name, $0.own.allocated.bytes) })
    #expect(own == ["numpy": 100, "python": 50, "no file": 8, "libc6": 3, "libstdc++6": 0])
    #expect(attribution.total.allocated.bytes == 161 && attribution.total.live.bytes == 17)
  }

  @Test("What passes through a package counts once, and the agent is not shown") func through() {
    let attribution = HeapAttribution(record, packages: owners)
    let through = Dictionary(uniqueKeysWithValues: attribution.packages.map { ($0.identity.name, $0.through.allocated.bytes) })
    #expect(through == ["numpy": 100, "python": 157, "no file": 8, "libc6": 153, "libstdc++6": 100])
    #expect(attribution.packages.map(\.identity.name).prefix(2) == ["numpy", "no file"])
    #expect(
      attribution.stacks.first.map { $0.frames.map { attribution.packages[attribution.frames[$0].package].identity.name } }
        == ["libc6", "libstdc++6", "numpy", "python", "libc6"])
  }

  @Test("Samples without a stack are in the total and told apart") func withoutStack() {
    var record = record
    record.liveWithoutStack = sums(1_000)
    record.allocatedBeyondLimit = sums(2_000)
    let attribution = HeapAttribution(record, packages: [:])
    #expect(attribution.withoutStack.live.bytes == 1_000 && attribution.withoutStack.allocated.bytes == 2_000)
    #expect(attribution.total.live.bytes == 1_017 && attribution.total.allocated.bytes == 2_161)
  }

  @Test("Names of C++ and old Rust are readable, others stay as they are")
  func names() {
    let cases = [
      ("malloc", "malloc"), ("_ZN5boost4math5gammaIdEEdT_", "boost::math::gamma<...>"),
      ("_ZN11onnxruntime16InferenceSession3RunERKNS_10RunOptionsE", "onnxruntime::InferenceSession::Run"),
      ("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<...>::push_back"),
      ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"), ("_ZNK1AclEv", "A::operator()"),
      ("_ZN1AC2Ev", "A::A"), ("_ZN1AIiED0Ev", "A<...>::~A"), ("_Z3fooILi3EEvv", "foo<...>"),
      ("_ZN12_GLOBAL__N_13barEv", "(anonymous)::bar"), ("_ZZN1A1fEvENKUlvE_clEv", "A::f::(local)"),
      ("_ZSt4sortIPiEvT_S1_", "std::sort<...>"), ("_ZN1AnwEm", "A::operator new"),
      ("_Z", "_Z"), ("_ZN", "_ZN"), ("_ZN999999999999999999999999aE", "_ZN999999999999999999999999aE"), ("_ZTV1A", "_ZTV1A"),
      ("_ZNE", "_ZNE"), ("a\u{1B}[2J", "a\\x1b[2J"),
    ]
    for (mangled, readable) in cases { #expect(FunctionName.readable(Array(mangled.utf8)) == readable) }
  }

  @Test("Names of Rust are readable, as binutils reads them without generic arguments and hashes")
  func rustNames() {
    let cases = [
      ("_RNvCs1_3foo3bar", "foo::bar"), ("_RNvMs_NtCs1C1lLj4PWSY_5alloc3vecNtB4_3Vec4push", "<alloc::vec::Vec>::push"),
      ("_RNvMs_NtCs1_5alloc3vecINtB4_3VechE4push", "<alloc::vec::Vec<...>>::push"),
      ("_RNvXs_Cs1_1aRNtB4_1SNtB4_1T1f", "<&a::S as a::T>::f"), ("_RNCNvCs1_1a1f0B3_", "a::f::{closure}"),
      ("_RINvCs1_1a1fTlmEKj2a_E", "a::f<...>"), ("_RNvXCs1_1aDNtB2_1TEL_NtB2_1U1f", "<dyn a::T as a::U>::f"),
      ("_RNvXCs1_1aATlSmEj4_NtB2_1U1f", "<[(i32, [u32]); _] as a::U>::f"),
      ("_RNvCs1_3foo3bar.llvm.123", "foo::bar"), ("_R", "_R"), ("_RNvC9foo", "_RNvC9foo"), ("_RB_", "_RB_"),
      ("_RNvNvNvB_1a1b1c", "_RNvNvNvB_1a1b1c"),
    ]
    for (mangled, readable) in cases { #expect(FunctionName.readable(Array(mangled.utf8)) == readable) }
    // Each pair is twice the one before: 2^60 letters.
    func reference(_ offset: Int) -> String {
      let digits = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
      return "B\(offset > 62 ? String(digits[(offset - 1) / 62]) : "")\(digits[(offset - 1) % 62])_"
    }
    var bomb = "_RNvMC1aTTC1bC1bE"
    var last = 7
    for _ in 0..<60 {
      let place = bomb.utf8.count - 2
      bomb += "T\(reference(last))\(reference(last))E"
      last = place
    }
    bomb += "E1f"
    #expect(FunctionName.readable(Array(bomb.utf8)) == String(bomb.prefix(FunctionName.limit)))
  }

  @Test("Names of noise end", arguments: 0..<50) func noise(seed: Int) {
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
    let letters = Array("_ZNIES0123456789TLXFJDAUtlCKabQBMYvs".utf8)
    for turn in 0..<200 {
      var name = Array((turn % 2 == 0 ? "_Z" : "_R").utf8)
      for _ in 0..<500 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        name.append(letters[Int(state >> 33) % letters.count])
      }
      #expect(FunctionName.readable(name).utf8.count <= 8 * FunctionName.limit)
    }
  }
}
