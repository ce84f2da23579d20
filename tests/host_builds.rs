//! Builds on the real Docker and the real Podman: what they may use, how they fail, how they are ended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/engines.rs"]
mod engines;

use std::process::Command;
use std::time::{Duration, Instant};

use engines::{KINDS, context, engine, remove_image, unique};
use otturnaut::host::{Batch, BuildImage, Recipe, Resources, RuntimeError, RuntimeKind};
use otturnaut::secret::Secret;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const BUSYBOX: &str = "FROM scratch\nCOPY busybox /bin/busybox\n";

fn build_of(dir: &tempfile::TempDir, tag: &str) -> BuildImage {
    BuildImage {
        context: dir.path().to_owned(),
        recipe: Recipe::Dockerfile { path: "Dockerfile".to_owned() },
        tag: tag.to_owned(),
        build_args: [].into(),
        secrets: [].into(),
        resources: Resources::default(),
    }
}

async fn lines(mut received: mpsc::Receiver<Batch>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(batch) = received.recv().await {
        lines.extend(batch.into_iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()));
    }
    lines
}

/// A command of the shell in a build; the date keeps engines from taking an earlier one's result.
fn run(command: &str) -> String {
    format!("{BUSYBOX}RUN [\"/bin/busybox\", \"sh\", \"-c\", \": {}; {command}\"]\n", unique("build"))
}

#[tokio::test]
async fn a_build_may_use_what_it_is_given_and_gives_way_to_what_runs() {
    for kind in KINDS {
        let (engine, tag) = (engine(kind), unique("image"));
        let show = "cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes memory.max cpu/cpu.shares cpu.weight \
                    cpu/cpu.cfs_quota_us cpu.max; do if [ -e $f ]; then echo $f $(/bin/busybox cat $f); fi; done";
        let dir = context(&run(show));
        let resources = Resources { memory: Some(64 << 20), cpu_millis: Some(500), pids: None };
        let (told, received) = mpsc::channel(64);
        let build = BuildImage { resources, ..build_of(&dir, &tag) };
        let (outcome, lines) = tokio::join!(engine.build_image(&build, Some(told)), lines(received));
        outcome.unwrap();
        let said = |names: [&str; 2], wanted: &str| {
            let told = lines.iter().find(|line| names.iter().any(|name| line.starts_with(name)));
            assert!(told.is_some_and(|line| line.contains(wanted)), "{kind}: {wanted} of {names:?} in {lines:?}");
        };
        said(["memory/memory.limit_in_bytes", "memory.max"], "67108864");
        said(["cpu/cpu.cfs_quota_us", "cpu.max"], "50000");
        if lines.iter().any(|line| line.starts_with("cpu/cpu.shares")) {
            said(["cpu/cpu.shares", "cpu/cpu.shares"], "256");
        }
        remove_image(kind, &tag);
    }
}

#[tokio::test]
async fn a_step_that_fails_is_told_with_what_it_said_last() {
    for kind in KINDS {
        let (engine, tag) = (engine(kind), unique("image"));
        let dir = context(&run("echo compiling; echo x.c has no main; exit 3"));
        let failed = engine.build_image(&build_of(&dir, &tag), None).await.unwrap_err();
        let RuntimeError::Build { reason, .. } = &failed else { panic!("{kind} {failed:?}") };
        let (_, told) = reason.split_once("\nin ").unwrap_or_else(|| panic!("{kind}: {reason}"));
        assert!(told.to_lowercase().starts_with("step 3/3"), "{kind}: {told}");
        assert!(told.contains("which said last:\ncompiling\nx.c has no main"), "{kind}: {told}");
        assert!(engine.image(&tag).await.is_err(), "{kind}: nothing is left");
    }
}

