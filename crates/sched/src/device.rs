//! What a request costs its device, in nanoseconds of the device's time.
//!
//! A request costs a part for being a request and a part for its bytes. Device time is what the
//! device is busy for when it has enough to do: what a request adds to the time that a long row
//! of its kind takes, not what a lone one waits. Owns the model and its arithmetic; measuring is
//! the caller's.

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A read.
    Read = 0,
    /// A write.
    Write = 1,
    /// A flush; it carries no bytes.
    Sync = 2,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 3;
}

/// Device time of one direction: `request_ns` for each request, `mib_ns` for each 2^20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds for each request.
    pub request_ns: u64,
    /// Nanoseconds for each mebibyte.
    pub mib_ns: u64,
}

/// The device of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceModel {
    /// Reads.
    pub read: Line,
    /// Writes.
    pub write: Line,
    /// Nanoseconds for each flush.
    pub sync_ns: u64,
}

/// No part of a model is taken for more than this: 10 s. What a file says is not trusted.
const PART_MAX_NS: u64 = 10_000_000_000;

impl DeviceModel {
    /// A device that nobody measured: 1 GB/s, 100,000 requests a second, 4,000 flushes a second.
    pub const UNKNOWN: DeviceModel = DeviceModel {
        read: Line { request_ns: 10_000, mib_ns: 1_000_000 },
        write: Line { request_ns: 10_000, mib_ns: 1_000_000 },
        sync_ns: 250_000,
    };

    /// Nanoseconds of device time of a request: at least 1.
    #[must_use]
    pub fn cost_ns(&self, kind: Kind, bytes: u64) -> u64 {
        let line = match kind {
            Kind::Read => self.read,
            Kind::Write => self.write,
            Kind::Sync => Line { request_ns: self.sync_ns, mib_ns: 0 },
        };
        let for_bytes = (u128::from(bytes) * u128::from(line.mib_ns.min(PART_MAX_NS))) >> 20;
        let for_bytes = u64::try_from(for_bytes).unwrap_or(u64::MAX);
        line.request_ns.min(PART_MAX_NS).saturating_add(for_bytes).max(1)
    }

    /// The most bytes, a multiple of `unit`, that a read or write may carry to cost at most
    /// `cost_ns`; at least `unit`.
    #[must_use]
    pub fn bytes_within(&self, kind: Kind, cost_ns: u64, unit: u64) -> u64 {
        let line = if kind == Kind::Read { self.read } else { self.write };
        let left = u128::from(cost_ns.saturating_sub(line.request_ns.min(PART_MAX_NS)));
        let bytes = (left << 20) / u128::from(line.mib_ns.clamp(1, PART_MAX_NS));
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        (bytes / unit * unit).max(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_a_part_for_the_request_and_a_part_for_its_bytes() {
        let model = DeviceModel {
            read: Line { request_ns: 20_000, mib_ns: 800_000 },
            write: Line { request_ns: 10_000, mib_ns: 400_000 },
            sync_ns: 90_000,
        };
        assert_eq!(model.cost_ns(Kind::Read, 0), 20_000);
        assert_eq!(model.cost_ns(Kind::Read, 1 << 19), 420_000);
        assert_eq!(model.cost_ns(Kind::Write, 1 << 20), 410_000);
        assert_eq!(model.cost_ns(Kind::Sync, 0), 90_000);
        assert_eq!(model.bytes_within(Kind::Read, 420_000, 4096), 1 << 19);
        assert_eq!(model.bytes_within(Kind::Write, 5_000, 4096), 4096);
    }

    #[test]
    fn no_model_overflows() {
        let line = Line { request_ns: u64::MAX, mib_ns: u64::MAX };
        let model = DeviceModel { read: line, write: line, sync_ns: u64::MAX };
        assert!(PART_MAX_NS <= model.cost_ns(Kind::Read, u64::MAX));
        assert_eq!(model.cost_ns(Kind::Sync, 0), PART_MAX_NS);
        assert_eq!(model.bytes_within(Kind::Read, u64::MAX, 4096) % 4096, 0);
        let free = Line { request_ns: 0, mib_ns: 0 };
        let model = DeviceModel { read: free, write: free, sync_ns: 0 };
        assert_eq!(model.cost_ns(Kind::Write, u64::MAX), 1);
        assert!(0 < model.bytes_within(Kind::Write, u64::MAX, 4096));
    }
}
