//! The commands, as an operator types them, beside a real agent, Docker and Caddy. What they print is compared with
//! `tests/snapshots`; `SNAPSHOTS=write` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends there"
)]

#[path = "support/caddy.rs"]
mod caddy;
#[path = "support/commands.rs"]
mod commands;
#[path = "support/ports.rs"]
mod ports;

use std::time::Duration;

use caddy::{Caddy, OLD};
use commands::{Outpost, Ran, http, image, masked, on_terminal, snapshot, wait_for};
use otturnaut::cli::ExitCode;

const BINARY: &str = env!("CARGO_BIN_EXE_otturnaut");

/// What a machine without an agent says.
fn alone(args: &[&str]) -> Ran {
    commands::run(args, &[("OTTURNAUT_DATA_DIR", "/nowhere"), ("OTTURNAUT_ENV_FILE", "/nowhere/env")], "")
}

#[test]
fn help_teaches_by_examples() {
    for (name, args) in [
        ("help", vec!["--help"]),
        ("help_start", vec!["help", "start"]),
        ("help_rpc", vec!["rpc", "--help"]),
        ("help_deploy", vec!["deploy", "--help"]),
        ("help_logs", vec!["logs", "--help"]),
        ("help_rollback", vec!["rollback", "--help"]),
    ] {
        let ran = alone(&args);
        assert_eq!((ran.code, ran.error.as_str()), (ExitCode::Ok as i32, ""));
        snapshot(name, &ran.output);
    }
}

#[test]
fn wrong_arguments_are_told_with_what_is_right() {
    let cases = [
        ("wrong_command", vec!["depoly"]),
        ("wrong_deploy", vec!["deploy", "shop"]),
        ("wrong_since", vec!["logs", "shop", "--since", "10x"]),
        ("wrong_port", vec!["deploy", "shop", "--image", "shop:1", "--port", "0"]),
        // It says which commit of a repository; an image has none.
        ("wrong_ref", vec!["deploy", "shop", "--image", "shop:1", "--port", "80", "--ref", "main"]),
        // What only the agent knows to be wrong.
        ("wrong_name", vec!["deploy", "my shop", "--image", "shop:1", "--port", "80"]),
        ("wrong_wait", vec!["stop", "--timeout", "18446744073709551615"]),
    ];
    let outpost = Outpost::start(None);
    for (name, args) in cases {
        let ran = outpost.run(&args);
        assert_eq!(ran.code, ExitCode::Usage as i32, "{ran:?}");
        snapshot(name, &ran.error);
    }
}

#[test]
fn a_log_that_would_say_nothing_is_refused() {
    let given =
        [("RELEASE_NODE", "a@127.0.0.1"), ("RELEASE_COOKIE", "a-cookie-of-a-test"), ("OTTURNAUT_LOG", "warning")];
    let ran = commands::run(&["start"], &given, "");
    let said = "otturnaut: OTTURNAUT_LOG is \"warning\", which is no level: use error, warn, info, debug or trace\n";
    assert_eq!((ran.code, ran.error.as_str()), (ExitCode::Usage as i32, said));
}

#[test]
fn without_an_agent_every_command_says_so_and_ends_with_69() {
    let commands = [
        vec!["ping"],
        vec!["pid"],
        vec!["stop"],
        vec!["restart"],
        vec!["rpc", "1"],
        vec!["remote"],
        vec!["apps"],
        vec!["logs", "shop"],
        vec!["rollback", "shop"],
        vec!["undeploy", "shop"],
        vec!["deploy", "shop", "--image", "shop:1", "--port", "80"],
    ];
    for args in commands {
        let ran = alone(&args);
        assert_eq!(ran.code, ExitCode::Unavailable as i32, "{args:?}: {ran:?}");
        assert_eq!(ran.output, "");
        snapshot("no_agent", &ran.error);
    }
}

#[test]
fn the_version_and_the_pid_of_the_running_agent_are_printed() {
    let outpost = Outpost::start(None);
    for args in [["version"], ["--version"]] {
        assert_eq!(outpost.run(&args).output, format!("otturnaut {}\n", env!("CARGO_PKG_VERSION")));
    }
    assert_eq!(outpost.run(&["pid"]).output, format!("{}\n", outpost.pid()));
    let ping = outpost.run(&["ping"]);
    assert_eq!((ping.code, ping.output.as_str(), ping.error.as_str()), (0, "", ""));
}

