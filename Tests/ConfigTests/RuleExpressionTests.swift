import Model
import Testing

@testable import Config

/// A condition's text read and written again; or the offset and what is wrong.
private func reread(_ text: String) -> String {
  do throws(ExpressionFault) { return try RuleExpression.parse(text).description } catch {
    return "\(error.offset): \(error.message)"
  }
}

@Suite struct RuleExpressionTests {
  @Test(
    "a condition means what it says",
    arguments: [
      ("memory.level > 60%", "memory.level > 0.6"), ("memory.level>0.6", "memory.level > 0.6"),
      ("memory.level > 0.6 and package.torch.idle > 120", "memory.level > 0.6 and package.torch.idle > 120s"),
      ("package.torch.idle > 2m", "package.torch.idle > 120s"), ("package.torch.idle < 500ms", "package.torch.idle < 0.5s"),
      ("package.torch.idle < 1.5h", "package.torch.idle < 5400s"),
      ("package.torch.idle <= 30d", "package.torch.idle <= 2592000s"),
      ("package.torch.bytes >= 500MiB", "package.torch.bytes >= 500MiB"), ("swap.used != 0", "swap.used != 0"),
      ("memory.used == 1.5G", "memory.used == 1536MiB"), ("memory.available < 2T", "memory.available < 2TiB"),
      ("memory.used > 100B", "memory.used > 100"), ("unloading.regrets >= 3", "unloading.regrets >= 3"),
      ("process.python3.cpu >= 150%", "process.python3.cpu >= 1.5"), ("memory.level > 99.9%", "memory.level > 0.999"),
      ("package.\"scikit-learn\".idle > 1", "package.scikit-learn.idle > 1s"),
      ("package.scikit-learn.loaded > 1", "package.scikit-learn.loaded > 1"),
      ("package.\"zope.interface\".idle > 1", "package.\"zope.interface\".idle > 1s"),
      ("process.\"a \\\"b\\\" \\\\ é\".heap > 1", "process.\"a \\\"b\\\" \\\\ é\".heap > 1"),
      ("package.and.idle > 1 and package.7zip.uses < 2", "package.and.idle > 1s and package.7zip.uses < 2"),
      (
        "memory.level > 1% or memory.level > 2% and memory.level > 3% or not memory.level > 4%",
        "memory.level > 0.01 or (memory.level > 0.02 and memory.level > 0.03) or not memory.level > 0.04"
      ),
      ("not (memory.level > 1 and swap.used > 1)", "not (memory.level > 1 and swap.used > 1)"),
      ("((not not memory.level > 1))", "not not memory.level > 1"),
      ("(memory.level > 1 and swap.used > 1) and swap.used > 2", "(memory.level > 1 and swap.used > 1) and swap.used > 2"),
      ("\t( memory.level>1\r\n)", "memory.level > 1"),
    ])
  func meanings(text: String, expected: String) {
    #expect(reread(text) == expected)
    #expect(reread(expected) == expected)
  }

