//! The agent and a BEAM node on two machines, between which the network is cut and healed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends there")]

mod support;

use support::agent::{Agent, BINARY};
use support::netns::Network;
use support::{Beam, unique};

/// Seconds: the least that nodes take, and what no test lasts.
const SHORT_TICKS: u16 = 4;
const LONG_TICKS: u16 = 60;
const EPMD_PORT: u16 = 4369;

/// What the scripts share: to cut the network, to heal it, and the functions that they call.
const PRELUDE: &str = r#"
    alias Otturnaut.Command
    iptables = fn args -> {_, 0} = System.cmd("iptables", args) end
    cut = fn ->
      iptables.(~w(-I INPUT ! -i lo -j DROP))
      iptables.(~w(-I OUTPUT ! -o lo -j DROP))
    end
    heal = fn -> for chain <- ["INPUT", "OUTPUT"], do: iptables.(["-F", chain]) end
    alive? = fn os_pid -> File.exists?("/proc/#{os_pid}") end
    # A command that lives as long as this process and the link to it; tells its runner and its process id.
    start = fn ->
      {:ok, runner} = :rpc.call(node, Command, :run_async, ["sh", ["-c", "echo $$; sleep 60; true"]])
      receive do: ({:command_output, ^runner, {:stdout, os_pid}} -> {runner, os_pid})
    end
    _ = {cut, heal, alive?, start}
"#;

/// The agent on the first machine, dialling a BEAM node on the second.
async fn agent(network: &Network, peer: &str, tick_time: u16) -> Agent {
    let [address, _] = network.addresses;
    let mut command = network.command(0, BINARY);
    command.arg("start").env("MISSION_CONTROL_HOST", peer).env("OTTURNAUT_NET_TICKTIME", tick_time.to_string());
    command.env("ERL_EPMD_PORT", EPMD_PORT.to_string());
    Agent::run(&format!("{}@{address}", unique("agent")), command).await
}

fn beam(network: &Network, name: &str, tick_time: u16) -> Beam {
    Beam { name: name.to_owned(), netns: Some(network.name(1)), tick_time, ..Beam::new(EPMD_PORT) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_ends_what_goes_over_it_on_both_sides_and_the_agent_comes_back_by_itself() {
    let network = Network::new();
    let name = format!("{}@{}", unique("beam"), network.addresses[1]);
    let beam = beam(&network, &name, SHORT_TICKS);
    let agent = agent(&network, &name, SHORT_TICKS).await;
    let script = r#"
        eventually.(fn -> node in Node.list(:hidden) end)
        {runner, os_pid} = start.()
        true = alive?.(os_pid)
        waiting = Task.async(fn -> :rpc.call(node, Command, :run, ["sleep", ["60"]]) end)
        ref = Process.monitor(runner)
        named = Process.monitor({Otturnaut.AppState, node})
        Node.monitor(node, true)
        cut.()
        receive do: ({:nodedown, ^node} -> :ok), after: (15_000 -> raise "no nodedown")
        receive do: ({:DOWN, ^ref, :process, ^runner, :noconnection} -> :ok), after: (1_000 -> raise "no DOWN")
        server = {Otturnaut.AppState, node}
        receive do: ({:DOWN, ^named, :process, ^server, :noconnection} -> :ok), after: (1_000 -> raise "no DOWN")
        {:badrpc, :nodedown} = Task.await(waiting)
        # What ran for this node ends over there, too.
        eventually.(fn -> not alive?.(os_pid) end)
        heal.()
        # It comes by itself: nothing here dials.
        eventually.(fn -> node in Node.list(:hidden) end)
        [] = GenServer.call({Otturnaut.AppState, node}, :list)
        # A call goes on whose caller cannot be told, as on every node; a stream does not.
        [called] = Task.Supervisor.children({Command.Supervisor, node})
        true = called != runner
        [me] = :rpc.call(node, :erlang, :nodes, [:hidden])
        true = me == node()
    "#;
    beam.run(&agent.name, &format!("{PRELUDE}{script}")).await;
    assert!(agent.log().contains("the peer was silent for 5 s"), "{}", agent.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_is_healed_in_time_costs_nothing() {
    let network = Network::new();
    let name = format!("{}@{}", unique("beam"), network.addresses[1]);
    let beam = beam(&network, &name, LONG_TICKS);
    let agent = agent(&network, &name, LONG_TICKS).await;
    let script = r#"
        eventually.(fn -> node in Node.list(:hidden) end)
        Node.monitor(node, true)
        cut.()
        call = Task.async(fn -> :rpc.call(node, Command, :run, ["echo", ["late"]]) end)
        nil = Task.yield(call, 1_000)
        heal.()
        %{output: "late\n"} = Task.await(call, 10_000)
        {:messages, []} = Process.info(self(), :messages)
    "#;
    beam.run(&agent.name, &format!("{PRELUDE}{script}")).await;
    assert!(!agent.log().contains("the peer was silent"), "{}", agent.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_machine_went_down_is_served_when_it_is_back_whatever_became_of_its_old_link() {
    let mut network = Network::new();
    let name = format!("{}@{}", unique("beam"), network.addresses[1]);
    let agent = agent(&network, "", LONG_TICKS).await;
    let first = r#"
        :pong = Node.ping(node)
        {_, os_pid} = start.()
        IO.puts("pid #{os_pid}")
        # Not a word more goes out.
        cut.()
    "#;
    let said = beam(&network, &name, LONG_TICKS).run(&agent.name, &format!("{PRELUDE}{first}")).await;
    let os_pid = said.lines().find_map(|line| line.strip_prefix("pid ")).unwrap().to_owned();
    network.power_cycle();
    // A new life of the same name, while the agent still believes in the old one.
    let second = format!(
        r#"
        os_pid = "{os_pid}"
        :pong = Node.ping(node)
        [me] = :rpc.call(node, :erlang, :nodes, [:hidden])
        true = me == node()
        %{{output: "hi\n"}} = :rpc.call(node, Command, :run, ["echo", ["hi"]])
        # What the old life asked for ended with its link.
        eventually.(fn -> not alive?.(os_pid) end)
        [] = Task.Supervisor.children({{Command.Supervisor, node}})
    "#
    );
    beam(&network, &name, LONG_TICKS).run(&agent.name, &format!("{PRELUDE}{second}")).await;
    // It is replaced, unless the new machine has refused by then what was still under way to the old one.
    let log = agent.log();
    assert!(log.contains("the peer connected anew") || log.contains("Connection reset"), "{log}");
    assert!(!log.contains("was silent"), "{log}");
}