#[tokio::test]
async fn a_dockerfile_elsewhere_in_the_tree_is_used_and_one_outside_is_refused() {
    for kind in KINDS {
        let (engine, tag) = (engine(kind), unique("image"));
        let dir = context("FROM none\n");
        std::fs::create_dir(dir.path().join("deploy")).unwrap();
        std::fs::write(dir.path().join("deploy/web.dockerfile"), BUSYBOX).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("leads-out")).unwrap();
        let with =
            |path: &str| BuildImage { recipe: Recipe::Dockerfile { path: path.to_owned() }, ..build_of(&dir, &tag) };
        engine.build_image(&with("deploy/web.dockerfile"), None).await.unwrap();
        for path in ["../Dockerfile", "/etc/hostname", "leads-out"] {
            let refused = engine.build_image(&with(path), None).await.unwrap_err();
            assert!(refused.to_string().contains("does not lie in the source tree"), "{kind}: {refused}");
        }
        let native = Recipe::Native { command: vec!["make".to_owned()], output: "app".into() };
        let refused = engine.build_image(&BuildImage { recipe: native, ..with("x") }, None).await.unwrap_err();
        assert!(refused.to_string().contains("builds from a Dockerfile"), "{kind}: {refused}");
        remove_image(kind, &tag);
    }
}

/// Processes of this machine, those in containers too, with that argument.
fn processes(argument: &str) -> usize {
    let shows = |process: &std::fs::DirEntry| {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|part| part == argument.as_bytes())
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(shows).count()
}

async fn wait_for(what: &str, kind: RuntimeKind, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{kind}: {what} did not come");
        sleep(Duration::from_millis(20)).await;
    }
}

/// How long a step sleeps, which tells it from others.
fn seconds() -> String {
    rand::random_range(100_000..900_000_u32).to_string()
}

#[tokio::test]
async fn a_build_that_is_dropped_ends_and_another_goes_on() {
    let (kind, engine) = (RuntimeKind::Docker, engine(RuntimeKind::Docker));
    let (ended, other) = (unique("image"), unique("image"));
    let (endless, short) = (seconds(), seconds());
    let sleeper = |seconds: &str| context(&run(&format!("/bin/busybox sleep {seconds}")));
    let (first, second) = (sleeper(&endless), sleeper(&short));
    let (first, second) = (build_of(&first, &ended), build_of(&second, &other));
    let mut going_on = engine.build_image(&second, None);
    tokio::select! {
        outcome = engine.build_image(&first, None) => panic!("{kind} {outcome:?}"),
        outcome = &mut going_on => panic!("{kind} {outcome:?}"),
        () = wait_for("both builds", kind, || processes(&endless) > 0 && processes(&short) > 0) => {}
    }
    wait_for("the end of the first", kind, || processes(&endless) == 0).await;
    assert!(processes(&short) > 0, "{kind}: the other goes on");
    drop(going_on);
    wait_for("the end of the other", kind, || processes(&short) == 0).await;
    assert!(engine.image(&ended).await.is_err() && engine.image(&other).await.is_err(), "{kind}");
}

#[tokio::test]
async fn podman_ends_a_build_that_is_dropped_with_the_step_that_runs() {
    let (kind, engine, tag) = (RuntimeKind::Podman, engine(RuntimeKind::Podman), unique("image"));
    let next = seconds();
    let steps = format!("{}RUN [\"/bin/busybox\", \"sleep\", \"{next}\"]\n", run("/bin/busybox sleep 4.0625"));
    let dir = context(&steps);
    let build = build_of(&dir, &tag);
    tokio::select! {
        outcome = engine.build_image(&build, None) => panic!("{kind} {outcome:?}"),
        () = wait_for("the first step", kind, || processes("4.0625") > 0) => {}
    }
    wait_for("the end of the first step", kind, || processes("4.0625") == 0).await;
    let goes_on = timeout(Duration::from_secs(2), wait_for("nothing", kind, || processes(&next) > 0)).await;
    assert!(goes_on.is_err(), "it goes on with the next step");
    assert!(engine.image(&tag).await.is_err());
}

/// A step that reads a build secret, and takes all of its context along.
fn secretive(command: &str) -> String {
    format!(
        "{BUSYBOX}COPY . /all\nRUN --mount=type=secret,id=token,required=true [\"/bin/busybox\", \"sh\", \"-c\", \
         \": {}; {command}\"]\n",
        unique("build")
    )
}

