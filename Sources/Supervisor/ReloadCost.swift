import Model

/// What it costs to read pages of files again, by the device they lie on: measured, not taken from its kind.
struct ReloadCost {
  private struct Reading {
    /// Nil: this device does not say.
    var secondsPerByte: Double?
    var at: UInt64
  }
  private var devices: [UInt64: Reading] = [:]
  /// Being measured.
  private var underWay: Set<UInt64> = []

  /// Ten minutes: how busy a disk is changes.
  static let freshNanoseconds: UInt64 = 600_000_000_000
  /// Devices that are remembered; a machine has some, a process that mounts at will has more.
  static let limit = 64

  /// Of the files that are listed, the largest on each device that is to be measured now. Each is answered with `take`.
  mutating func due(_ objects: [Inventory.Object], at now: UInt64) -> [FileReference] {
    var largest: [UInt64: Inventory.Object] = [:]
    for object in objects where object.isModule && !object.file.isDeleted {
      let device = object.file.device
      if let reading = devices[device], now &- reading.at < Self.freshNanoseconds { continue }
      guard !underWay.contains(device) else { continue }
      if (largest[device]?.usage.resident ?? .zero) < object.usage.resident { largest[device] = object }
    }
    let files = largest.values.map(\.file).sorted { $0.device < $1.device }.prefix(max(0, Self.limit - underWay.count))
    underWay.formUnion(files.map(\.device))
    return Array(files)
  }

  mutating func take(_ secondsPerByte: Double?, of file: FileReference, at now: UInt64) {
    underWay.remove(file.device)
    if devices.count >= Self.limit, devices[file.device] == nil, let oldest = devices.min(by: { $0.value.at < $1.value.at }) {
      devices[oldest.key] = nil
    }
    devices[file.device] = Reading(secondsPerByte: secondsPerByte.flatMap { $0.isFinite && $0 > 0 ? $0 : nil }, at: now)
  }

  /// Seconds to read so many bytes of a file; nil while nothing was measured.
  func seconds(_ bytes: Bytes, of file: FileReference) -> Double? {
    if bytes == .zero { return 0 }
    return devices[file.device]?.secondsPerByte.map { $0 * Double(bytes.count) }
  }
}

extension Supervisor {
  /// Has the devices measured on which this process's files lie, where that was not done lately.
  func measureReloads(_ view: ProcessView, at moment: Moment) {
    guard let storage else { return }
    let pid = view.facts.identity.pid
    for file in unloading.reloads.due(view.inventory.objects, at: moment.monotonic) {
      let before = unloading.measuring
      unloading.measuring = Task.detached { [weak self] in
        await before?.value
        let rate = storage.secondsPerByte(of: file, in: pid)
        await self?.take(reload: rate, of: file)
      }
    }
  }

  private func take(reload rate: Double?, of file: FileReference) {
    unloading.reloads.take(rate, of: file, at: now().monotonic)
  }
}
