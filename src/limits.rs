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

/// Time for a new version to become healthy when the call says nothing: an application that migrates or warms up.
pub const HEALTH_DEADLINE: Duration = Duration::from_secs(60);

/// Time between two questions to it when the call says nothing (api: 1000 ms).
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

// ---- status and metrics ---------------------------------------------------------------------------------------------

/// Time for one question what a container uses: engines answer within some 30 ms.
pub const USAGE_REQUEST: Duration = Duration::from_secs(10);

/// Pause between two looks at the machine's figures: some files of `/proc`, 0.2 ms of processor time.
pub const MACHINE_LOOK: Duration = Duration::from_secs(5);

/// Pause between two questions whether the proxy answers, for the status.
pub const PROXY_LOOK: Duration = Duration::from_secs(5);

/// Pause between two looks at what applications use.
pub const USAGE_LOOK: Duration = Duration::from_secs(15);

/// How long it is looked at after somebody asked: who shows it asks again within this.
pub const USAGE_ASKED: Duration = Duration::from_mins(5);

/// Containers that are asked about at a time: deploys on the same engine go on beside it.
pub const USAGE_LOOKS: usize = 2;

/// Kinds of steps whose durations are counted: there are some twenty.
pub const COUNTED_STEPS: usize = 100;

/// Connections for metrics at a time: one or two collectors ask, one after the other.
pub const METRICS_CONNECTIONS: usize = 8;

/// Bytes of the head of a request for metrics.
pub const METRICS_REQUEST_BYTES: usize = 16 * 1024;

/// Time for a whole connection for metrics, so that silent ones do not keep the places: a page takes milliseconds.
pub const METRICS_REQUEST: Duration = Duration::from_secs(5);

// ---- EPMD -----------------------------------------------------------------------------------------------------------

/// Time for one request to EPMD and for one request to ours: it is on this machine or one hop away.
pub const EPMD_REQUEST: Duration = Duration::from_secs(5);

/// Requests to our EPMD at once, as strangers may make them: each holds a socket and a few hundred bytes.
pub const EPMD_REQUESTS: usize = 256;

/// Nodes that our EPMD registers, each of this machine: a server runs a few, each with a connection and some kilobytes.
pub const EPMD_NODES: usize = 1024;

/// First pause before registering again at an EPMD that went away: a restart of it takes some milliseconds.
pub const EPMD_FIRST_RETRY: Duration = Duration::from_millis(100);

/// Longest such pause: so long the node may be impossible to find after EPMD came back.
pub const EPMD_LAST_RETRY: Duration = Duration::from_secs(5);

// ---- links ----------------------------------------------------------------------------------------------------------

/// The `net_ticktime` of BEAM nodes when nothing else is set: in a quarter of it something is written, or a tick goes out; a
/// peer that was silent for five quarters is gone.
pub const TICK_TIME: Duration = Duration::from_secs(60);

/// Bytes of streams that wait in a link: enough to keep a fast link busy, little enough for fifty slow ones.
pub const LINK_STREAM_BYTES: usize = 1024 * 1024;

/// Bytes that a link's socket takes beyond what its peer has room for, or nearly so: no reply overtakes them, and what a slow
/// peer takes is seen by them. Enough to keep a fast link busy.
pub const LINK_UNSENT_BYTES: u32 = 256 * 1024;

/// Bytes of replies that wait in a link before it is read no further.
pub const LINK_REPLY_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of replies that may wait in all, those of calls that ended after the link was read no further among them: beyond that
/// the link is closed.
pub const LINK_QUEUE_BYTES: usize = 128 * 1024 * 1024;

/// A frame from this size on is large: it is taken apart beside the other links, and its bytes count in
/// [`INCOMING_BYTES`]. Calls and messages of Mission Control are far below.
pub const LARGE_FRAME_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of large frames of all links that have come in part: peers that send much and slowly would fill a server.
pub const INCOMING_BYTES: usize = 256 * 1024 * 1024;

/// How long a large frame may take to come, and how long one waits for room: 64 MiB over a line of 2 Mbit/s.
pub const LARGE_FRAME: Duration = Duration::from_mins(5);