#[test]
fn an_expression_is_evaluated_in_the_running_agent() {
    let outpost = Outpost::start(None);
    let printed = |args: &[&str]| {
        let ran = outpost.run(args);
        assert_eq!((ran.code, ran.error.as_str()), (0, ""));
        ran.output
    };
    assert_eq!(printed(&["rpc", "1 + 1"]), "2\n");
    assert_eq!(printed(&["eval", "Otturnaut.AppState.list()"]), "[]\n");
    assert_eq!(printed(&["rpc", "IO.puts(\"hello\")"]), "hello\n");
    assert_eq!(printed(&["rpc", "IO.puts(\"hello\"); :done"]), "hello\n:done\n");
    assert_eq!(printed(&["rpc", ":ok"]), ":ok\n");
    assert_eq!(printed(&["rpc", "-1"]), "-1\n");
    assert_eq!(printed(&["rpc", "[:last]", "--json"]), "[\n  \"last\"\n]\n");
    assert_eq!(
        printed(&["rpc", "--json", "%{a: [1, nil, {:ok, \"x\"}]}"]),
        "{\n  \"a\": [\n    1,\n    null,\n    [\n      \"ok\",\n      \"x\"\n    ]\n  ]\n}\n"
    );
    let failed = outpost.run(&["rpc", "Otturnaut.Nothing.here(1)"]);
    assert_eq!(failed.code, ExitCode::Failure as i32);
    snapshot("rpc_undefined", &failed.error);
    let open = outpost.run(&["rpc", "Enum.map([1"]);
    assert_eq!(open.code, ExitCode::Usage as i32);
    snapshot("rpc_incomplete", &open.error);
}

/// A script of bash with what the commands are given, and the program as `$0`.
fn script(outpost: &Outpost, script: &str) -> Ran {
    let given = format!("OTTURNAUT_DATA_DIR={}", outpost.data().display());
    commands::program("env", &[&given, "RELEASE_NODE=a@b", "bash", "-c", script, BINARY], "")
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let outpost = Outpost::start(None);
    let many = "rpc 'Enum.each(1..100_000, fn n -> IO.puts(n) end)'";
    let ran = script(&outpost, &format!("set -o pipefail; \"$0\" {many} | head -n 1"));
    assert_eq!((ran.code, ran.output.as_str(), ran.error.as_str()), (0, "1\n", ""));
    // Of the doctor's word its exit code stays.
    let ran = script(&outpost, "\"$0\" doctor | true; exit ${PIPESTATUS[0]}");
    assert_eq!((ran.code, ran.error.contains("from its work")), (1, true), "{ran:?}");
    // A full disk is one.
    let ran = script(&outpost, "\"$0\" apps > /dev/full");
    assert_eq!((ran.code, ran.error.as_str()), (1, "otturnaut: No space left on device (os error 28)\n"));
}

#[test]
fn an_agent_that_is_stopped_or_hangs_is_not_waited_for() {
    let outpost = Outpost::start(None);
    let pid = outpost.pid().to_string();
    assert_eq!(commands::program("kill", &["-STOP", &pid], "").code, 0);
    let begun = std::time::Instant::now();
    let asked = ["ping", "pid", "apps", "stop", "restart", "rpc 1", "logs shop", "undeploy shop", "remote"];
    std::thread::scope(|threads| {
        let asking = asked.map(|command| {
            let outpost = outpost.environment(&[]);
            threads.spawn(move || commands::run(&command.split(' ').collect::<Vec<_>>(), &outpost, ""))
        });
        for (command, ran) in asked.iter().zip(asking.map(|ran| ran.join().unwrap())) {
            assert_eq!((ran.code, ran.output.as_str()), (ExitCode::Unavailable as i32, ""), "{command}: {ran:?}");
            assert!(ran.error.contains("does not answer in time: it is stopped, or hangs"), "{command}: {ran:?}");
        }
    });
    // The image's health check hears the answer, rather than be cut off.
    let dockerfile = include_str!("../Dockerfile");
    let timeout = dockerfile.split_once("--timeout=").and_then(|(_, rest)| rest.split_once('s')).unwrap().0;
    assert!(begun.elapsed() < Duration::from_secs(timeout.parse().unwrap()), "{:?}", begun.elapsed());
    let found = outpost.run(&["doctor"]).output;
    assert!(found.starts_with("FAIL agent ") && found.contains("-> kill -CONT, "), "{found}");
    assert!(found.contains("where it is the agent itself, see to that first"), "{found}");
    assert_eq!(commands::program("kill", &["-CONT", &pid], "").code, 0);
    assert_eq!(outpost.run(&["ping"]).code, 0);
}

