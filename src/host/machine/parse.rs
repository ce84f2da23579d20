//! The texts of `/proc`.

use std::time::Duration;

use super::Room;

/// Time of all processors together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticks {
    pub(super) busy: u64,
    pub(super) all: u64,
}

/// Processors and their time, of `/proc/stat`.
pub(super) fn stat(text: &str) -> Option<(usize, Ticks)> {
    let mut cpus = 0;
    let mut time = None;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("cpu") else { break };
        let mut words = rest.split_ascii_whitespace();
        if rest.starts_with(' ') {
            time = cpu_time(words);
        } else if words.next().is_some_and(|number| number.parse::<u32>().is_ok()) {
            cpus += 1;
        }
    }
    Some((cpus, time?))
}

/// user, nice, system, idle, iowait, irq, softirq, steal; what guests took stands in user already.
fn cpu_time<'a>(words: impl Iterator<Item = &'a str>) -> Option<Ticks> {
    let times: Vec<u64> = words.take(8).map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let all = times.iter().fold(0, |sum: u64, time| sum.saturating_add(*time));
    let idle = times.get(3)?.saturating_add(times.get(4).copied().unwrap_or(0));
    Some(Ticks { busy: all.saturating_sub(idle), all })
}

/// The averages of `/proc/loadavg`.
pub(super) fn loadavg(text: &str) -> Option<[f64; 3]> {
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next()?.parse::<f64>().ok().filter(|load| load.is_finite());
    Some([next()?, next()?, next()?])
}

/// Memory and swap of `/proc/meminfo`, in bytes.
pub(super) fn meminfo(text: &str) -> Option<(Room, Room)> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    let memory = Room { total: value("MemTotal")?, free: value("MemAvailable").or_else(|| value("MemFree"))? };
    let swap = Room { total: value("SwapTotal").unwrap_or(0), free: value("SwapFree").unwrap_or(0) };
    Some((memory, swap))
}

/// The machine's age, of `/proc/uptime`.
pub(super) fn uptime(text: &str) -> Option<Duration> {
    let seconds = text.split_ascii_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Ticks of a process and its threads, of `/proc/PID/stat`.
pub(super) fn process_stat(text: &str) -> Option<(u64, u64)> {
    // Behind the name, which may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| words.get(at)?.parse::<u64>().ok();
    Some((number(11)?.saturating_add(number(12)?), number(17)?))
}

/// Pages in memory, of `/proc/PID/statm`.
pub(super) fn resident_pages(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_texts_of_a_machine_are_read() {
        let text = "cpu  100 1 20 700 30 4 5 6 90 0\ncpu0 50 1 10 350 15 2 3 3 45 0\ncpu1 50 0 10 350 15 2 2 3 45 0\nintr 5 0\n";
        assert_eq!(stat(text), Some((2, Ticks { busy: 136, all: 866 })));
        assert_eq!(loadavg("0.52 1.00 2.25 1/345 6789\n"), Some([0.52, 1.0, 2.25]));
        let text =
            "MemTotal:       2048 kB\nMemFree:  10 kB\nMemAvailable:    1024 kB\nSwapTotal:   8 kB\nSwapFree:  4 kB\n";
        let memory = Room { total: 2048 * 1024, free: 1024 * 1024 };
        assert_eq!(meminfo(text), Some((memory, Room { total: 8192, free: 4096 })));
        assert_eq!(meminfo("MemTotal: 1 kB\nMemFree: 1 kB").unwrap().1, Room::default());
        assert_eq!(uptime("1234.50 2000.00\n"), Some(Duration::from_millis(1_234_500)));
        assert_eq!(resident_pages("1000 250 30 40 0 50 0\n"), Some(250));
        let text = "77 (a) b (c)) S 1 77 77 0 -1 4194304 500 0 0 0 12 34 0 0 20 0 9 0 100 0 0";
        assert_eq!(process_stat(text), Some((46, 9)));
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read_or_left(text in "(cpu|MemTotal:|[0-9.]{1,25}|\\)|[a-z ]|\n| ){0,40}") {
            stat(&text);
            loadavg(&text);
            meminfo(&text);
            uptime(&text);
            process_stat(&text);
            resident_pages(&text);
        }

        #[test]
        fn what_is_busy_is_part_of_all(times in proptest::collection::vec(any::<u64>(), 4..12)) {
            let words: Vec<String> = times.iter().map(ToString::to_string).collect();
            let (_, time) = stat(&format!("cpu  {}\n", words.join(" "))).unwrap();
            prop_assert!(time.busy <= time.all);
        }
    }
}
