//! Wall time, boot time and boot identity, behind one trait so that tests can turn the hands.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Where time comes from. Wall time is for people and cron; boot time is for durations and deadlines:
/// it never jumps and it counts suspend.
pub trait Clock: Send + Sync {
    /// Wall clock, UTC.
    fn now(&self) -> Timestamp;
    /// Microseconds of `CLOCK_BOOTTIME`.
    fn boot_us(&self) -> u64;
    /// `/proc/sys/kernel/random/boot_id`; empty where it cannot be read.
    fn boot_id(&self) -> String;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot_us(&self) -> u64 {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        (t.tv_sec as u64) * 1_000_000 + (t.tv_nsec as u64) / 1_000
    }

    fn boot_id(&self) -> String {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|s| s.trim().to_owned()).unwrap_or_default()
    }
}

/// A clock that moves only when told to. Both hands move together.
#[derive(Debug)]
pub struct ManualClock {
    wall_us: AtomicI64,
    boot_us: AtomicI64,
    boot_id: String,
}

impl ManualClock {
    /// Starts at `wall`, with boot time zero and the given boot id.
    pub fn new(wall: Timestamp, boot_id: &str) -> Self {
        Self { wall_us: AtomicI64::new(wall.as_microsecond()), boot_us: AtomicI64::new(0), boot_id: boot_id.to_owned() }
    }

    /// Moves both hands forward by `us` microseconds.
    pub fn advance_us(&self, us: i64) {
        self.wall_us.fetch_add(us, Ordering::SeqCst);
        self.boot_us.fetch_add(us, Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an operator or NTP would.
    pub fn set_wall(&self, wall: Timestamp) {
        self.wall_us.store(wall.as_microsecond(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.wall_us.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn boot_us(&self) -> u64 {
        self.boot_us.load(Ordering::SeqCst).max(0) as u64
    }

    fn boot_id(&self) -> String {
        self.boot_id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_never_goes_back_and_the_machine_has_a_boot_id() {
        let c = SystemClock;
        let a = c.boot_us();
        assert!(c.boot_us() >= a && a > 0);
        assert_eq!(c.boot_id().len(), 36);
    }

    #[test]
    fn setting_the_wall_clock_leaves_boot_time_alone() {
        let c = ManualClock::new(Timestamp::UNIX_EPOCH, "b");
        c.advance_us(5);
        c.set_wall(Timestamp::from_second(1_000).unwrap());
        assert_eq!(c.boot_us(), 5);
        assert_eq!(c.now().as_second(), 1_000);
    }
}
