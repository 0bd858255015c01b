import Model

/// `GET /api/v1/packages[?pid=PID]`
public struct PackagesAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.packages/1"
  public var schema = PackagesAnswer.schema
  public var takenAt: Double
  public var packages: [PackageRow]
  /// One a process: what the packages hold of it and what nobody owns.
  public var processes: [PackageCoverage]

  public init(takenAt: Double, packages: [PackageRow], processes: [PackageCoverage]) {
    self.takenAt = takenAt
    self.packages = packages
    self.processes = processes
  }
}

/// A package over the processes that hold it.
public struct PackageRow: Codable, Sendable, Hashable {
  public var name: String
  public var kind: PackageIdentity.Kind
  public var version: Known<String>
  public var modules: Int
  /// Summed over the processes; resident counts shared pages once a process, proportional does not.
  public var memory: MemoryRow
  public var lastUsedAt: Known<Double>
  /// Packages with a module that needs one of this package's modules.
  public var neededBy: [String]
  public var holders: [PackageHolder]

  public init(
    name: String, kind: PackageIdentity.Kind, version: Known<String>, modules: Int, memory: MemoryRow,
    lastUsedAt: Known<Double>, neededBy: [String], holders: [PackageHolder]
  ) {
    self.name = name
    self.kind = kind
    self.version = version
    self.modules = modules
    self.memory = memory
    self.lastUsedAt = lastUsedAt
    self.neededBy = neededBy
    self.holders = holders
  }
}

/// A package in one process.
public struct PackageHolder: Codable, Sendable, Hashable {
  public var pid: Int32
  public var processName: String
  public var modules: Int
  public var memory: MemoryRow
  public var lastUsedAt: Known<Double>

  public init(pid: Int32, processName: String, modules: Int, memory: MemoryRow, lastUsedAt: Known<Double>) {
    self.pid = pid
    self.processName = processName
    self.modules = modules
    self.memory = memory
    self.lastUsedAt = lastUsedAt
  }
}

/// How much of a process the packages explain.
public struct PackageCoverage: Codable, Sendable, Hashable {
  public var pid: Int32
  public var processName: String
  /// From one reading of smaps: everything, what files back, and what of that belongs to a named package.
  public var memory: MemoryRow
  public var fileBackedResidentBytes: UInt64
  public var packagedFileBackedResidentBytes: UInt64
  /// Anonymous memory outside modules: heap, stacks, arenas.
  public var anonymousResidentBytes: UInt64
  public var liveHeapBytes: Known<UInt64>

  public init(
    pid: Int32, processName: String, memory: MemoryRow, fileBackedResidentBytes: UInt64,
    packagedFileBackedResidentBytes: UInt64, anonymousResidentBytes: UInt64, liveHeapBytes: Known<UInt64>
  ) {
    self.pid = pid
    self.processName = processName
    self.memory = memory
    self.fileBackedResidentBytes = fileBackedResidentBytes
    self.packagedFileBackedResidentBytes = packagedFileBackedResidentBytes
    self.anonymousResidentBytes = anonymousResidentBytes
    self.liveHeapBytes = liveHeapBytes
  }
}
