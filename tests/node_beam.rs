//! The node, driven by real BEAM nodes.

mod support;

use std::time::Duration;

use otturnaut::node::{Node, NodeError};
use otturnaut::term::Atom;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use support::{Beam, free_port, settings, start};

/// A node that serves EPMD on a port of its own, and the script run against it.
async fn drive(script: &str) {
    let epmd_port = free_port();
    let node = start(settings(epmd_port)).await;
    Beam::new(epmd_port).run(node.name(), script).await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_found_pinged_and_hidden() {
    drive(
        r#"
        :pong = Node.ping(node)
        [] = Node.list()
        [^node] = Node.list(:hidden)
        true = is_list(:net_adm.names() |> elem(1))
        :pang = Node.ping(:"nobody@127.0.0.1")
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_called_by_rpc_and_erpc() {
    drive(
        r#"
        3 = :rpc.call(node, Trial, :add, [1, 2])
        3 = :erpc.call(node, Trial, :add, [1, 2])
        "slept" = :rpc.call(node, Trial, :sleep, [10])
        {:badrpc, :timeout} = :rpc.call(node, Trial, :sleep, [60_000], 50)
        3 = :rpc.block_call(node, Trial, :add, [1, 2])
        "slept" = :rpc.block_call(node, Trial, :sleep, [10])
        {[3], []} = :rpc.multicall([node], Trial, :add, [1, 2])
        [{:ok, 3}] = :erpc.multicall([node], Trial, :add, [1, 2])
        true = :rpc.cast(node, Trial, :add, [1, 2])
        :ok = :erpc.cast(node, Trial, :sleep, [1])
        request = :erpc.send_request(node, Trial, :sleep, [20])
        "slept" = :erpc.receive_response(request)
        key = :rpc.async_call(node, Trial, :add, [4, 5])
        9 = :rpc.yield(key)
        results = 1..64 |> Enum.map(&Task.async(fn -> :erpc.call(node, Trial, :add, [&1, 1]) end)) |> Task.await_many()
        true = results == Enum.to_list(2..65)
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_come_back_as_they_went() {
    drive(
        r#"
        terms = [
          nil, :atom, :"with space", String.to_atom(String.duplicate("ж", 255)), 0, -1, 255, 256, -2_147_483_649,
          1.5, -0.0, 123_456_789_012_345_678_901_234_567_890, -Integer.pow(2, 3000), "", "text", <<1::3>>, <<255, 1::1>>,
          [], [1, 2], [-1], ~c"chars", [1 | :improper], Enum.to_list(1..70_000), {}, List.to_tuple(Enum.to_list(1..300)),
          %{}, %{:a => 1, "b" => [%{1 => 1.0, 1.0 => 1}]}, DateTime.utc_now(), self(), make_ref(), hd(Port.list()),
          &Enum.map/2, fn x -> x end, :binary.copy(<<7>>, 3_000_000), Map.new(1..1000, &{&1, &1})
        ]
        for term <- terms, do: (^term = :erpc.call(node, Trial, :echo, [term]))
        ^terms = :rpc.call(node, Trial, :echo, [terms])
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_undef_as_on_a_beam_node() {
    drive(
        r#"
        {:badrpc, {:EXIT, {:undef, [{Nope, :nope, [1, "x"], []}]}}} = :rpc.call(node, Nope, :nope, [1, "x"])
        {:badrpc, {:EXIT, {:undef, [{Trial, :add, [1], []}]}}} = :rpc.call(node, Trial, :add, [1])
        try do
          :erpc.call(node, Trial, :nope, [])
          raise "it must not return"
        catch
          :error, {:exception, :undef, [{Trial, :nope, [], []}]} -> :ok
        end
        {:badrpc, {:EXIT, {:undef, _}}} = :rpc.block_call(node, Nope, :nope, [])
        false = :rpc.call(node, :erlang, :function_exported, [Trial, :add, 1])
        true = :rpc.call(node, :erlang, :function_exported, [Trial, :add, 2])
        {:error, :nofile} = :rpc.call(node, :code, :ensure_loaded, [Nope])
        {:module, Trial} = :rpc.call(node, :code, :ensure_loaded, [Trial])
        functions = :rpc.call(node, Trial, :__info__, [:functions])
        true = {:add, 2} in functions and {:sleep, 1} in functions
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_throws_exits_and_panics_are_the_callers_alone() {
    drive(
        r#"
        {:badrpc, {:EXIT, {%ArgumentError{message: "a and b: wanted integers"}, [{Trial, :add, 2, []}]}}} =
          :rpc.call(node, Trial, :add, [:x, 1])
        :thrown = :rpc.call(node, Trial, :throw, [:thrown])
        :thrown = catch_throw = try do :erpc.call(node, Trial, :throw, [:thrown]) catch :throw, t -> t end
        _ = catch_throw
        {:badrpc, {:EXIT, :gone}} = :rpc.call(node, Trial, :exit, [:gone])
        {:exception, :gone} = try do :erpc.call(node, Trial, :exit, [:gone]) catch :exit, e -> e end
        for panicking <- [:panic, :late_panic] do
          {:badrpc, {:EXIT, {%RuntimeError{message: "the agent failed: " <> _}, _}}} = :rpc.call(node, Trial, panicking, [])
        end
        for unsendable <- [:unsendable, :late_unsendable] do
          {:badrpc, {:EXIT, {%ArgumentError{message: "the answer cannot be sent: " <> _}, _}}} =
            :rpc.call(node, Trial, unsendable, [])
        end
        3 = :rpc.call(node, Trial, :add, [1, 2])
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registered_servers_are_called_cast_and_looked_into() {
    drive(
        r#"
        1 = GenServer.call({:counter, node}, :next)
        :ok = GenServer.cast({:counter, node}, 41)
        42 = GenServer.call({:counter, node}, :next)
        42 = :sys.get_state({:counter, node})
        {:status, pid, {:module, :gen_server}, [dictionary, :running, parent, [], misc]} = :sys.get_status({:counter, node})
        ^pid = :rpc.call(node, :erlang, :whereis, [:counter])
        {Counter, :init, 1} = dictionary[:"$initial_call"]
        ^parent = :rpc.call(node, :erlang, :whereis, [Trial.Supervisor])
        'Status for generic server counter' = misc[:header]
        [{'State', 42}] = misc |> Keyword.get_values(:data) |> List.last()
        {[{^node, 43}], []} = GenServer.multi_call([node], :counter, :next)
        pid = :rpc.call(node, :erlang, :whereis, [:counter])
        44 = GenServer.call(pid, :next)
        {:noproc, _} = try do GenServer.call({:nobody, node}, :next) catch :exit, e -> e end
        {{:function_clause, _}, _} = try do GenServer.call({:counter, node}, :what) catch :exit, e -> e end
        {{%ArgumentError{message: "raised"}, _}, _} = try do GenServer.call({:counter, node}, :raise) catch :exit, e -> e end
        {{%RuntimeError{}, _}, _} = try do GenServer.call({:counter, node}, :panic) catch :exit, e -> e end
        {{:badarg, _}, _} = try do GenServer.call({:counter, node}, :unsendable) catch :exit, e -> e end
        45 = GenServer.call({:counter, node}, :next)
        send({:nobody, node}, :dropped)
        send({:counter, node}, :dropped)
        46 = GenServer.call({:counter, node}, :next)
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_is_started_anew_under_its_name_and_its_watchers_hear_why() {
    drive(
        r"
        whereis = fn -> :rpc.call(node, :erlang, :whereis, [:counter]) end
        down = fn ref, pid -> receive do {:DOWN, ^ref, :process, ^pid, reason} -> reason after 5_000 -> :silent end end
        Process.flag(:trap_exit, true)
        for {signal, seen} <- [kill: :killed, shutdown: :shutdown, because: :because] do
          pid = whereis.()
          ref = Process.monitor(pid)
          by_name = Process.monitor({:counter, node})
          Process.link(pid)
          Process.exit(pid, :normal)
          true = :rpc.call(node, :erlang, :is_process_alive, [pid])
          Process.exit(pid, signal)
          ^seen = down.(ref, pid)
          ^seen = down.(by_name, {:counter, node})
          receive do {:EXIT, ^pid, ^seen} -> :ok end
          new = whereis.()
          true = is_pid(new) and new != pid
          ref = Process.monitor(pid)
          :noproc = down.(ref, pid)
        end
        pid = whereis.()
        ref = Process.monitor(pid)
        {{:function_clause, _}, _} = try do GenServer.call(pid, :what) catch :exit, e -> e end
        {:function_clause, _} = down.(ref, pid)
        pid = whereis.()
        owner = spawn(fn -> Process.link(pid); receive do :die -> exit(:died) end end)
        eventually.(fn -> {:links, l} = :rpc.call(node, :erlang, :process_info, [pid, :links]); owner in l end)
        ref = Process.monitor(pid)
        send(owner, :die)
        :died = down.(ref, pid)
        for name <- [:rex, :net_kernel, Trial.Supervisor] do
          Process.exit(:rpc.call(node, :erlang, :whereis, [name]), :kill)
        end
        :pong = Node.ping(node)
        3 = :rpc.block_call(node, Trial, :add, [1, 2])
        [{:counter, child, :worker, [Counter]}] = Supervisor.which_children({Trial.Supervisor, node})
        ^child = whereis.()
        1 = GenServer.call({:counter, node}, :next)
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_server_keeps_its_messages_until_it_is_resumed() {
    drive(
        r"
        server = {:counter, node}
        :ok = :sys.suspend(server)
        {:timeout, _} = try do GenServer.call(server, :next, 100) catch :exit, e -> e end
        task = Task.async(fn -> GenServer.call(server, :next) end)
        eventually.(fn -> :rpc.call(node, :erlang, :process_info, [:rpc.call(node, :erlang, :whereis, [:counter]),
          :message_queue_len]) == {:message_queue_len, 2} end)
        0 = :sys.get_state(server)
        {:status, _, _, [_, :suspended | _]} = :sys.get_status(server)
        nil = Task.yield(task, 50)
        :ok = :sys.resume(server)
        2 = Task.await(task)
        3 = GenServer.call(server, :next)
        ref = Process.monitor(server)
        :ok = :sys.terminate(server, :enough)
        receive do {:DOWN, ^ref, :process, ^server, :enough} -> :ok end
        4 = GenServer.call(server, :next)
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_links_and_exit_signals_work_as_between_beam_nodes() {
    drive(
        r"
        ref = Process.monitor({:nobody, node})
        receive do {:DOWN, ^ref, :process, {:nobody, ^node}, :noproc} -> :ok end
        pid = Node.spawn(node, Trial, :sleep, [60_000])
        true = :rpc.call(node, :erlang, :is_process_alive, [pid])
        ref = Process.monitor(pid)
        Process.exit(pid, :normal)
        true = :rpc.call(node, :erlang, :is_process_alive, [pid])
        Process.exit(pid, :enough)
        receive do {:DOWN, ^ref, :process, ^pid, :enough} -> :ok end
        false = :rpc.call(node, :erlang, :is_process_alive, [pid])
        {pid, ref} = :erlang.spawn_opt(node, Trial, :sleep, [60_000], [:monitor])
        Process.exit(pid, :kill)
        receive do {:DOWN, ^ref, :process, ^pid, :killed} -> :ok end
        {pid, ref} = :erlang.spawn_opt(node, Trial, :sleep, [1], [:monitor])
        receive do {:DOWN, ^ref, :process, ^pid, :normal} -> :ok end
        {pid, ref} = :erlang.spawn_opt(node, Nope, :nope, [], [:monitor])
        receive do {:DOWN, ^ref, :process, ^pid, {:undef, [{Nope, :nope, [], []}]}} -> :ok end
        Process.flag(:trap_exit, true)
        pid = Node.spawn_link(node, Trial, :sleep, [60_000])
        Process.exit(pid, :linked)
        receive do {:EXIT, ^pid, :linked} -> :ok end
        pid = Node.spawn(node, Trial, :sleep, [60_000])
        Process.link(pid)
        Process.unlink(pid)
        Process.link(pid)
        owner = spawn(fn -> Process.link(pid); receive do :die -> exit(:died) end end)
        eventually.(fn -> {:links, l} = :rpc.call(node, :erlang, :process_info, [pid, :links]); length(l) == 2 end)
        send(owner, :die)
        receive do {:EXIT, ^pid, :died} -> :ok end
        dead = spawn(fn -> :ok end)
        ref = Process.monitor(dead)
        receive do {:DOWN, ^ref, _, _, _} -> :ok end
        :noproc = :rpc.call(node, Trial, :down, [dead])
        watched = spawn(fn -> receive do :go -> exit(:went) end end)
        task = Task.async(fn -> :rpc.call(node, Trial, :down, [watched]) end)
        eventually.(fn -> {:monitored_by, l} = Process.info(watched, :monitored_by); length(l) == 1 end)
        send(watched, :go)
        :went = Task.await(task)
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_in_order_and_a_slow_reader_slows_the_sender() {
    drive(
        r#"
        me = self()
        task = Task.async(fn -> :rpc.call(node, Trial, :send_many, [me, 100_000], :infinity) end)
        for n <- 0..99_999, do: (receive do {:n, ^n} -> :ok after 20_000 -> raise "message #{n} is missing" end)
        :ok = Task.await(task, :infinity)
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_tells_the_truth_of_the_node() {
    drive(
        r#"
        call = fn m, f, a -> :rpc.call(node, m, f, a) end
        ^node = call.(:erlang, :node, [])
        [] = call.(:erlang, :nodes, [])
        true = Node.self() in call.(:erlang, :nodes, [:connected])
        true = is_pid(call.(:erlang, :self, []))
        names = call.(:erlang, :registered, [])
        true = :counter in names and :net_kernel in names and :rex in names
        :undefined = call.(:erlang, :whereis, [:nobody])
        true = length(call.(:erlang, :processes, [])) >= 3
        pid = call.(:erlang, :whereis, [:counter])
        {:registered_name, :counter} = call.(:erlang, :process_info, [pid, :registered_name])
        info = call.(:erlang, :process_info, [pid])
        {:proc_lib, :init_p, 5} = info[:initial_call]
        {Counter, :init, 1} = info[:dictionary][:"$initial_call"]
        true = call.(:erlang, :memory, [:total]) > 1_000_000
        true = is_integer(call.(:erlang, :memory, [])[:total])
        '27' = call.(:erlang, :system_info, [:otp_release])
        {up, _} = call.(:erlang, :statistics, [:wall_clock])
        true = up >= 0
        {_, _} = call.(:erlang, :statistics, [:runtime])
        true = abs(call.(:erlang, :system_time, [:second]) - System.system_time(:second)) < 5
        true = is_integer(call.(:erlang, :monotonic_time, []))
        {_, _, _} = call.(:erlang, :date, [])
        60 = call.(:net_kernel, :get_net_ticktime, [])
        :undefined = call.(:application, :get_env, [:kernel, :x])
        :d = call.(:application, :get_env, [:kernel, :x, :d])
        [{:otturnaut, _, '0.0.0'}] = call.(:application, :which_applications, [])
        "0.0.0" = call.(System, :version, [])
        0 = call.(:sys, :get_state, [:counter])
        {:badrpc, {:EXIT, {:badarg, _}}} = call.(:erlang, :whereis, ["text"])
        me = self()
        :hello = call.(:erlang, :send, [me, :hello])
        receive do :hello -> :ok end
        :ok = call.(:init, :stop, [])
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_stop_asks_the_program_to_end() {
    let epmd_port = free_port();
    let settings = settings(epmd_port);
    let stop = settings.stop.clone();
    let node = start(settings).await;
    Beam::new(epmd_port).run(node.name(), ":ok = :rpc.call(node, :init, :stop, [])").await;
    assert!(stop.is_cancelled());
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cookie_is_refused() {
    let epmd_port = free_port();
    let node = start(settings(epmd_port)).await;
    let stranger = Beam { cookie: "another".to_owned(), ..Beam::new(epmd_port) };
    stranger.run(node.name(), "false = Node.connect(node)\n:pang = Node.ping(node)").await;
    Beam::new(epmd_port).run(node.name(), ":pong = Node.ping(node)").await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_strangers_and_noise_keep_nobody_out() {
    let epmd_port = free_port();
    let mut settings = settings(epmd_port);
    let dist_port = free_port();
    settings.dist_port = Some(dist_port);
    let node = start(settings).await;
    let mut strangers = Vec::new();
    for n in 0..300 {
        let mut stranger = TcpStream::connect(("127.0.0.1", dist_port)).await.unwrap();
        if n % 3 == 0 {
            stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        }
        strangers.push(stranger);
    }
    Beam::new(epmd_port).run(node.name(), ":pong = Node.ping(node)\n3 = :rpc.call(node, Trial, :add, [1, 2])").await;
    drop(strangers);
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_peer_is_served() {
    let epmd_port = free_port();
    let node = start(settings(epmd_port)).await;
    let hidden = Beam { hidden: true, ..Beam::new(epmd_port) };
    hidden.run(node.name(), "3 = :rpc.call(node, Trial, :add, [1, 2])").await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_comes_back_under_its_name_is_served_again() {
    let epmd_port = free_port();
    let node = start(settings(epmd_port)).await;
    let beam = Beam::new(epmd_port);
    for _ in 0..2 {
        beam.run(
            node.name(),
            "3 = :rpc.call(node, Trial, :add, [1, 2])\ntrue = Node.disconnect(node)\n:pong = Node.ping(node)",
        )
        .await;
    }
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_dials_its_peer_and_comes_back_when_the_link_is_lost() {
    let epmd_port = free_port();
    let beam = Beam::new(epmd_port);
    let mut settings = settings(epmd_port);
    settings.peer = Some(Atom::new(&beam.name).unwrap());
    let node = start(settings).await;
    let script = r#"
        eventually.(fn -> node in Node.list(:hidden) end)
        :net_kernel.monitor_nodes(true, node_type: :all)
        true = Node.disconnect(node)
        receive do {:nodeup, ^node, _} -> :ok after 10_000 -> raise "it did not come back" end
        3 = :rpc.call(node, Trial, :add, [1, 2])
    "#;
    beam.run(node.name(), script).await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_by_a_host_name_is_dialled_at_the_address_that_its_epmd_has() {
    let epmd_port = free_port();
    let beam = Beam { name: format!("{}@localhost", support::unique("beam")), ..Beam::new(epmd_port) };
    let mut settings = settings(epmd_port);
    settings.name = Atom::new(format!("{}@localhost", support::unique("rust"))).unwrap();
    settings.peer = Some(Atom::new(&beam.name).unwrap());
    let node = start(settings).await;
    let short = Beam { short: true, ..beam };
    short.run(node.name(), "eventually.(fn -> node in Node.list(:hidden) end)").await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_another_node_has_is_refused_at_the_start() {
    let epmd_port = free_port();
    let first = start(settings(epmd_port)).await;
    let mut same = settings(epmd_port);
    same.name = first.name().clone();
    let refused = Node::register(same).await;
    assert!(matches!(refused, Err(NodeError::NameTaken { .. })));
    first.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_the_epmd_that_the_first_serves() {
    let epmd_port = free_port();
    let (first, second) = (start(settings(epmd_port)).await, start(settings(epmd_port)).await);
    let script = format!(
        ":pong = Node.ping(node)\n:pong = Node.ping(:\"{}\")\n{{:ok, names}} = :net_adm.names()\ntrue = length(names) == 3",
        second.name()
    );
    Beam::new(epmd_port).run(first.name(), &script).await;
    // The first goes, and its EPMD with it: the second serves in its place.
    first.shutdown(Duration::from_secs(1)).await;
    Beam::new(epmd_port).run(second.name(), "eventually.(fn -> Node.ping(node) == :pong end)").await;
    second.shutdown(Duration::from_secs(1)).await;
}
