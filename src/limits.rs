//! Every number that bounds something, each with its reason. Rooms add theirs here, nowhere else.

use std::time::Duration;

// ---- the wire -------------------------------------------------------------------------------------------------------

/// Largest frame that a peer may send, in bytes: BEAM nodes without fragments send a message as one frame, and build
/// contexts or images never travel this way.
pub const FRAME_BYTES: usize = 64 * 1024 * 1024;

/// Most memory that one decoded term may take, in bytes (the estimate of `term::budget`): a frame of small elements
/// grows some fortyfold when decoded, so the frame cap alone does not bound it.
pub const TERM_MEMORY_BYTES: usize = 256 * 1024 * 1024;

/// Time for a whole handshake: what a BEAM node allows (`net_setuptime`).
pub const HANDSHAKE: Duration = Duration::from_secs(7);

// ---- commands -------------------------------------------------------------------------------------------------------

/// Longest piece of a line that goes to a subscriber in one message, in bytes (api: 10 KiB).
pub const LINE_BYTES: usize = 10 * 1024;

/// Most bytes of a command's merged output that its result keeps (api: 1 MiB); the middle is left out.
pub const COMMAND_OUTPUT_BYTES: usize = 1024 * 1024;

/// Batches of output lines under way between a command's pipe and its subscriber: a slow subscriber stops the pipe.
pub const OUTPUT_BATCHES: usize = 4;

/// Commands that run at once for callers: each is a process of the host and a few hundred KiB of buffers here.
pub const RUNNERS: usize = 256;

/// How long the start waits for the engines to tell what runs, before the node serves without it.
pub const RECOVERY_BEFORE_SERVING: Duration = Duration::from_secs(1);

/// How long running deploys may take to end once the program was asked to; then they are undone.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// How long other calls and clean-ups may take to end after that.
pub const SHUTDOWN_CALLS: Duration = Duration::from_secs(2);

/// Progress reports of a job under way to its subscriber.
pub const PROGRESS_QUEUE: usize = 32;

// ---- applications ---------------------------------------------------------------------------------------------------

/// Most applications whose state is kept: far above what one server runs, so that a caller in a loop cannot fill memory.
pub const APPS: usize = 10_000;

/// Most bytes that the state of all applications takes together (an estimate), for the same reason.
pub const APP_STATE_BYTES: usize = 64 * 1024 * 1024;

/// Longest application id or deployment id, in bytes: container names are host names inside, of 63 bytes at most for
/// many resolvers, but engines take more; file names of logs end at 255 with both ids in them.
pub const NAME_BYTES: usize = 100;

// ---- health ---------------------------------------------------------------------------------------------------------

/// Attempts of a deploy's health check when the call says nothing (api: 10).
pub const HEALTH_ATTEMPTS: u32 = 10;

/// Time between two of them when the call says nothing (api: 1000 ms).
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

// ---- EPMD -----------------------------------------------------------------------------------------------------------

/// Time for one request to EPMD and for one request to ours: it is on this machine or one hop away.
pub const EPMD_REQUEST: Duration = Duration::from_secs(5);

/// Connections that our EPMD holds: each registered node keeps one.
pub const EPMD_CONNECTIONS: usize = 256;

/// First pause before registering again at an EPMD that went away: a restart of it takes some milliseconds.
pub const EPMD_FIRST_RETRY: Duration = Duration::from_millis(100);

/// Longest such pause: so long the node may be impossible to find after EPMD came back.
pub const EPMD_LAST_RETRY: Duration = Duration::from_secs(5);

// ---- links ----------------------------------------------------------------------------------------------------------

/// A tick goes out when nothing was written for so long: a quarter of the 60 s of `net_ticktime`, as BEAM nodes do.
pub const TICK_AFTER: Duration = Duration::from_secs(15);

/// A peer that was silent for so long is gone: what a BEAM node allows at most with its default `net_ticktime`.
pub const SILENCE: Duration = Duration::from_secs(75);

/// Bytes of streams that wait in a link: enough to keep a fast link busy, little enough for fifty slow ones.
pub const LINK_STREAM_BYTES: usize = 1024 * 1024;

/// Bytes of replies that wait in a link before it is read no further.
pub const LINK_REPLY_BYTES: usize = 8 * 1024 * 1024;

// ---- processes ------------------------------------------------------------------------------------------------------

/// Calls and runners that run at once: each is a task with a few KiB of its own.
pub const PROCESSES: usize = 10_000;

/// Monitors and links of peers' processes on processes of this node: some hundred bytes each.
pub const WATCHERS: usize = 100_000;

// ---- connections ----------------------------------------------------------------------------------------------------

/// Handshakes at once: strangers hold a socket and a few hundred bytes each, for the time of a handshake at most.
pub const HANDSHAKES: usize = 64;

/// Pause after the system refused to hand out a connection (no file descriptors, no memory).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A stranger's failures are logged once in so long.
pub const FAILURE_LOG: Duration = Duration::from_secs(60);

/// First pause before Mission Control is dialled again: a restart of it takes about so long.
pub const DIAL_FIRST_RETRY: Duration = Duration::from_millis(500);

/// Longest such pause: so long an outpost may stay away after Mission Control came back.
pub const DIAL_LAST_RETRY: Duration = Duration::from_secs(30);