#[test]
fn the_table_of_exit_codes_is_the_same_everywhere() {
    let rows =
        |text: &str, of: &dyn Fn(&str) -> Option<(String, String)>| text.lines().filter_map(of).collect::<Vec<_>>();
    let number = |code: &str| code.parse::<u8>().ok().map(|code| code.to_string());
    let in_help = |line: &str| {
        let (code, text) = line.strip_prefix("  ")?.split_once(' ')?;
        Some((number(code)?, text.trim().to_owned()))
    };
    let in_readme = |line: &str| {
        let (code, text) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        Some((number(code)?, text.to_owned()))
    };
    let help = rows(&alone(&["help"]).output, &in_help);
    let codes = [ExitCode::Ok, ExitCode::Failure, ExitCode::Usage, ExitCode::Unavailable];
    assert_eq!(
        help.iter().map(|(code, _)| code.clone()).collect::<Vec<_>>(),
        codes.map(|code| (code as u8).to_string())
    );
    assert_eq!(rows(include_str!("../README.md"), &in_readme), help);
    let manual = alone(&["man"]).output.replace('\\', "");
    for (code, text) in help {
        assert!(manual.lines().any(|line| line.contains(&code) && line.contains(&text)), "{code} {text}");
    }
}

#[test]
fn a_user_who_may_not_read_the_settings_is_told_so() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let file = dir.path().join("otturnaut.env");
    std::fs::write(&file, "RELEASE_NODE=outpost1@10.0.0.5\n").unwrap();
    let of_file = format!("OTTURNAUT_ENV_FILE={}", file.display());
    let other =
        ["--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", &of_file, "XDG_STATE_HOME=/nowhere", BINARY];
    let run = |command: &str| commands::program("setpriv", &[&other[..], &[command]].concat(), "");
    // Whoever is not root cannot be another; nor may another run what lies below a home.
    if run("version").code != 0 {
        return;
    }
    let ran = run("apps");
    let said = format!("{} may name another place, and this user may not read it; try it as root\n", file.display());
    assert!(ran.code == ExitCode::Unavailable as i32 && ran.error.ends_with(&said), "{ran:?}");
}

#[test]
fn a_shell_reads_lines_from_a_pipe() {
    let outpost = Outpost::start(None);
    let ran = outpost.run_with(&["remote"], "x = [1,\n2, 3]\nEnum.sum(x)\nv(1)\nnope\nexit\n:not_read\n");
    assert_eq!((ran.code, ran.error.as_str()), (0, ""));
    snapshot("remote", &ran.output);
}

