//! Wall time, boot time and boot identity, behind one trait so that tests can turn the hands.

use std::sync::OnceLock;
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
    /// How far its wall clock is ahead of the machine's, microseconds; negative = behind. Processes that work for its owner keep the same.
    fn shift_us(&self) -> i64 {
        0
    }
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
        // No process lives through a boot.
        static KNOWN: OnceLock<String> = OnceLock::new();
        if let Some(known) = KNOWN.get() {
            return known.clone();
        }
        let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|s| s.trim().to_owned()).unwrap_or_default();
        if read.is_empty() { read } else { KNOWN.get_or_init(|| read).clone() }
    }
}

/// The machine's clocks, with the wall clock set to another time. It goes on at the machine's pace, and can be set again.
#[derive(Debug, Default)]
pub struct ShiftedClock(AtomicI64);

impl ShiftedClock {
    /// Ahead of the machine by `us` microseconds.
    pub fn by(us: i64) -> Self {
        Self(AtomicI64::new(us))
    }

    /// Sets the wall clock to `wall`.
    pub fn set(&self, wall: Timestamp) {
        self.0.store(wall.as_microsecond() - SystemClock.now().as_microsecond(), Ordering::SeqCst);
    }

    /// Moves the wall clock forward by `us` microseconds.
    pub fn advance_us(&self, us: i64) {
        self.0.fetch_add(us, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now();
        Timestamp::from_microsecond(now.as_microsecond().saturating_add(self.shift_us())).unwrap_or(now)
    }

    fn boot_us(&self) -> u64 {
        SystemClock.boot_us()
    }

    fn boot_id(&self) -> String {
        SystemClock.boot_id()
    }

    fn shift_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A clock that moves only when told to, for tests. Both hands move together.
#[cfg(test)]
#[derive(Debug)]
pub struct ManualClock {
    wall_us: AtomicI64,
    boot_us: AtomicI64,
    boot_id: String,
}

#[cfg(test)]
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

#[cfg(test)]
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
    fn a_shifted_clock_keeps_the_pace_and_the_boot_time_of_the_machine() {
        let c = ShiftedClock::by(-3_600_000_000);
        let (machine, boot) = (SystemClock.now().as_second(), SystemClock.boot_us());
        assert!((3_599..=3_600).contains(&(machine - c.now().as_second())) && c.boot_us() >= boot);
        c.set(Timestamp::from_second(1_000).unwrap());
        c.advance_us(5_000_000);
        assert!(c.now().as_second() >= 1_005 && c.shift_us() < 0 && SystemClock.shift_us() == 0);
        // Whoever is handed the shift has the same time.
        assert!(ShiftedClock::by(c.shift_us()).now() >= Timestamp::from_second(1_005).unwrap());
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
