import Model

/// Memory of a module or package in one process or summed over several.
public struct MemoryRow: Codable, Sendable, Hashable {
  public var mappedBytes: UInt64
  public var residentBytes: UInt64
  public var proportionalBytes: UInt64
  public var privateBytes: UInt64
  public var anonymousBytes: UInt64
  public var referencedBytes: UInt64
  public var swapBytes: UInt64

  public init(_ usage: MemoryUsage) {
    mappedBytes = usage.mapped.count
    residentBytes = usage.resident.count
    proportionalBytes = usage.proportional.count
    privateBytes = usage.privateBytes.count
    anonymousBytes = usage.anonymous.count
    referencedBytes = usage.referenced.count
    swapBytes = usage.swap.count
  }
}

/// `GET /api/v1/processes/PID/modules`
public struct ModulesAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.modules/1"
  public var schema = ModulesAnswer.schema
  public var takenAt: Double
  public var pid: Int32
  public var name: String
  public var source: String
  public var modules: [ModuleRow]
  /// What the agent's table could not hold or the reader refused.
  public var modulesDropped: UInt64
  /// Objects outside the program's own link-map namespace: `none`, `listed`, `not-listed`; null without an agent.
  public var otherNamespaces: Known<String>

  public init(
    takenAt: Double, pid: Int32, name: String, source: String, modules: [ModuleRow], modulesDropped: UInt64,
    otherNamespaces: Known<String>
  ) {
    self.takenAt = takenAt
    self.pid = pid
    self.name = name
    self.source = source
    self.modules = modules
    self.modulesDropped = modulesDropped
    self.otherNamespaces = otherNamespaces
  }
}

/// One mapped (or formerly mapped) shared object.
public struct ModuleRow: Codable, Sendable, Hashable {
  public var path: String
  public var package: String
  public var packageKind: PackageIdentity.Kind
  /// `loaded`, `unloaded`.
  public var state: String
  /// The file behind the path is gone or another one now.
  public var isDeleted: Bool
  public var device: Known<UInt64>
  public var inode: Known<UInt64>
  public var buildId: Known<String>
  public var soname: Known<String>
  public var loadAddress: Known<UInt64>
  /// Link-map namespaces it is loaded in: 0 is the program's own, others come from dlmopen; null without an agent.
  public var namespaces: Known<[Int32]>
  /// dlopen calls seen; null without an agent.
  public var dlopenCount: Known<UInt32>
  public var dlcloseCount: Known<UInt32>
  public var firstLoadedAt: Known<Double>
  public var lastLoadedAt: Known<Double>
  public var unloadedAt: Known<Double>
  /// When a page of it was last seen referenced, or it was last opened; null: not observed yet.
  public var lastUsedAt: Known<Double>
  /// Paths of the loaded modules that name it in DT_NEEDED.
  public var neededBy: [String]
  /// Why dlclose could never unmap it: `nodelete`, `unique-symbol`; empty when nothing in the file says so.
  public var pinnedBy: [String]
  public var threadLocalBytes: Known<UInt64>
  /// Sizes of its loadable segments by permission, as the file gives them; null when the file could not be read.
  public var executableBytes: Known<UInt64>
  public var readOnlyBytes: Known<UInt64>
  public var writableBytes: Known<UInt64>
  public var memory: MemoryRow

  public init(
    path: String, package: String, packageKind: PackageIdentity.Kind, state: String, isDeleted: Bool,
    device: Known<UInt64>, inode: Known<UInt64>, buildId: Known<String>, soname: Known<String>,
    loadAddress: Known<UInt64>, namespaces: Known<[Int32]>, dlopenCount: Known<UInt32>, dlcloseCount: Known<UInt32>,
    firstLoadedAt: Known<Double>,
    lastLoadedAt: Known<Double>, unloadedAt: Known<Double>, lastUsedAt: Known<Double>, neededBy: [String],
    pinnedBy: [String], threadLocalBytes: Known<UInt64>, executableBytes: Known<UInt64>,
    readOnlyBytes: Known<UInt64>, writableBytes: Known<UInt64>, memory: MemoryRow
  ) {
    self.path = path
    self.package = package
    self.packageKind = packageKind
    self.state = state
    self.isDeleted = isDeleted
    self.device = device
    self.inode = inode
    self.buildId = buildId
    self.soname = soname
    self.loadAddress = loadAddress
    self.namespaces = namespaces
    self.dlopenCount = dlopenCount
    self.dlcloseCount = dlcloseCount
    self.firstLoadedAt = firstLoadedAt
    self.lastLoadedAt = lastLoadedAt
    self.unloadedAt = unloadedAt
    self.lastUsedAt = lastUsedAt
    self.neededBy = neededBy
    self.pinnedBy = pinnedBy
    self.threadLocalBytes = threadLocalBytes
    self.executableBytes = executableBytes
    self.readOnlyBytes = readOnlyBytes
    self.writableBytes = writableBytes
    self.memory = memory
  }
}