#[test]
fn a_shell_on_a_terminal_has_a_prompt_and_completes() {
    let outpost = Outpost::start(None);
    let mut terminal = on_terminal(&outpost, "remote");
    terminal.waits_for(")1> ");
    terminal.types("Otturnaut.AppS\t");
    terminal.waits_for("Otturnaut.AppState");
    terminal.types(".list()\r");
    terminal.waits_for("[]");
    terminal.waits_for(")2> ");
    terminal.types("nope()\r");
    // An error is red.
    terminal.waits_for("\x1b[31m");
    terminal.waits_for("undefined function nope/0");
    // A line that failed is not counted.
    terminal.waits_for(")2> ");
    terminal.types("\x04");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn colours_are_for_terminals_and_no_color_takes_them_away() {
    let outpost = Outpost::start(None);
    assert!(!outpost.run(&["doctor"]).output.contains('\x1b'));
    let mut coloured = on_terminal(&outpost, "doctor");
    coloured.waits_for("\x1b[3");
    let mut plain = commands::on_terminal_with(&outpost, "doctor", &[("NO_COLOR", "1")]);
    plain.ends();
    assert!(plain.text().contains("epmd") && !plain.text().contains('\x1b'), "{:?}", plain.text());
}

#[test]
fn a_restart_keeps_the_process_and_begins_a_new_life() {
    let outpost = Outpost::start(None);
    let started = |outpost: &Outpost| outpost.run(&["rpc", "Otturnaut.Status.status().started_at"]).output;
    let before = started(&outpost);
    let ran = outpost.run(&["restart"]);
    assert_eq!((ran.code, ran.error.as_str()), (0, ""));
    assert_eq!(outpost.run(&["pid"]).output, format!("{}\n", outpost.pid()));
    assert_ne!(started(&outpost), before);
}

#[test]
fn a_stop_waits_for_the_end() {
    let mut outpost = Outpost::start(None);
    // Whoever has a shell open is not waited for.
    let mut shell = on_terminal(&outpost, "remote");
    shell.waits_for(")1> ");
    let begun = std::time::Instant::now();
    let ran = outpost.run(&["stop"]);
    assert_eq!((ran.code, ran.error.as_str()), (0, ""));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(outpost.exit_code(), Some(0));
    let log = std::fs::read_to_string(outpost.data().join("log")).unwrap();
    assert!(log.contains("INFO  asked to end"), "{log}");
    assert_eq!(outpost.run(&["ping"]).code, ExitCode::Unavailable as i32);
}

#[test]
fn a_second_agent_does_not_start_in_the_same_directory() {
    let outpost = Outpost::start(None);
    let ran = outpost.run_in(&["start"], &[("RELEASE_NODE", "second@127.0.0.1")]);
    assert_eq!(ran.code, ExitCode::Failure as i32, "{ran:?}");
    assert!(ran.error.lines().all(|line| line.contains("ERROR another agent uses this data directory, ")), "{ran:?}");
    assert_eq!(outpost.run(&["pid"]).output, format!("{}\n", outpost.pid()));
}

#[test]
fn the_environment_of_an_installed_agent_is_found() {
    let outpost = Outpost::start(None);
    let file = outpost.data().join("outpost.env");
    std::fs::write(&file, format!("# of the service\nOTTURNAUT_DATA_DIR=\"{}\"\n", outpost.data().display())).unwrap();
    let ran = commands::run(&["ping"], &[("OTTURNAUT_ENV_FILE", file.to_str().unwrap())], "");
    assert_eq!((ran.code, ran.error.as_str()), (0, ""));
}

#[test]
fn another_user_than_the_agents_may_not_command_it() {
    use std::os::unix::fs::PermissionsExt;
    let outpost = Outpost::start(None);
    let mode = std::fs::metadata(outpost.data().join("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let outpost = Outpost::start(None);
    let ran = outpost.run(&["doctor"]);
    // There is no engine and no Caddy.
    assert_eq!(ran.code, ExitCode::Failure as i32);
    // The clock and the disk are this machine's.
    let of_machine =
        |line: &&str| ["clock", "timesyncd", " disk ", "builds stop first"].iter().any(|word| line.contains(word));
    let lines: Vec<&str> = ran.output.lines().filter(|line| !of_machine(line)).collect();
    snapshot("doctor_bad", &masked(&lines.join("\n"), &outpost));
    assert_eq!(ran.error, "otturnaut: 2 things keep the agent from its work\n");
    let json: serde_json::Value = serde_json::from_str(&outpost.run(&["doctor", "--json"]).output).unwrap();
    let verdict = |check: &str| {
        let found = json.as_array().unwrap().iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("no {check} in {json}"))["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!([verdict("engine"), verdict("caddy"), verdict("epmd"), verdict("agent")], ["fail", "fail", "ok", "ok"]);
    let nothing =
        commands::run(&["doctor"], &[("OTTURNAUT_DATA_DIR", "/nowhere"), ("OTTURNAUT_ENV_FILE", "/nowhere/env")], "");
    assert_eq!(nothing.code, ExitCode::Failure as i32);
    snapshot("doctor_nothing", &nothing.output);
}

#[test]
fn the_doctor_finds_who_has_the_port_of_caddy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let outpost = Outpost::start(None);
    let ran = outpost.run_in(&["doctor"], &[("OTTURNAUT_HTTP_PORT", &port)]);
    let line = ran.output.lines().find(|line| line.contains("port http ")).unwrap().to_owned();
    assert!(line.starts_with("FAIL") && line.contains(&format!("(process {})", std::process::id())), "{line}");
}

#[test]
fn the_doctor_finds_a_data_directory_that_takes_nothing() {
    let outpost = Outpost::start(None);
    let file = outpost.data().join("log").display().to_string();
    let ran = outpost.run_in(&["doctor"], &[("OTTURNAUT_DATA_DIR", &file)]);
    let said = format!("FAIL data directory   {file} cannot be written: Not a directory (os error 20)\n");
    assert!(ran.output.contains(&said), "{}", ran.output);
    // No byte is free there.
    let ran = outpost.run_in(&["doctor"], &[("OTTURNAUT_DATA_DIR", "/proc/otturnaut")]);
    assert!(
        ran.output.contains("FAIL disk             0 B of 0 B free below /proc: nothing can be written\n"),
        "{}",
        ran.output
    );
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let commands = [
        "start",
        "stop",
        "restart",
        "pid",
        "ping",
        "version",
        "rpc",
        "remote",
        "doctor",
        "apps",
        "deploy",
        "logs",
        "rollback",
        "undeploy",
        "completions",
        "man",
    ];
    for args in [["completions", "bash"].as_slice(), &["completions", "zsh"], &["completions", "fish"], &["man"]] {
        let ran = alone(args);
        assert_eq!(ran.code, 0);
        for command in commands {
            let named = ran.output.contains(command) || ran.output.contains(&command.to_uppercase());
            assert!(named, "{args:?} does not name {command}");
        }
    }
    let bash = alone(&["completions", "bash"]).output;
    let checked = commands::program("bash", &["-n"], &bash);
    assert_eq!((checked.code, checked.error.as_str()), (0, ""));
    // The completion itself, as bash asks for it.
    let asked = format!(
        "{bash}\nCOMP_WORDS=(otturnaut roll); COMP_CWORD=1; _otturnaut otturnaut roll otturnaut; echo \"${{COMPREPLY[*]}}\""
    );
    assert_eq!(commands::program("bash", &[], &asked).output, "rollback\n");
}

#[expect(clippy::too_many_lines, reason = "one life of an application, step by step")]
#[test]
fn an_application_is_deployed_looked_at_rolled_back_and_taken_away() {
    let caddy = Caddy::start(OLD, None);
    let outpost = Outpost::start(Some(&caddy));
    let (image, app) = (image(), "clishop".to_owned());
    let domain = format!("{app}.localhost");
    let env_file = outpost.data().join("shop.env");
    std::fs::write(&env_file, "# of the shop\nTOKEN=a \"#{1 + 1}\" b\n").unwrap();
    let base = ["deploy", &app, "--image", &image, "--port", "8080", "--domain", &domain];
    let deploy = |more: &[&str]| outpost.run_in(&[&base[..], more].concat(), &[("SECRET", "from the environment")]);

    let plan = deploy(&["--plan"]);
    assert_eq!((plan.code, plan.error.as_str()), (0, ""));
    snapshot("deploy_plan", &masked(&plan.output, &outpost));

    let first = deploy(&["--env", "PAGE=one", "--env", "SECRET", "--env-file", env_file.to_str().unwrap()]);
    assert_eq!((first.code, first.error.as_str()), (0, ""));
    snapshot("deploy", &masked(&first.output, &outpost));
    // What looks like code stays text.
    let page = http(caddy.settings.http_port, &domain);
    assert!(page.ends_with("one|from the environment|a \"#{1 + 1}\" b\n"), "{page}");

    let apps = outpost.run(&["apps"]).output;
    let rows: Vec<Vec<&str>> = apps.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["APP", "STATUS", "HEALTH", "DEPLOYMENT", "MEMORY", "RESTARTS", "DOMAINS"]);
    assert_eq!(
        (rows.len(), &rows[1][..2], *rows[1].last().unwrap()),
        (2, &["clishop", "running"][..], domain.as_str())
    );
    // The monitor's first look may be before it.
    assert!(["healthy", "unknown"].contains(&rows[1][2]), "{apps}");
    let json: serde_json::Value = serde_json::from_str(&outpost.run(&["apps", "--json"]).output).unwrap();
    assert_eq!(
        (&json[0]["app_id"], &json[0]["status"], &json[0]["domains"][0]),
        (&app.as_str().into(), &"running".into(), &domain.as_str().into())
    );

    // Its steps are for whoever looks.
    let mut looked_at =
        on_terminal(&outpost, &format!("deploy {app} --image {image} --port 8080 --domain {domain} --env PAGE=seen"));
    // In columns.
    let steps = ["allocate_port   ", "start_container ", "health_check    ", "switch_route    "];
    for step in steps.into_iter().chain(["clishop is deployed ("]) {
        looked_at.waits_for(step);
    }
    assert_eq!(looked_at.ends(), 0);

    let second = deploy(&["--env", "PAGE=two", "--health", "/", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&second.output).unwrap();
    assert_eq!(
        (&json[0], &json[1]["status"], &json[1]["env"]),
        (&"ok".into(), &"completed".into(), &serde_json::Value::Null)
    );
    assert!(http(caddy.settings.http_port, &domain).contains("two|"));

    let logs = outpost.run(&["logs", &app, "-n", "1"]);
    assert_eq!((logs.code, logs.output.as_str()), (0, "serving two\n"));
    let logs = outpost.run(&["logs", &app, "-n", "1", "--json"]);
    let line: serde_json::Value = serde_json::from_str(&logs.output).unwrap();
    assert_eq!((&line["line"], &line["stream"]), (&"serving two".into(), &"stdout".into()));

    // A log that is followed goes on with the next version.
    let mut followed = on_terminal(&outpost, &format!("logs -f {app}"));
    followed.waits_for("serving two");
    let back = outpost.run(&["rollback", &app]);
    assert_eq!((back.code, back.error.as_str()), (0, ""));
    snapshot("rollback", &masked(&back.output, &outpost));
    assert!(http(caddy.settings.http_port, &domain).contains("seen|"));
    followed.waits_for("serving seen");
    followed.types("\x03");
    followed.ends();
    // Nor does it break off without a word where the agent ends.
    let mut followed = on_terminal(&outpost, &format!("logs -f {app}"));
    followed.waits_for("serving seen");
    assert_eq!(outpost.run(&["restart"]).code, 0);
    followed.waits_for("otturnaut: the agent ");
    assert_eq!(followed.ends(), ExitCode::Unavailable as i32);

    let failed = outpost.run(&["deploy", &app, "--image", "otturnaut-it/nowhere:1", "--port", "8080"]);
    assert_eq!(failed.code, ExitCode::Failure as i32);
    assert!(failed.error.starts_with("otturnaut: it failed: {:container_start_failed, "), "{failed:?}");
    // Why, for whoever saw no step.
    assert!(failed.error.contains("\notturnaut: docker answered 404: "), "{failed:?}");
    let unknown = outpost.run(&["rollback", &app, "--to", "nowhere"]);
    assert_eq!(unknown.code, ExitCode::Failure as i32);
    assert!(unknown.error.starts_with("otturnaut: clishop has no release nowhere: "), "{unknown:?}");
    assert!(http(caddy.settings.http_port, &domain).contains("seen|"));

    let gone = outpost.run(&["undeploy", &app]);
    assert_eq!((gone.code, gone.error.as_str()), (0, ""));
    snapshot("undeploy", &masked(&gone.output, &outpost));
    assert_eq!(outpost.run(&["apps"]).output, "There are no applications on this outpost.\n");
    for command in ["logs", "rollback", "undeploy"] {
        let ran = outpost.run(&[command, &app]);
        assert_eq!(ran.code, ExitCode::Failure as i32);
        snapshot(&format!("unknown_{command}"), &masked(&ran.error, &outpost));
    }
    wait_for("the route to be gone", || !http(caddy.settings.http_port, &domain).contains("seen|"));
}
