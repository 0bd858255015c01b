/// Of this source tree; shown by --version and the API, written into the agent as well.
public let version = "0.1.0"