/// Lines that are logged in [`REMARKS_TIME`] of things that a peer may do as often as it likes: enough to see what happens.
pub const REMARKS: usize = 100;

/// The time for those.
pub const REMARKS_TIME: Duration = Duration::from_mins(1);

// ---- processes ------------------------------------------------------------------------------------------------------

/// Calls and runners that run at once: each is a task with a few KiB of its own.
pub const PROCESSES: usize = 10_000;

/// Bytes of memory that the arguments of all running calls take: a call may wait for minutes, and 10,000 with large arguments
/// would fill a server.
pub const ARGUMENT_BYTES: usize = 256 * 1024 * 1024;

/// Monitors and links of peers' processes on processes of this node: some two hundred bytes each.
pub const BONDS: usize = 200_000;

/// Messages that a suspended server keeps (`sys:suspend`): it is suspended by hand, for moments.
pub const SUSPENDED_MESSAGES: usize = 1_000;

/// Bytes of them: calls of Mission Control have a few hundred.
pub const SUSPENDED_BYTES: usize = 8 * 1024 * 1024;

// ---- connections ----------------------------------------------------------------------------------------------------

/// Handshakes at once that wait for a name, and as many that sent one: strangers hold a socket and a few kilobytes each,
/// for the time of a handshake at most. A flood must bring so many in the milliseconds that an honest peer from the same
/// address needs.
pub const HANDSHAKES: usize = 256;

/// Strangers that lost their place to others and whose sockets are not closed yet, before no more are accepted: it is a
/// matter of microseconds, but a flood can come in faster.
pub const LEAVING_STRANGERS: usize = 64;

/// Links at once: nodes of a cluster that know the cookie, of which an outpost has a few. One that waits costs some 10 KiB
/// (measured: 7), one that is read from 64 KiB and more, up to 2 MiB where its peer fills the cache of atoms with long ones.
/// Handshakes under way when the last place is taken may exceed it.
pub const LINKS: usize = 1024;

/// Connections that wait to be accepted: what the system gives at most by default.
pub const ACCEPT_BACKLOG: i32 = 4096;

/// Pause after the system refused to hand out a connection (no file descriptors, no memory).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A stranger's failures are logged once in so long.
pub const FAILURE_LOG: Duration = Duration::from_secs(60);

/// Strangers whose failures are logged in that time: more of them only fill the log.
pub const FAILURE_SOURCES: usize = 64;

/// Nodes that are dialled at once because something is to be told them: each attempt holds a socket for some milliseconds.
pub const DIALS: usize = 64;

/// For so long an attempt that failed is not made again: whoever tells a dead node many things waits once.
pub const DIAL_MEMORY: Duration = Duration::from_millis(200);

/// Addresses of a peer's host that are tried in one attempt.
pub const DIAL_ADDRESSES: usize = 4;

/// First pause before Mission Control is dialled again: a restart of it takes about so long.
pub const DIAL_FIRST_RETRY: Duration = Duration::from_millis(500);

/// Longest such pause: so long an outpost may stay away after Mission Control came back.
pub const DIAL_LAST_RETRY: Duration = Duration::from_secs(30);
/// Most time for a new version to become healthy, whatever a call says: a deploy holds its application's turn meanwhile.
pub const HEALTH: Duration = Duration::from_hours(1);

/// Time for one HTTP answer or one connection when the call says nothing (the Elixir agent: 5000 ms).
pub const PROBE: Duration = Duration::from_secs(5);

/// Pause between two looks whether a container that is waited for was started again, where its exit was not seen.
pub const EXIT_LOOK: Duration = Duration::from_secs(1);

/// Time for the first bytes of an answer's body: they say why where the status is wrong, and may never come.
pub const PROBE_BODY: Duration = Duration::from_millis(200);

/// Bytes of it that are told.
pub const PROBE_BODY_BYTES: usize = 200;

