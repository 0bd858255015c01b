import FoundationEssentials
import Hummingbird
import NIOCore
import Wire

/// Bodies in and out.
enum JSON {
  static func response(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
    var bytes = try StreamingEncoder.encode(value)
    bytes.append(UInt8(ascii: "\n"))
    return Response(
      status: status, headers: [.contentType: "application/json; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  static func decode<Value: Decodable>(_ type: Value.Type, from request: Request, limit: Int) async throws -> Value {
    let tooLarge = APIError(.contentTooLarge, "too_large", "body is larger than \(limit) bytes (http.limit.body)")
    // Said at once: who announces that much should not have to send it first.
    if let announced = request.headers[.contentLength].flatMap(Int.init), announced > limit { throw tooLarge }
    let body: ByteBuffer
    do {
      body = try await request.body.collect(upTo: limit)
    } catch is NIOTooManyBytesError {
      throw tooLarge
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      throw APIError(.badRequest, "invalid_request", "the body ended before it was whole")
    }
    do {
      return try Coding.decoder().decode(type, from: Data(body.readableBytesView))
    } catch let error as DecodingError {
      throw APIError(.unprocessableContent, "invalid_request", explain(error))
    }
  }

  private static func explain(_ error: DecodingError) -> String {
    func path(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
      (context.codingPath + [last].compactMap(\.self)).map(\.stringValue).joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, let context): return "field '\(path(context, key))' is missing"
    case .typeMismatch(let type, let context): return "field '\(path(context))' is not of type \(type)"
    case .valueNotFound(let type, let context): return "field '\(path(context))' is null, expected \(type)"
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty ? "body is not valid JSON" : "field '\(path(context))': \(context.debugDescription)"
    @unknown default: return "body cannot be read"
    }
  }
}
