import Model
import Testing

@testable import Simulator

@Suite struct WorkloadTests {
  @Test("a workload is what the reader would accept, the same for the same seed", arguments: Workload.allCases)
  func isATrace(workload: Workload) throws {
    let made = workload.trace(seed: 7, hours: 6)
    #expect(made == workload.trace(seed: 7, hours: 6))
    #expect(made.events != workload.trace(seed: 8, hours: 6).events)
    #expect(try Trace(reading: Array(made.text().utf8)) == made)
    #expect(made.events.count > 200)
    #expect(made.units.count == 24)
    for unit in made.units {
      #expect((20_000_000...500_000_000).contains(unit.bytes.count))
      #expect((0.1...10).contains(unit.reloadSeconds))
    }
  }

  @Test func chainsHaveNeeds() {
    let made = Workload.chains.trace(seed: 1)
    #expect(made.closures.map(\.count).max() ?? 0 >= 4)
  }

  @Test func logarithmsAreThoseOfEveryLibrary() {
    #expect(abs(Logarithm.natural(10) - 2.302_585_092_994_046) < 1e-15)
    #expect(abs(Logarithm.natural(1e-10) + 23.025_850_929_940_457) < 1e-13)
    #expect(abs(Logarithm.exponential(1) - 2.718_281_828_459_045) < 1e-15)
    #expect(abs(Logarithm.power(2, 0.5) - 1.414_213_562_373_095_1) < 1e-15)
    #expect(Logarithm.exponential(-1000) == 0)
  }

  @Test func randomNumbersAreThoseOfThePaper() {
    var random = RandomSource(seed: 1_234_567)
    #expect(random.next() == 6_457_827_717_110_365_317)
    #expect(random.next() == 3_203_168_211_198_807_973)
  }

  @Test func distributionsHaveTheirMeans() {
    var random = RandomSource(seed: 3)
    let waits = (0..<20_000).map { _ in random.exponential(mean: 20) }
    #expect(abs(waits.reduce(0, +) / 20_000 - 20) < 0.5)
    let popularity = Popularity(count: 3, exponent: 1)
    let picks = (0..<20_000).map { _ in popularity.sample(&random) }
    #expect(abs(Double(picks.count { $0 == 0 }) / 20_000 - 6 / 11) < 0.02)
    let sizes = (0..<20_000).map { _ in random.boundedPareto(1...100, shape: 1) }
    #expect(sizes.allSatisfy { (1...100).contains($0) })
    // P(X > 10) = (1/10 - 1/100) / (1 - 1/100).
    #expect(abs(Double(sizes.count { $0 > 10 }) / 20_000 - 0.0909) < 0.01)
  }
}
