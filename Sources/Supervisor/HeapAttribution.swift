import Model

/// What each package and each chain of calls allocated. Pure.
///
/// A stack belongs to the package of its first frame, from the inside, that is not part of the C library, the C++ runtime, the
/// allocator or the agent: who asked them for memory.
public struct HeapAttribution: Sendable {
  public struct Figures: Hashable, Sendable {
    public var live = HeapSums()
    public var allocated = HeapSums()

    static func += (left: inout Figures, right: Figures) {
      left.live += right.live
      left.allocated += right.allocated
    }
  }
  public struct Package: Sendable {
    public var identity: PackageIdentity
    /// Stacks that belong to it.
    public var own = Figures()
    /// Stacks that pass through it, its own among them: they do not add up over packages.
    public var through = Figures()
  }
  public struct Frame: Sendable {
    public var function: String?
    public var file: String?
    public var address: UInt64
    /// Index of a package.
    public var package: Int
  }
  public struct Stack: Sendable {
    /// Indices of frames, innermost first.
    public var frames: [Int]
    public var package: Int
    public var isComplete: Bool
    public var figures: Figures
  }

  public private(set) var total = Figures()
  /// By live bytes, then allocated ones, most first.
  public private(set) var packages: [Package] = []
  public private(set) var frames: [Frame] = []
  public private(set) var stacks: [Stack] = []
  /// Sampled, and no stack to go with it.
  public private(set) var withoutStack = Figures()

  /// Code that nobody's file backs: made at run time, or the kernel's.
  public static let noFile = PackageIdentity(name: "no file", kind: .runtime)

  public init(_ record: HeapRecord, packages owners: [[UInt8]: PackageIdentity]) {
    var builder = Builder(record, owners)
    for stack in record.stacks { builder.take(stack) }
    withoutStack.live = record.liveWithoutStack
    withoutStack.live += record.liveBeyondLimit
    withoutStack.allocated = record.allocatedBeyondLimit
    total = builder.total
    total += withoutStack
    finish(builder)
  }

  private mutating func finish(_ builder: Builder) {
    // The agent's own, whose frames are not shown, has none.
    let order = builder.packages.indices.filter { builder.packages[$0].through.allocated.samples > 0 }.sorted {
      Self.precedes(builder.packages[$0].own, builder.packages[$1].own, $0, $1)
    }
    var place = [Int](repeating: 0, count: builder.packages.count)
    for (new, old) in order.enumerated() { place[old] = new }
    packages = order.map { builder.packages[$0] }
    frames = builder.frames.map { frame in
      var frame = frame
      frame.package = place[frame.package]
      return frame
    }
    let stacks = builder.stacks
    self.stacks = stacks.indices.sorted { Self.precedes(stacks[$0].figures, stacks[$1].figures, $0, $1) }.map { index in
      var stack = stacks[index]
      stack.package = place[stack.package]
      return stack
    }
  }

  private static func precedes(_ left: Figures, _ right: Figures, _ leftIndex: Int, _ rightIndex: Int) -> Bool {
    if left.live.bytes != right.live.bytes { return left.live.bytes > right.live.bytes }
    if left.allocated.bytes != right.allocated.bytes { return left.allocated.bytes > right.allocated.bytes }
    return leftIndex < rightIndex
  }

  private struct Builder {
    var total = Figures()
    var packages: [Package] = []
    var frames: [Frame] = []
    var stacks: [Stack] = []
    private let passes: [Bool]
    private let isAgent: [Bool]
    private var indexOfStack: [[Int]: Int] = [:]
    private var indexOfPackage: [PackageIdentity: Int] = [:]

    init(_ record: HeapRecord, _ owners: [[UInt8]: PackageIdentity]) {
      var index: [PackageIdentity: Int] = [:]
      var list: [Package] = []
      func number(_ identity: PackageIdentity) -> Int {
        if let known = index[identity] { return known }
        index[identity] = list.count
        list.append(Package(identity: identity))
        return list.count - 1
      }
      frames = record.frames.map { frame in
        let identity = frame.file.map { owners[$0.path] ?? PackageIdentity(name: baseName($0.path), kind: .file) } ?? noFile
        return Frame(
          function: frame.function.map { FunctionName.readable($0) }, file: frame.file?.displayPath, address: frame.address,
          package: number(identity))
      }
      let names = record.frames.map { $0.file.map { baseName($0.path) } ?? "" }
      isAgent = names.map { $0.hasPrefix("libmlosagent.") }
      passes = names.map { HeapAttribution.isPassedThrough($0) }
      packages = list
      indexOfPackage = index
    }

    mutating func take(_ stack: HeapStack) {
      let shown = Array(stack.frames.drop { isAgent[$0] })
      let figures = Figures(live: stack.live, allocated: stack.allocated)
      total += figures
      let owner = shown.first { !passes[$0] } ?? shown.last
      let package = owner.map { frames[$0].package } ?? number(HeapAttribution.noFile)
      packages[package].own += figures
      for index in Set(shown.map { frames[$0].package }).union([package]) { packages[index].through += figures }
      let key = shown + [stack.isComplete ? -1 : -2]
      if let known = indexOfStack[key] {
        stacks[known].figures += figures
      } else {
        indexOfStack[key] = stacks.count
        stacks.append(Stack(frames: shown, package: package, isComplete: stack.isComplete, figures: figures))
      }
    }

    private mutating func number(_ identity: PackageIdentity) -> Int {
      if let known = indexOfPackage[identity] { return known }
      indexOfPackage[identity] = packages.count
      packages.append(Package(identity: identity))
      return packages.count - 1
    }
  }

  /// Files that only hand memory on.
  static func isPassedThrough(_ name: String) -> Bool {
    let prefixes = [
      "libc.so.", "libc-2.", "ld-linux", "libpthread.so.", "libpthread-2.", "libstdc++.so.", "libgcc_s.so.", "libc++.so.",
      "libc++abi.so.", "libjemalloc.so.", "libtcmalloc", "libmimalloc", "libmlosagent.",
    ]
    return prefixes.contains { name.hasPrefix($0) }
  }
}
