import Model

extension Journal {
  /// Unloads that ended in a stretch of time, as far as their rows are still kept (`JournalLimits`); what was only said is none.
  ///
  /// - Parameters:
  ///   - from: Wall-clock seconds since 1970, included; `to` is not.
  public func unloads(from: Double, to: Double) throws(JournalError) -> UnloadWindow {
    var window = UnloadWindow(from: from, to: to, unloads: 0, successful: 0, freed: .zero, units: 0, firstAt: nil)
    try reading { database throws(SQLiteFailure) in
      // The name comes last: whatever it holds, two units are never taken for one. total() does not overflow.
      try database.prepare(
        """
        SELECT count(*), count(*) FILTER (WHERE result = 'freed'), total(freed),
          count(DISTINCT unit_kind || '/' || coalesce(pid, '') || '/' || coalesce(start_ticks, '') || '/' || unit_name), min(time)
        FROM outcome WHERE time >= ? AND time < ? AND result IN ('freed', 'kept')
        """
      ).rows([.real(from), .real(to)]) { row in
        window.unloads = UInt64(clamping: row.integer(0) ?? 0)
        window.successful = UInt64(clamping: row.integer(1) ?? 0)
        window.freed = Bytes(UInt64(min(max(row.real(2) ?? 0, 0), 1e18)))
        window.units = UInt64(clamping: row.integer(3) ?? 0)
        window.firstAt = row.real(4)
        return true
      }
    }
    return window
  }
}