#[tokio::test]
async fn a_build_secret_is_there_for_its_step_and_in_no_layer_nor_in_what_is_told() {
    let secret = unique("tr0ub4dor");
    for kind in KINDS {
        let (engine, tag) = (engine(kind), unique("image"));
        let show = "/bin/busybox wc -c /run/secrets/token; /bin/busybox find /all -name '*secret*'";
        let dir = context(&secretive(show));
        let secrets = [("token".to_owned(), Secret::new(secret.clone()))].into();
        let build = BuildImage { secrets, ..build_of(&dir, &tag) };
        assert!(!format!("{build:?}").contains(&secret));
        let (told, received) = mpsc::channel(64);
        let (outcome, lines) = tokio::join!(engine.build_image(&build, Some(told)), lines(received));
        outcome.unwrap();
        let size = format!("{} /run/secrets/token", secret.len());
        assert!(lines.contains(&size), "{kind}: {lines:?}");
        assert!(!lines.iter().any(|line| line.contains(&secret) || line.contains("/all/")), "{kind}: {lines:?}");
        assert!(!saved(kind, &tag).windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{kind}");
        let left = Command::new("grep").args(["-rlF", &secret, "/var/tmp"]).output().unwrap();
        assert!(left.stdout.is_empty(), "{kind}: {}", String::from_utf8_lossy(&left.stdout));
        // Another date, or what was built before is taken.
        let dir = context(&secretive("true"));
        let without = engine.build_image(&build_of(&dir, &tag), None).await.unwrap_err();
        assert!(
            matches!(&without, RuntimeError::Build { reason, .. } if reason.contains("token")),
            "{kind} {without:?}"
        );
        remove_image(kind, &tag);
    }
}

/// The image's configuration and all its layers, not compressed.
fn saved(kind: RuntimeKind, tag: &str) -> Vec<u8> {
    let program = if kind == RuntimeKind::Docker { "docker" } else { "podman" };
    let saved = Command::new(program).args(["save", tag]).output().unwrap();
    assert!(saved.status.success() && saved.stdout.len() > 100_000, "{}", String::from_utf8_lossy(&saved.stderr));
    saved.stdout
}

#[tokio::test]
async fn what_only_buildkit_understands_is_built_by_it_and_fails_with_the_step_and_its_last_lines() {
    let (kind, engine, tag) = (RuntimeKind::Docker, engine(RuntimeKind::Docker), unique("image"));
    let mounted = |command: &str| run(command).replace("RUN [", "RUN --mount=type=cache,target=/cache [");
    let dir = context(&mounted("echo compiling; echo x.c has no main; exit 3"));
    let failed = engine.build_image(&build_of(&dir, &tag), None).await.unwrap_err();
    let RuntimeError::Build { reason, .. } = &failed else { panic!("{failed:?}") };
    assert!(reason.contains("exit code: 3") && reason.contains("\nin [stage-0 2/2] RUN --mount"), "{reason}");
    assert!(reason.ends_with("which said last:\ncompiling\nx.c has no main"), "{reason}");
    let bounded =
        BuildImage { resources: Resources { memory: Some(64 << 20), ..Resources::default() }, ..build_of(&dir, &tag) };
    let refused = engine.build_image(&bounded, None).await.unwrap_err();
    assert!(refused.to_string().contains("takes no bounds"), "{refused}");
    std::fs::write(dir.path().join("Dockerfile"), "FROM scratch\nRUN --mount=type=odd make\n").unwrap();
    let odd = engine.build_image(&build_of(&dir, &tag), None).await.unwrap_err();
    assert!(matches!(&odd, RuntimeError::Build { reason, .. } if reason.contains("odd")), "{odd:?}");
    let kept = seconds();
    std::fs::write(dir.path().join("Dockerfile"), mounted(&format!("/bin/busybox sleep {kept}"))).unwrap();
    let build = build_of(&dir, &tag);
    tokio::select! {
        outcome = engine.build_image(&build, None) => panic!("{outcome:?}"),
        () = wait_for("the step", kind, || processes(&kept) > 0) => {}
    }
    wait_for("the end of what nobody waits for", kind, || processes(&kept) == 0).await;
    assert!(engine.image(&tag).await.is_err());
}
