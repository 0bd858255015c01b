/// What an ELF file says about itself; read by the supervisor, never by the agent.
public struct ElfFacts: Hashable, Sendable {
  /// NT_GNU_BUILD_ID; empty when there is none.
  public var buildID: [UInt8] = []
  /// DT_SONAME; nil when there is none.
  public var soname: String?
  /// DT_NEEDED, in order.
  public var needed: [String] = []
  public var runpath: String?
  public var rpath: String?
  /// DF_1_NODELETE: dlclose never unmaps it.
  public var isNoDelete = false
  /// Defines at least one STB_GNU_UNIQUE symbol: dlclose never unmaps it once one is bound.
  public var hasUniqueSymbols = false
  /// Size of PT_TLS in memory; nil when there is none.
  public var threadLocalStorage: Bytes?
  /// DF_STATIC_TLS: uses initial-exec thread-local storage.
  public var usesStaticTLS = false
  /// Memory sizes of the PT_LOADs by permission.
  public var executableSize = Bytes.zero
  public var readOnlySize = Bytes.zero
  public var writableSize = Bytes.zero

  public init() {}
}
