// Copyright 2024 Somebody

import Foundation
@testable import Post

/// A thing to send.
@frozen
public struct Parcel<Content: Codable>: Sendable {
    public var weight: Double
    let to: String

    /// Makes one.
    public init(weight: Double, to: String = "nobody") {
        self.weight = weight
        self.to = to
    }

    init?(_ text: String) { return nil }

    deinit { print("gone") }

    /// Whether it is heavy.
    public var heavy: Bool {
        weight > 3
    }

    var doubled: Double {
        get { weight * 2 }
        set { weight = newValue / 2 }
    }

    var observed = 1 {
        didSet { print(observed) }
    }

    lazy var made: Int = { 3 }()

    subscript(index: Int) -> Int {
        index
    }

    /**
     Sends it.
     - Parameter host: where
     */
    @discardableResult
    public mutating func send(to host: String, _ retry: Bool = false) async throws -> Bool where Content: Hashable {
        func local(x: Int) -> Int { x }
        return true
    }

    static func == (left: Parcel, right: Parcel) -> Bool { true }

    struct Label {
        func print() {}
    }
}

// An extension.
extension Parcel: CustomStringConvertible where Content: Equatable {
    public var description: String { to }
    func describe() -> String { to }
    class func make() {}
}

extension Array.Index {
    func next() {}
}

/// Sends.
public protocol Sender: AnyObject {
    associatedtype What
    var name: String { get }
    func send(_ what: What) async throws
    init(name: String)
    subscript(i: Int) -> Int { get }
}

public enum Size: String {
    case small, large
    indirect case nested(Size)
    var limit: Int {
        switch self { case .small: return 1; default: return 9 }
    }
}

final class Office {
    class Desk {}
    private static func hidden() {}
}

actor Counter {
    nonisolated func count() async -> Int { 1 }
}

typealias Route = [Parcel<Int>]

func + (left: Office, right: Office) -> Office { left }
prefix operator +++
prefix func +++ (x: Int) -> Int { x }

func generic<T>(_ x: T) -> T { x }
func generic(_ x: Int) -> Int { x }

let square = { (x: Int) in x * x }
let computed: Int = { return 1 }()

#if DEBUG
func conditional() {}
#endif

@propertyWrapper struct Clamped { var wrappedValue: Int }

macro stringify<T>(_ value: T) -> (T, String) = #externalMacro(module: "M", type: "S")