/// First pause between two questions to a new version; each further one is twice as long, up to the interval. A small
/// application listens within milliseconds, and a question costs about one.
pub const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// How long a container must run without a restart to count as running: an application that fails at its start (no
/// database, a missing variable) is gone within this.
pub const SETTLE: Duration = Duration::from_secs(1);

// ---- deploys --------------------------------------------------------------------------------------------------------

/// Runs (deploys, undeploys) of one application that wait for their turn: more are a caller in a loop.
pub const WAITING_RUNS: usize = 32;

/// Runs of all applications at a time, running or waiting; each is a task of a few kilobytes.
pub const RUNS: usize = 4096;

/// Size from which on the journal is written anew without what has ended: some hundred deploys.
pub const JOURNAL_BYTES: usize = 256 * 1024;

/// Time for a whole deploy up to the switch, waiting for its turn included, when the call says nothing.
pub const DEPLOY: Duration = Duration::from_hours(1);

/// Most that a call may ask for.
pub const LONGEST_DEPLOY: Duration = Duration::from_hours(24);

/// Releases of an application that are kept, the running one among them, when the deployment says nothing (api: 5).
pub const KEPT_RELEASES: usize = 5;

/// Most that a deployment may ask for: each keeps an image.
pub const MOST_KEPT_RELEASES: usize = 100;

/// Bytes of a `.dockerignore`, and of a Dockerfile as far as the agent itself looks at it.
pub const IGNORE_BYTES: u64 = 1 << 20;

/// How long Podman may take to start a container again that has ended.
pub const BETWEEN_LIVES: Duration = Duration::from_secs(2);

/// Attempts at Podman's list of images, which fails where one goes meanwhile.
pub const LISTINGS: usize = 5;

/// Pause between two looks whether it has.
pub const LIFE_LOOK: Duration = Duration::from_millis(50);

/// Attempts to stop a container that is started again each time.
pub const STOP_ATTEMPTS: usize = 20;

/// Steps of one build whose output is told apart; those of more are not told.
pub const BUILD_STEPS: usize = 10_000;

/// Secrets of one build.
pub const BUILD_SECRETS: usize = 64;

/// Bytes of a request that an engine makes while it builds: it asks for a secret by its name.
pub const SESSION_REQUEST_BYTES: usize = 64 * 1024;

/// Builds that run at once; more wait for their turn.
pub const BUILDS: usize = 2;

/// Weight of a build beside a container's 1024 where processors are short.
pub const BUILD_CPU_SHARES: u64 = 256;

/// The same as systemd counts it, of 100.
pub const BUILD_CPU_WEIGHT: u64 = 25;

/// Bytes that a source tree and its history may take on this machine.
pub const SOURCE_BYTES: u64 = 8 << 30;

/// Pause between two looks at what a clone has taken so far; and how many times as long as the look took, at least.
pub const SOURCE_LOOK: (Duration, u32) = (Duration::from_millis(500), 10);

/// Age from which on a clone that was handed out, and not cleaned up by who asked for it, is removed at the next start.
pub const SOURCE_AGE: Duration = Duration::from_hours(24);

/// Age from which on a program that is not in its place yet is one that a death left.
pub const ARTIFACT_AGE: Duration = Duration::from_hours(1);

/// Restarts after a failure that `restart: :on_failure` gives a container.
pub const RESTARTS: u32 = 10;

/// Least memory that engines let a container have.
pub const LEAST_MEMORY: u64 = 6 << 20;

/// Time for connections to a replaced version to end by themselves (api: 30 s).
pub const DRAIN: Duration = Duration::from_secs(30);

/// Time that passes at least between a switch and the stop of the old version: a request that was led there before the switch
/// may not have its connection yet.
pub const SHORTEST_DRAIN: Duration = Duration::from_millis(300);

/// Time for the same before an undeploy, whose caller waits for it.
pub const UNDEPLOY_DRAIN: Duration = Duration::from_secs(5);

/// Pause between two looks at the connections to a replaced version.
pub const DRAIN_PAUSE: Duration = Duration::from_millis(50);

/// Longest such pause, when it takes long.
pub const LONGEST_DRAIN_PAUSE: Duration = Duration::from_millis(500);

