import CZlib

/// RFC 1952, by zlib.
enum Gzip {
  static func compressed(_ bytes: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    // 15 bits of window, and 16 for gzip's header and trailer.
    guard
      deflateInit2_(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        == Z_OK
    else { fatalError("zlib cannot begin") }
    defer { deflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))))
    let written = input.withUnsafeMutableBufferPointer { source in
      output.withUnsafeMutableBufferPointer { target in
        stream.next_in = source.baseAddress
        stream.avail_in = UInt32(source.count)
        stream.next_out = target.baseAddress
        stream.avail_out = UInt32(target.count)
        // The output has room for all of it, by deflateBound's promise.
        guard deflate(&stream, Z_FINISH) == Z_STREAM_END else { fatalError("zlib did not end") }
        return target.count - Int(stream.avail_out)
      }
    }
    return Array(output[..<written])
  }
}
