//! Times that passed, as logs and events say them.

use std::time::Duration;

/// Whole milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds for people: whole ones below ten seconds, and seconds with a tenth from there on.
pub fn shown(ms: u64) -> String {
    if ms < 10_000 { format!("{ms}ms") } else { format!("{}.{}s", ms / 1000, ms % 1000 / 100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_milliseconds_and_from_ten_seconds_on_seconds() {
        assert_eq!([0, 9_999, 10_000, 75_678].map(shown), ["0ms", "9999ms", "10.0s", "75.6s"]);
        assert_eq!(millis(Duration::from_micros(1_999)), 1);
    }
}