/// Time that a deployment may ask for, to drain or to stop: a day of a long download.
pub const LONGEST_GRACE: Duration = Duration::from_hours(24);

/// Time for a release command: migrations of a large database.
pub const RELEASE_COMMAND: Duration = Duration::from_mins(30);

/// Last lines of a container's output that a failure tells.
pub const TOLD_LINES: usize = 10;

/// Bytes of each of them.
pub const TOLD_LINE_BYTES: usize = 500;

/// First and longest pause before an undo that failed is tried again.
pub const STUCK_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Applications that are recovered side by side after a start.
pub const RECOVERIES: usize = 16;

/// How long a run waits once for a subscriber whose queue is full; after that it only drops what does not fit.
pub const PROGRESS_WAIT: Duration = Duration::from_secs(1);

/// Further ports that a deploy tries when the engine says that its port is taken: the allocation saw no listener, so that
/// it is a race, and three lost in a row are none.
pub const PORT_RETRIES: usize = 3;

/// Redirects that a download follows.
pub const REDIRECTS: usize = 5;

/// Time in which something of a download must come.
pub const DOWNLOAD_STALL: Duration = Duration::from_secs(30);

/// Attempts of a download one after another that bring nothing, and the pause after the first (n times as long after the
/// n-th).
pub const DOWNLOAD_ATTEMPTS: u32 = 5;
/// See [`DOWNLOAD_ATTEMPTS`].
pub const DOWNLOAD_PAUSE: Duration = Duration::from_millis(500);

/// How long the output of a build waits for a subscriber that takes none; after that only what fits is passed on.
pub const OUTPUT_WAIT: Duration = Duration::from_secs(30);

/// Time for a download.
pub const DOWNLOAD: Duration = Duration::from_hours(1);

/// Bytes that an artifact may have.
pub const ARTIFACT_BYTES: u64 = 16 << 30;

/// Bytes of the list of images in an archive.
pub const ARCHIVE_MANIFEST_BYTES: u64 = 1 << 20;

/// Layers of an image whose pull is watched: engines take 127.
pub const IMAGE_LAYERS: usize = 256;

/// Pause between two messages on how far something large is.
pub const TRANSFER_TOLD: Duration = Duration::from_secs(3);

/// Time for a pull: a large image over a slow line.
pub const PULL: Duration = Duration::from_mins(10);

/// Time that a replaced container has between SIGTERM and SIGKILL, as engines have it.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// The same for an undeploy, whose caller waits for it: the route is gone before, so that only work in the background is
/// cut.
pub const UNDEPLOY_GRACE: Duration = Duration::from_secs(5);

/// Time for the undo of what runs when the agent shuts down: a removal of a container and a route each.
pub const UNDO: Duration = Duration::from_secs(15);

/// First and longest pause before an engine that did not answer at the start is asked again.
pub const RECOVERY_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Pauses between the looks for containers that an engine makes for an agent that died: some 0.1 s late where it was
/// measured, more on a slow disk.
pub const LATE_LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(9)];

/// How long after its grace a stop may take effect that a dead agent asked for.
pub const LATE_STOP: Duration = Duration::from_secs(10);

// ---- logs -----------------------------------------------------------------------------------------------------------

/// Bytes of a container's log that are read from the engine at a time: a log stream holds two of them at most.
pub const LOG_READ_BYTES: usize = 16 * 1024;

/// Lines of a log that follow one another within this are taken together: so much later they may be.
pub const LOG_REST: Duration = Duration::from_millis(1);

/// A line that is longer goes out in pieces (api: 64 KiB): a stream holds one of each of two streams at most.
pub const LOG_LINE_BYTES: usize = 64 * 1024;

/// Log streams and calls for a log at once: each holds a connection to the engine, and up to some 250 KiB where its reader is
/// slow.
pub const LOG_STREAMS: usize = 256;

/// Most lines that one call for the last lines gives.
pub const LOG_TAIL_LINES: usize = 10_000;

/// Most bytes of them.
pub const LOG_TAIL_BYTES: usize = 1024 * 1024;