  @Test(
    "a mistake is named where it is, with what is expected",
    arguments: [
      ("", "0: a metric is expected here, such as memory.level"),
      ("memory.level > 2m", "15: memory.level takes a share such as 60% or 0.6, not '2m'"),
      ("package.torch.idle > 60%", "21: package.torch.idle takes a duration such as 120, 90s or 2m, not '60%'"),
      ("package.torch.bytes > 500MB", "22: package.torch.bytes takes a size such as 500MiB, not '500MB'"),
      ("unloading.regrets > 3s", "20: unloading.regrets takes a number such as 3, not '3s'"),
      ("memory.used > 500 MiB", "18: a unit stands right behind its number, without a blank"),
      ("memory.levle > 1", "0: there is no metric 'memory.levle'; did you mean 'memory.level'?"),
      ("xyz > 1", "0: there is no metric 'xyz'; they begin with memory, swap, unloading, package.NAME and process.NAME"),
      (
        "pakage.torch.idle > 1",
        "0: there is no metric 'pakage.torch.idle'; they begin with memory, swap, unloading, package.NAME and process.NAME"
      ),
      ("packages > 1", "0: there is no metric 'packages'; did you mean 'package.NAME'?"),
      ("package.torch.idel > 1", "14: a package has no metric 'idel'; did you mean 'idle'?"),
      ("process.torch.idle > 1", "14: a process has no metric 'idle'; there are bytes, heap, cpu"),
      ("package.torch > 1", "0: a metric of a package has three parts: package.NAME.bytes"),
      ("package.zope.interface.idle > 1", "0: a name with dots is in quotes: package.\"zope.interface\".idle"),
      ("package.\"\".idle > 1", "8: the name of a package must not be empty"),
      ("package.\"a\u{7}\".idle > 1", "8: the name of a package must not hold control characters"),
      ("package.\"a.idle > 1", "8: the quote that ends the name is missing"),
      ("package.\"a\\n\".idle > 1", "11: behind a backslash in a name stands '\"' or another backslash"),
      ("package.größe.idle > 1", "10: unexpected character 'ö'; names of others than letters, digits, '_' and '-' are in quotes"),
      (
        "package. torch.idle > 1",
        "8: a name is missing behind the dot; one of other characters than letters, digits, '_' and '-' is in quotes"
      ),
      ("\"memory\".level > 1", "0: a name in quotes stands behind 'package.' or 'process.'"),
      ("60% < memory.level", "0: a metric stands left of the comparison, and a number right of it: memory.level > 60%"),
      ("memory.level", "12: 'memory.level' must be compared with a number: memory.level > ..."),
      ("memory.level >", "14: a share such as 60% or 0.6 is expected here"),
      ("memory.level > swap.used", "15: a share such as 60% or 0.6 is expected here, not 'swap.used'"),
      ("memory.level > -1", "15: no metric is negative: a number begins with a digit"),
      ("package.a.idle > -5s", "17: no metric is negative: a number begins with a digit"),
      ("memory.level > nan", "15: a share such as 60% or 0.6 is expected here, not 'nan'"),
      ("memory.level > 1e400", "15: '1e400' is written with an exponent; write the number out"),
      ("swap.used > 1" + String(repeating: "0", count: 18), nil),
      ("memory.level > 100%", nil), ("process.a.cpu > 500%", nil),
      ("memory.level > 500%", "15: memory.level is 0% to 100%, not '500%'"),
      ("memory.stall >= 1.01", "16: memory.stall is 0% to 100%, not '1.01'"),
      (
        "memory.level > 1" + String(repeating: "0", count: 19),
        "15: '10000000000000000000' is beyond anything memory.level can be"
      ),
      ("memory.level > 0.0000000000001", "15: '0.0000000000001' is beyond anything memory.level can be"),
      (
        "memory.level > " + String(repeating: "9", count: 41),
        "15: '\(String(repeating: "9", count: 41))' has more digits than any metric"
      ),
      ("memory.level > 1.", "16: unexpected character '.'; names of others than letters, digits, '_' and '-' are in quotes"),
      ("memory.level > .5", "15: unexpected character '.'; names of others than letters, digits, '_' and '-' are in quotes"),
      ("memory.level = 1", "13: '=' compares nothing; did you mean '=='?"),
      ("! memory.level > 1", "0: '!' compares nothing; did you mean 'not' or '!='?"),
      ("memory.level > 1 && swap.used > 1", "17: '&' joins nothing; did you mean 'and'?"),
      ("memory.level > 1 || swap.used > 1", "17: '|' joins nothing; did you mean 'or'?"),
      ("memory.level > 1 AND swap.used > 1", "17: 'and', 'or' or the end is expected here, not 'AND'"),
      ("memory.level > 1 > 2", "17: 'and', 'or' or the end is expected here, not '>'"),
      ("memory.level > 1 and", "20: a metric is expected here, such as memory.level"),
      (
        "memory.level > 1 and or",
        "21: there is no metric 'or'; they begin with memory, swap, unloading, package.NAME and process.NAME"
      ),
      ("(memory.level > 1", "17: a ')' is missing here"), ("memory.level > 1)", "16: there is no '(' to this ')'"),
      ("()", "1: a metric is expected here, such as memory.level, not ')'"),
      ("not", "3: a metric is expected here, such as memory.level"),
    ] as [(String, String?)])
  func mistakes(text: String, expected: String?) {
    if let expected { #expect(reread(text) == expected) } else { #expect(!reread(text).contains(":")) }
  }

  @Test("nesting and length are bounded") func bounds() {
    func nested(_ open: String, _ close: String, _ count: Int) -> String {
      reread(String(repeating: open, count: count) + "swap.used > 1" + String(repeating: close, count: count))
    }
    #expect(nested("(", ")", 31) == "swap.used > 1")
    #expect(nested("(", ")", 32) == "32: conditions are nested deeper than 32 levels")
    #expect(nested("(", "", 4000) == "32: conditions are nested deeper than 32 levels")
    #expect(nested("not ", "", 31).hasSuffix("swap.used > 1"))
    #expect(nested("not ", "", 32) == "128: conditions are nested deeper than 32 levels")
    let zigzag = "swap.used > 1 or swap.used > 1 and ("
    #expect(nested(zigzag, ")", 15).hasPrefix("swap.used > 1 or (swap.used > 1 and"))
    #expect(nested(zigzag, ")", 16) == "0: conditions are nested deeper than 32 levels")
    #expect(nested("(", ")", 3000) == "0: a condition may have at most 4096 bytes, not 6013")
    #expect(reread(String(repeating: "x", count: 1 << 20)) == "0: a condition may have at most 4096 bytes, not 1048576")
    let many = Array(repeating: "swap.used > 1", count: 240).joined(separator: " or ")
    #expect(reread(many) == many)
  }

  @Test("whatever stands in a condition, it is read or refused inside it, and what is read reads back") func damaged() {
    var random = Seeded(state: 4)
    let words = [
      "memory.level", "package.", "\"", "torch", ".idle", ">", ">=", "!", "=", "60%", "2m", "(", ")", "and", "or", "not", " ",
      " ", "\\",
      "é", "\n", "-", "1e9", "process.x.cpu", "&&", "0",
    ]
    var read = 0
    for _ in 0..<20_000 {
      var text = random.below(3) == 0 ? "memory.level > 60% and (package.torch.idle > 2m or not swap.used < 1)" : ""
      for _ in 0..<random.below(14) {
        let place = text.index(text.startIndex, offsetBy: random.below(text.count + 1))
        text.insert(contentsOf: words[random.below(words.count)], at: place)
      }
      do throws(ExpressionFault) {
        let condition = try RuleExpression.parse(text)
        read += 1
        #expect((try? RuleExpression.parse(condition.description)) == condition)
      } catch {
        #expect((0...text.unicodeScalars.count).contains(error.offset) && !error.message.isEmpty, "\(text)")
      }
    }
    #expect(read > 100)
  }
}
