import CELF
import Model

/// The dynamic segment: what the loader is told about a file.
struct ElfDynamic {
  private let loads: [GElf_Phdr]
  private let limits: ElfReader.Limits
  private var needed: [UInt64] = []
  /// The last value of each tag that may occur once.
  private var values: [Int64: UInt64] = [:]

  init(
    _ segment: GElf_Phdr, _ headers: [GElf_Phdr], _ limits: ElfReader.Limits, _ source: inout ElfSource
  ) throws(PlatformError) {
    loads = headers.filter { $0.p_type == UInt32(PT_LOAD) }
    self.limits = limits
    // 65,536 entries are 16 times the limit of DT_NEEDED, the only tag that repeats.
    guard segment.p_filesz <= 1 << 20 else { throw PlatformError(.tooLarge, context: "ELF file: dynamic segment") }
    let count = Int(segment.p_filesz) / source.entrySize(ELF_T_DYN)
    let entries = try source.entries(at: segment.p_offset, count: count, of: ELF_T_DYN) { data, index in
      var entry = GElf_Dyn()
      return gelf_getdyn(data, index, &entry) == nil ? nil : entry
    }
    for entry in entries {
      if entry.d_tag == Int64(DT_NULL) { break }
      if entry.d_tag == Int64(DT_NEEDED) {
        guard needed.count < limits.needed else { throw PlatformError(.tooLarge, context: "ELF file: DT_NEEDED entries") }
        needed.append(entry.d_un.d_val)
      } else {
        values[entry.d_tag] = entry.d_un.d_val
      }
    }
  }

  /// Bytes names may still take.
  private var namesLeft = 0

  mutating func fill(_ facts: inout ElfFacts, _ source: inout ElfSource) throws(PlatformError) {
    namesLeft = limits.namesBytes
    facts.isNoDelete = value(DT_FLAGS_1) & UInt64(DF_1_NODELETE) != 0
    facts.usesStaticTLS = value(DT_FLAGS) & UInt64(DF_STATIC_TLS) != 0
    for offset in needed { facts.needed.append(try string(offset, &source)) }
    if let offset = values[Int64(DT_SONAME)] { facts.soname = try string(offset, &source) }
    if let offset = values[Int64(DT_RUNPATH)] { facts.runpath = try string(offset, &source) }
    if let offset = values[Int64(DT_RPATH)] { facts.rpath = try string(offset, &source) }
    facts.hasUniqueSymbols = try definesUniqueSymbol(&source)
  }

  private func value(_ tag: Int32) -> UInt64 { values[Int64(tag)] ?? 0 }

  /// Where in the file the bytes for an address are.
  private func offset(of address: UInt64) throws(PlatformError) -> UInt64 {
    for load in loads where address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz {
      let (offset, overflow) = load.p_offset.addingReportingOverflow(address - load.p_vaddr)
      if !overflow { return offset }
    }
    throw elfError("an address outside the file")
  }

  /// A string of DT_STRTAB, read by itself: the whole table of a large library is tens of MiB.
  private mutating func string(_ index: UInt64, _ source: inout ElfSource) throws(PlatformError) -> String {
    guard let table = values[Int64(DT_STRTAB)], let size = values[Int64(DT_STRSZ)], index < size else {
      throw elfError("a name outside the string table")
    }
    let (address, overflow) = table.addingReportingOverflow(index)
    guard !overflow else { throw elfError("a name outside the string table") }
    var offset = try offset(of: address)
    var rest = min(size - index, source.size - min(offset, source.size))
    var name: [UInt8] = []
    while rest > 0 {
      let part = try source.bytes(at: offset, count: Int(min(rest, 128)))
      if let end = part.firstIndex(of: 0) {
        name += part[..<end]
        guard name.count <= min(limits.nameBytes, namesLeft) else { break }
        namesLeft -= name.count
        return String(decoding: name, as: UTF8.self)
      }
      name += part
      guard name.count <= limits.nameBytes else { break }
      offset += UInt64(part.count)
      rest -= UInt64(part.count)
    }
    throw rest > 0 ? PlatformError(.tooLarge, context: "ELF file: a name") : elfError("a name without an end")
  }

  /// Looks through all symbols the hash table covers. Without one the loader finds no symbol by name either.
  private func definesUniqueSymbol(_ source: inout ElfSource) throws(PlatformError) -> Bool {
    guard let table = values[Int64(DT_SYMTAB)] else { return false }
    let count = try symbolCount(&source)
    guard count > 0 else { return false }
    guard count <= UInt64(limits.symbols) else { throw PlatformError(.tooLarge, context: "ELF file: \(count) symbols") }
    let start = try offset(of: table)
    let slice = 32_768
    var index = 0
    while index < Int(count) {
      let number = min(slice, Int(count) - index)
      let position = start.addingReportingOverflow(UInt64(index * source.entrySize(ELF_T_SYM)))
      guard !position.overflow else { throw elfError("symbols") }
      let piece = try source.entries(at: position.partialValue, count: number, of: ELF_T_SYM) { data, index -> Bool? in
        var symbol = GElf_Sym()
        guard gelf_getsym(data, index, &symbol) != nil else { return nil }
        return symbol.st_info >> 4 == UInt8(STB_GNU_UNIQUE) && symbol.st_shndx != UInt16(SHN_UNDEF)
      }
      if piece.contains(true) { return true }
      index += number
    }
    return false
  }

  private func symbolCount(_ source: inout ElfSource) throws(PlatformError) -> UInt64 {
    if let hash = values[Int64(DT_HASH)] {
      // nbucket, nchain: the second is the number of symbols (System V ABI, "Hash Table").
      return UInt64(try source.words(at: offset(of: hash), count: 2)[1])
    }
    guard let hash = values[Int64(DT_GNU_HASH)] else { return 0 }
    // nbuckets, first symbol, words of the bloom filter, shift; then filter, buckets, chains.
    let start = try offset(of: hash)
    let head = try source.words(at: start, count: 4)
    guard head[0] <= UInt32(limits.symbols) else { throw PlatformError(.tooLarge, context: "ELF file: hash buckets") }
    let (filterEnd, overflow) = start.addingReportingOverflow(16 + UInt64(head[2]) * (source.is64Bit ? 8 : 4))
    guard !overflow else { throw elfError("hash table") }
    var last: UInt32 = 0
    var read = 0
    while read < Int(head[0]) {
      let buckets = try source.words(at: filterEnd &+ UInt64(read * 4), count: min(65_536, Int(head[0]) - read))
      last = max(last, buckets.max() ?? 0)
      read += buckets.count
    }
    guard last >= head[1], last > 0 else { return 0 }
    // The chain of the highest bucket ends with the last symbol: a word with its lowest bit set.
    let chains = filterEnd &+ UInt64(head[0]) * 4
    while UInt64(last) < UInt64(limits.symbols) {
      let position = chains &+ UInt64(last - head[1]) * 4
      let rest = position < source.size ? (source.size - position) / 4 : 0
      guard rest > 0 else { throw elfError("a hash chain without an end") }
      let words = try source.words(at: position, count: Int(min(rest, 64)))
      if let end = words.firstIndex(where: { $0 & 1 == 1 }) { return UInt64(last) + UInt64(end) + 1 }
      last += UInt32(words.count)
    }
    throw PlatformError(.tooLarge, context: "ELF file: symbols")
  }
}