/// First and longest pause before an engine that broke off a log is asked again: a restart of it takes seconds.
pub const LOG_PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// For so long an engine may be away before the stream of a log ends: an upgrade of it takes a minute.
pub const LOG_PATIENCE: Duration = Duration::from_mins(5);

/// So often one after another it may refuse it: a container that is being removed is refused until it is gone.
pub const LOG_REFUSALS: u32 = 6;

/// Pause between two looks whether a stopped container runs again, or another one is the application.
pub const LOG_LOOK: Duration = Duration::from_millis(250);

/// Time for the end of a stream to be told to a subscriber that reads slowly, once somebody stopped it.
pub const LOG_FAREWELL: Duration = Duration::from_millis(500);

/// Bytes that are kept of the log of a container that goes: what it said last, for each release that is kept and the last
/// deployment that failed. A stream that reads it holds it.
pub const KEPT_LOG_BYTES: usize = 128 * 1024;

/// Time for that: a removal waits for it.
pub const KEEP_LOG: Duration = Duration::from_secs(3);

/// Logs that are kept in all: those of a thousand applications, of which some hold a few.
pub const KEPT_LOGS: usize = 4_000;

// ---- builds ---------------------------------------------------------------------------------------------------------

/// Time for one git command: a large history over a slow line.
pub const GIT: Duration = Duration::from_mins(10);

/// Pauses before a source directory that could not be removed is tried again: a killed git may have written meanwhile.
pub const REMOVAL_PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];

/// Time for clone and build of an image when the call says nothing (api: 600,000 ms).
pub const BUILD: Duration = Duration::from_mins(10);

/// Most that a call may ask for.
pub const LONGEST_BUILD: Duration = Duration::from_hours(24);

// ---- the machine ----------------------------------------------------------------------------------------------------

/// How long a command's pipes are read after its end when nothing comes: a child that it left may hold them open.
pub const COMMAND_DRAIN: Duration = Duration::from_millis(200);

/// Time for one request to Caddy's admin API: a change loads a whole configuration.
pub const CADDY_REQUEST: Duration = Duration::from_secs(5);

/// Attempts at a change of Caddy's configuration that others change at the same time.
pub const CADDY_ATTEMPTS: usize = 64;

/// Pause before the admin API is asked again after a connection to it broke: a reload takes some milliseconds.
pub const CADDY_RELOAD: Duration = Duration::from_millis(20);

/// Attempts more at a change whose request broke off or was not answered in time: a reload cuts connections.
pub const CADDY_BROKEN_ATTEMPTS: usize = 2;

/// Most bytes of an answer of Caddy: its whole configuration with some thousand routes.
pub const CADDY_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Pause between two looks at Caddy's routes: a Caddy that came back empty serves them within two seconds.
pub const ROUTES_LOOK: Duration = Duration::from_secs(1);

/// So many looks apart everything is looked at, also where Caddy's routes are those that are known: whether it still reads the
/// files, and whether they are there.
pub const ROUTES_WHOLE_LOOK: u32 = 30;

/// Time for the answer of Caddy to the probe of what it reads: it is on this machine, and a put of a route waits for it.
pub const ROUTES_PROBE: Duration = Duration::from_secs(1);

/// Routes that are kept, each with a directory and some hundred bytes of memory: one for each application.
pub const ROUTES: usize = APPS;

/// Time for one request to a container engine that only looks or changes one thing.
pub const ENGINE_REQUEST: Duration = Duration::from_secs(60);

/// Most bytes that are kept of what a command in a container printed last.
pub const EXEC_OUTPUT_BYTES: usize = 16 * 1024;

/// Sockets of engines whose clients are kept: a machine has one or two.
pub const ENGINE_SOCKETS: usize = 16;

/// Most bytes of one line of an engine's answer to a build or a load.
pub const ENGINE_LINE_BYTES: usize = 1024 * 1024;

/// Pieces of a build context under way to the engine.
pub const CONTEXT_PIECES: usize = 4;

/// Bytes of one such piece.
pub const CONTEXT_PIECE_BYTES: usize = 64 * 1024;

