//! Sends parcels.
//! In Zig.

const std = @import("std");
const Allocator = std.mem.Allocator;

/// A thing to send.
pub const Parcel = struct {
    weight: f64,
    to: []const u8 = "nobody",

    const Self = @This();
    pub const limit = 3;

    /// Makes one.
    pub fn init(weight: f64) Parcel {
        return .{ .weight = weight };
    }

    // Weighs it.
    pub fn weigh(self: *const Self) !f64 {
        const Local = struct {
            fn round(x: f64) f64 {
                return @round(x);
            }
        };
        return Local.round(self.weight);
    }

    const Label = enum(u8) {
        small,
        large,

        fn text(self: Label) []const u8 {
            return @tagName(self);
        }
    };

    test "weighs" {
        try std.testing.expect(true);
    }
};

pub const Shape = union(enum) {
    round: f64,
    square,
};

const SendError = error{ Heavy, Lost };

const Opaque = opaque {
    pub fn close(self: *Opaque) void {}
};

/// A list of anything.
pub fn List(comptime T: type) type {
    return struct {
        items: []T,

        const Self = @This();

        pub fn append(self: *Self, item: T) !void {
            _ = item;
        }
    };
}

pub extern "c" fn external(x: c_int) c_int;
export fn exported() void {}
inline fn inlined() void {}
pub const alias = Parcel.init;
pub const Handler = *const fn (x: u8) void;

const callback = struct {
    fn call(x: u8) void {
        _ = x;
    }
}.call;

var threaded: usize = 0;

comptime {
    _ = Parcel;
}

test Parcel {
    _ = Parcel;
}

test {
    std.testing.refAllDecls(@This());
}

fn @"with spaces"() void {}

pub fn main() !void {
    const x = 1;
    _ = x;
}