// ---- events ---------------------------------------------------------------------------------------------------------

/// Events that are kept in memory: some hundred bytes each, for readers that are a little behind. Older ones lie on disk.
pub const EVENTS_IN_MEMORY: usize = 512;

/// Events that wait to be written: a disk that hangs must not cost memory.
pub const EVENTS_WAITING: usize = 4096;

/// Size at which the file of events becomes the older of two: together they hold some 3,000 to 6,000 events. Who was away reads
/// them at once.
pub const EVENT_FILE_BYTES: u64 = 1024 * 1024;

/// Bytes of the newest events that are read at the start, which is to take no time.
pub const EVENTS_READ_AT_START: u64 = 256 * 1024;

/// Numbers that are left out after a start of the machine: a loss of power may have taken the last events, whose numbers
/// readers have seen.
pub const EVENT_NUMBERS_SKIPPED: u64 = 1000;

/// Events that a subscriber is sent at once.
pub const EVENTS_BATCH: usize = 64;

/// Subscribers to events.
pub const EVENT_SUBSCRIBERS: usize = 64;

// ---- health, engines ------------------------------------------------------------------------------------------------

/// Time between two checks of an application that is well, if its deployment says nothing longer: with 200 applications 20
/// checks a second.
pub const MONITOR_INTERVAL: Duration = Duration::from_secs(10);

/// Time between two checks while it is not certain how an application is.
pub const MONITOR_AGAIN: Duration = Duration::from_secs(2);

/// Checks at the same time.
pub const MONITOR_CHECKS: usize = 16;

/// Longest pause of the monitor when nothing is due.
pub const MONITOR_PAUSE: Duration = Duration::from_mins(1);

/// Checks that fail one after another before an application counts as not well (api).
pub const FAILURES_TO_TELL: u32 = 3;

/// Checks that are good one after another before it counts as well again (api).
pub const SUCCESSES_TO_RECOVER: u32 = 2;

/// So many exits within [`CRASH_WINDOW`] are a crash loop. Engines start a container again after 0.1, 0.2, 0.4, ... seconds.
pub const CRASHES_TO_TELL: u32 = 3;

/// Time within which exits count together.
pub const CRASH_WINDOW: Duration = Duration::from_mins(5);

/// Time without an exit after which a crash loop may be over: the longest pause of the engines before a start is a minute.
pub const CRASH_QUIET: Duration = Duration::from_mins(1);

/// Exits of a container that wait to be told, each with its log: more are the same.
pub const EXITS_WAITING: usize = 4;

/// Pause before an application that is not well is started anew a second time, and the longest; each is twice the one before.
pub const RESTART_PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));

/// Time between two looks whether there are other engines.
pub const ENGINES_LOOK: Duration = Duration::from_secs(5);

/// Time after which all containers of an engine are looked at, whatever it told.
pub const ENGINE_SURVEY: Duration = Duration::from_mins(1);

/// First and longest pause before an engine that does not answer is asked again.
pub const ENGINE_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Time for a peer to say that it took what was sent to one of its processes: as long as a peer may be silent.
pub const NAMED_ANSWER: Duration = Duration::from_mins(1);

/// Events that are sent to Mission Control before it is waited for: some 20 KiB each at most.
pub const EVENTS_DELIVERED: usize = 16;

/// Pause before Mission Control is asked again whether somebody there takes events.
pub const EVENTS_TAKER_LOOK: Duration = Duration::from_secs(2);

/// Shortest time between two checks of the monitor.
pub const SHORTEST_MONITOR_INTERVAL: Duration = Duration::from_millis(500);

/// A disk is low when less than one part in so many is left.
pub const DISK_LOW_PART: u64 = 20;

/// Bytes of a large disk that no build, pull or download takes.
pub const DISK_RESERVE: u64 = 1 << 30;

/// Pause after which units are looked at although systemd told of no change.
pub const UNIT_LOOK: Duration = Duration::from_secs(10);

/// Pause between two looks whether a unit whose log is followed has ended.
pub const UNIT_END_LOOK: Duration = Duration::from_millis(300);

/// Bytes of a unit's name without its kind: systemd takes 255 with it.
pub const UNIT_NAME_BYTES: usize = 240;

/// Changes of units that wait to be looked at.
pub const ENGINE_EVENTS: usize = 256;

/// Time for an engine to tell of an exit that came already.
pub const EXIT_WORD: Duration = Duration::from_secs(2);

/// Messages to a shell that wait for its `flush()`.
pub const INBOX_MESSAGES: usize = 1_000;

/// Bytes of them.
pub const INBOX_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of an expression that a shell reads: a person types some hundred, pastes some thousand.
pub const SHELL_INPUT: usize = 64 * 1024;

/// Expressions within expressions, by brackets and blocks.
pub const SHELL_NESTING: usize = 40;

/// Operators, fields and calls of one chain: each is an expression within the next.
pub const SHELL_CHAIN: usize = 100;

/// Deepest evaluation, functions that call functions included.
pub const SHELL_DEPTH: usize = 160;

/// Steps of one evaluation: some seconds.
pub const SHELL_STEPS: u64 = 5_000_000;

/// Bytes of values that one evaluation goes over, each as often as it does: some seconds, whatever it does with each step.
pub const SHELL_WORK: u64 = 8 * 1024 * 1024 * 1024;

/// Places of a text at which a part is looked for within one step, each part counted.
pub const SHELL_COMPARISONS: usize = 1 << 28;

/// Elements of a list that a shell makes.
pub const SHELL_ELEMENTS: usize = 1_000_000;

/// Bytes of a text that a shell makes.
pub const SHELL_SIZE: usize = 32 * 1024 * 1024;

/// Bytes of stack of the thread that evaluates: as deep as expressions nest. Pages that are not touched take no memory.
pub const SHELL_STACK: usize = 256 * 1024 * 1024;

/// Bytes that the variables and the unfinished collections of one shell take; of many small values memory is some times that.
pub const SHELL_HELD: usize = 64 * 1024 * 1024;

/// Deepest nesting of a value in a shell: of deeper ones not all are taken by nodes.
pub const SHELL_VALUE_NESTING: usize = 250;

/// Functions that hold functions that hold functions: whoever drops the first drops all.
pub const SHELL_FUNCTIONS: usize = 50;

/// Results that `v()` remembers.
pub const SHELL_HISTORY: usize = 50;

/// Bytes of all of them: larger results are not remembered.
pub const SHELL_HISTORY_BYTES: usize = 4 * 1024 * 1024;

/// Longest sleep in a shell.
pub const SHELL_SLEEP: Duration = Duration::from_secs(60);

/// Candidates that a completion shows.
pub const SHELL_CANDIDATES: usize = 200;

/// Shells at once.
pub const SHELLS: usize = 20;

/// Commands of this machine that are connected at once.
pub const CONTROL_CONNECTIONS: usize = 64;

/// Bytes of a request of theirs: a line of a shell and what is around it.
pub const CONTROL_REQUEST: usize = SHELL_INPUT + 1024;

/// Bytes of an answer that they take: the largest that the node sends to anybody.
pub const CONTROL_ANSWER: usize = 256 * 1024 * 1024;

/// Pause after a connection that could not be taken.
pub const CONTROL_PAUSE: Duration = Duration::from_millis(100);

/// Time for the agent to say that it is there.
pub const CONTROL_PING: Duration = Duration::from_secs(5);

/// Lines that `remote` remembers.
pub const REMOTE_HISTORY: usize = 1_000;

// ---- observer

/// Shortest interval at which figures are sent to an observer: the shortest that it offers.
pub const OBSERVER_INTERVAL: Duration = Duration::from_millis(100);

/// Pause between two looks at the tree of processes that an observer shows.
pub const OBSERVER_TREE: Duration = Duration::from_secs(2);

/// Trees and lists that one observer looks at.
pub const OBSERVER_TASKS: usize = 16;

/// Observers that look at the tree at once.
pub const OBSERVERS: usize = 64;
