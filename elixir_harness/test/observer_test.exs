defmodule ObserverTest do
  @moduledoc """
  What `:observer` and `etop` ask a node for, with the arguments that `observer_wx`, `observer_sys_wx`, `observer_pro_wx`,
  `observer_procinfo`, `observer_perf_wx`, `observer_app_wx` and `observer_tv_wx` give. Answers have the shape of those of a
  BEAM node, which is this one; figures are those of the system. Needs no display, and `runtime_tools` alone.
  """
  use Harness.Case

  alias Otturnaut.{AppState, PortManager}

  @compile {:no_warn_undefined, [:appmon_info, :observer_backend]}

  # Figures that there are none of here; observer shows them as not available.
  @unknown [:atom_limit, :atom_count, :port_limit, :ets_limit]

  # observer_procinfo, item_list/0.
  @items [
    :binary,
    :catchlevel,
    :current_function,
    :error_handler,
    :garbage_collection,
    :group_leader,
    :heap_size,
    :initial_call,
    :last_calls,
    :links,
    :memory,
    :message_queue_len,
    :monitored_by,
    :monitors,
    :priority,
    :reductions,
    :registered_name,
    :sequential_trace_token,
    :stack_size,
    :status,
    :suspending,
    :total_heap_size,
    :trace,
    :trap_exit
  ]

  setup_all do
    # Mix leaves out what no application of the project needs.
    for path <- Path.wildcard("#{:code.lib_dir()}/runtime_tools-*/ebin"),
        do: :code.add_pathz(String.to_charlist(path))

    assert {:module, :observer_backend} == :code.ensure_loaded(:observer_backend),
           "runtime_tools is not installed"

    :ok
  end

  test "a node is offered, and accepted", %{node: node} do
    assert :pong == :net_adm.ping(node)
    assert node in Node.list(:connected)
    assert {:module, :observer_backend} == :rpc.call(node, :code, :ensure_loaded, [:observer_backend])

    for {function, arity} <- [procs_info: 1, etop_collect: 1, get_port_list: 0, fetch_stats: 2] do
      assert true == :rpc.call(node, :erlang, :function_exported, [:observer_backend, function, arity])
    end

    # What is asked before the log is viewed: observer says that it cannot be.
    refute List.keymember?(:rpc.block_call(node, :application, :which_applications, []), :sasl, 0)
  end

  test "the system has the keys of a BEAM node, and values of their types", %{node: node} do
    there = :rpc.call(node, :observer_backend, :sys_info, [])
    here = :observer_backend.sys_info()
    assert Keyword.keys(here) == Keyword.keys(there)

    for {{key, wanted}, {key, value}} <- Enum.zip(here, there) do
      if key in @unknown,
        do: assert({key, :undefined} == {key, value}),
        else: assert({key, type(wanted)} == {key, type(value)})
    end

    # Observer divides by the sizes of allocators: it gets none.
    assert [sys_alloc: false] == there[:alloc_info]
  end

  test "its figures are those of the system", %{node: node, rig: rig} do
    pid = rig.agent.process.os_pid
    info = fn -> :rpc.call(node, :observer_backend, :sys_info, []) end
    first = info.()
    assert_in_delta first[:total], resident(pid), 0.1 * first[:total]
    assert_in_delta first[:code], resident(pid, "RssFile"), 0.1 * first[:total]
    assert first[:total] == first[:processes] + first[:system]
    assert first[:processes] > 0 and first[:code] <= first[:system]
    assert_in_delta first[:total], :rpc.call(node, :erlang, :memory, [:total]), 0.1 * first[:total]

    assert_in_delta first[:uptime], age(pid), 10_000

    # Runners of other tests may be about to end.
    Wait.until("as many processes as there are", fn ->
      info.()[:process_count] == length(:rpc.call(node, :erlang, :processes, []))
    end)

    assert first[:process_count] < first[:process_limit]
    # There are others besides, for what blocks.
    assert first[:schedulers] in 1..Enum.count(threads(pid), &(&1 =~ "tokio"))

    assert first[:logical_processors_online] ==
             length(Regex.scan(~r/^processor\s/m, File.read!("/proc/cpuinfo")))

    assert first[:logical_processors_available] <= first[:logical_processors_online]
    assert first[:wordsize_external] == 8

    text = String.duplicate("x", 100_000)
    assert {:badrpc, _} = :rpc.call(node, :nobody, :takes, [text])
    second = info.()
    assert (second[:io_input] - first[:io_input]) in 100_000..200_000
    assert second[:io_output] > first[:io_output]
    assert second[:uptime] >= first[:uptime]
  end

  test "the list of processes comes whole before its sender ends", %{node: node} do
    Process.flag(:trap_exit, true)
    {:ok, runner} = call(node, Otturnaut.Command, :run_async, ["sleep", ["60"]])
    {backend, there} = processes(node)
    {_, here} = processes(node())

    for process <- there do
      assert type(hd(here)) == type(process)
      assert {:etop_proc_info, pid, memory, turns, name, 0, {_, _, _}, waiting} = process
      assert node(pid) == node and pid != backend
      assert memory > 0 and turns > 0 and waiting >= 0
      assert is_atom(name) or match?({_, _, _}, name)
    end

    Wait.until("the processes that there are", fn ->
      {_, listed} = processes(node)

      Enum.sort(for process <- listed, do: elem(process, 1)) ==
        Enum.sort(:rpc.call(node, :erlang, :processes, []))
    end)

    assert {_, pid, _, _, AppState, _, {:gen_server, :loop, _}, 0} = find(there, 4, AppState)
    assert pid == :rpc.call(node, :erlang, :whereis, [AppState])
    for name <- [PortManager, :net_kernel, :rex], do: assert(find(there, 4, name))
    assert {_, _, _, _, {_, _, _} = initial, _, initial, 0} = find(there, 1, runner)
    assert {:initial_call, initial} == :rpc.call(node, :erlang, :process_info, [runner, :initial_call])

    call(node, Otturnaut.Command, :cancel, [runner])
    Wait.until("the runner to leave", fn -> find(elem(processes(node), 1), 1, runner) == nil end)
  end

  test "messages that wait are seen, and what they take", %{node: node} do
    Process.flag(:trap_exit, true)
    look = fn -> node |> processes() |> elem(1) |> find(4, PortManager) end
    before = look.()
    :ok = :sys.suspend({PortManager, node})
    text = String.duplicate("x", 10_000)
    for number <- 1..3, do: send({PortManager, node}, {:stray, number, text})
    suspended = look.()
    assert {0, 3} == {elem(before, 7), elem(suspended, 7)}
    assert (elem(suspended, 2) - elem(before, 2)) in 29_000..32_000

    pid = elem(suspended, 1)
    assert {:message_queue_len, 3} == :rpc.call(node, :erlang, :process_info, [pid, :message_queue_len])
    assert {:messages, messages} = :rpc.call(node, :erlang, :process_info, [pid, :messages])
    assert for(number <- 1..3, do: {:stray, number, text}) == messages

    :ok = :sys.resume({PortManager, node})
    resumed = look.()
    assert elem(resumed, 7) == 0
    # Monitors of callers come and go.
    assert_in_delta elem(resumed, 2), elem(before, 2), 1_000
    assert elem(resumed, 3) >= elem(before, 3) + 3
    assert {:messages, []} == :rpc.call(node, :erlang, :process_info, [pid, :messages])
  end

  test "what the arguments of a call take is seen", %{node: node} do
    Process.flag(:trap_exit, true)
    run = fn size -> [Otturnaut.Command, :run, ["sh", ["-c", "sleep 60", String.duplicate("x", size)]]] end
    [small, large] = for size <- [1, 50_000], do: apply(Node, :spawn, [node | run.(size)])
    {_, seen} = processes(node)
    assert (elem(find(seen, 1, large), 2) - elem(find(seen, 1, small), 2)) in 49_000..51_000
    for pid <- [small, large], do: Process.exit(pid, :kill)
  end

  test "the window of a process", %{node: node} do
    {:ok, runner} = call(node, Otturnaut.Command, :run_async, ["sleep", ["60"]])
    server = :rpc.call(node, :erlang, :whereis, [AppState])
    here = :erlang.process_info(self(), @items)
    ask = fn pid, item -> :erpc.call(node, :erlang, :process_info, [pid, item]) end

    for pid <- [server, runner, :rpc.call(node, :erlang, :whereis, [:rex])] do
      there = ask.(pid, @items)
      assert @items == Keyword.keys(there)

      for {{key, wanted}, {key, value}} <- Enum.zip(here, there),
          key not in [:registered_name, :garbage_collection] do
        assert {key, type(wanted)} == {key, type(value)}
      end

      assert {:messages, []} == ask.(pid, :messages)
      assert {:dictionary, dictionary} = ask.(pid, :dictionary)
      assert {_, _, _} = dictionary[:"$initial_call"]
      assert {:current_stacktrace, frames} = ask.(pid, :current_stacktrace)
      assert Enum.all?(frames, &match?({_, _, _, _}, &1))
      assert :undefined == :erpc.call(node, :proc_lib, :get_label, [pid])
    end

    assert 8 == :erpc.call(node, :erlang, :system_info, [:wordsize])
    assert {:registered_name, AppState} == ask.(server, :registered_name)
    assert [] == ask.(runner, :registered_name)
    key = {:dictionary, :"$initial_call"}

    assert [{key, {AppState, :init, 1}}, {{:dictionary, :nothing}, :undefined}] ==
             ask.(server, [key, {:dictionary, :nothing}])

    # The state is asked for only where it can be given.
    assert {AppState, :init, 1} == :rpc.call(node, :proc_lib, :translate_initial_call, [server])
    assert {:proc_lib, :init_p, 5} == :rpc.call(node, :proc_lib, :translate_initial_call, [runner])
    assert Keyword.keyword?(:rpc.call(node, AppState, :module_info, [:attributes]))
    status = :rpc.call(node, :sys, :get_status, [server, 200])
    assert {:status, _, {:module, _}, [_, _, _, _, [_header, {:data, _}, {:data, _} | _]]} = status

    call(node, Otturnaut.Command, :cancel, [runner])
    Wait.until("the runner to leave", fn -> ask.(runner, @items) == :undefined end)
  end

  test "load charts get their figures at the interval, until they say so", %{node: node} do
    Process.flag(:trap_exit, true)
    started = System.monotonic_time(:millisecond)
    backend = Node.spawn_link(node, :observer_backend, :fetch_stats, [self(), 200])
    [first, second] = for _ <- 1..2, do: stats()
    assert System.monotonic_time(:millisecond) - started >= 400
    assert {:stats, 1, schedulers, {{:input, _}, {:output, output}}, memory} = first
    assert {:stats, 1, later, {{:input, _}, {:output, more}}, _} = second
    assert Keyword.keys(:erlang.memory()) == Keyword.keys(memory)
    assert more > output

    assert Enum.map(schedulers, &elem(&1, 0)) ==
             Enum.to_list(1..:rpc.call(node, :erlang, :system_info, [:schedulers]))

    for {{id, active, total}, {id, active_later, total_later}} <- Enum.zip(schedulers, later) do
      assert active_later >= active and total_later > total
      assert active_later - active <= total_later - total + 50_000_000
    end

    assert 0 == :rpc.call(node, :erlang, :system_info, [:dirty_cpu_schedulers])
    send(backend, :exit)
    assert_receive {:EXIT, ^backend, :normal}, 5_000
  end

  test "load charts end with whoever looks, however that ends", %{node: node} do
    me = self()

    for reason <- [:normal, :kill] do
      looker =
        spawn(fn ->
          send(me, {:backend, Node.spawn_link(node, :observer_backend, :fetch_stats, [self(), 100])})
          send(me, stats())
          receive do: (:end -> :ok)
        end)

      assert_receive {:backend, backend}, 5_000
      assert_receive {:stats, 1, _, _, _}, 5_000
      assert :rpc.call(node, :erlang, :is_process_alive, [backend])
      if reason == :normal, do: send(looker, :end), else: Process.exit(looker, :kill)
      Wait.until("the charts to end", fn -> not :rpc.call(node, :erlang, :is_process_alive, [backend]) end)
    end
  end

  test "etop gets its figures", %{node: node} do
    Process.flag(:trap_exit, true)
    [there, here] = for at <- [node, node()], do: etop(at)
    assert tuple_size(there) == tuple_size(here)
    assert {:etop_info, {_, _, _}, count, :undefined, [{1, _, _} | _], queue, [], memory, processes} = there
    assert count == length(processes) and is_integer(queue)
    assert [:total, :processes, :ets, :atom, :code, :binary] == Keyword.keys(memory)
    assert Enum.all?(processes, &(elem(&1, 0) == :etop_proc_info))
  end

  test "tables, ports and sockets: there are none", %{node: node} do
    options = [sys_hidden: true, unread_hidden: true]
    assert [] == :rpc.call(node, :observer_backend, :get_table_list, [:ets, options])

    for what <- [:get_port_list, :get_socket_list, :socket_info],
        do: assert([] == :rpc.call(node, :observer_backend, what, []))

    assert {:error, text} = :rpc.call(node, :observer_backend, :get_table_list, [:mnesia, options])
    assert {:error, wanted} = :rpc.call(node(), :observer_backend, :get_table_list, [:mnesia, options])
    assert String.replace("#{wanted}", "#{node()}", "#{node}") == "#{text}"
  end

  test "the application and the tree of its processes", %{node: node} do
    Process.flag(:trap_exit, true)
    {:ok, backend} = :appmon_info.start_link(node, self(), [])
    :appmon_info.app_ctrl(backend, node, true, [])

    assert_receive {:delivery, ^backend, :app_ctrl, ^node, [{master, :otturnaut, {:otturnaut, _, version}}]},
                   5_000

    assert to_string(version) == :rpc.call(node, Otturnaut, :version, [])

    :appmon_info.app(backend, :otturnaut, true, [])
    assert_receive {:delivery, ^backend, :app, :otturnaut, {root, processes, links, []}}, 5_000
    assert {^master, ^root} = List.keyfind(processes, master, 0)
    names = for {_, name} <- processes, do: name
    assert names == Enum.uniq(names)
    assert Enum.sort([root | for({_, child} <- links, do: child)]) == Enum.sort(names)
    for name <- [AppState, Otturnaut.Command.Supervisor], do: assert({root, ~c"#{name}"} in links)

    # What begins is told by itself.
    {:ok, runner} = call(node, Otturnaut.Command, :run_async, ["sleep", ["60"]])
    assert_receive {:delivery, ^backend, :app, :otturnaut, {_, changed, links, []}}, 10_000
    assert {^runner, name} = List.keyfind(changed, runner, 0)
    assert {~c"#{Otturnaut.Command.Supervisor}", name} in links
    call(node, Otturnaut.Command, :cancel, [runner])

    :appmon_info.app(backend, :nothing, true, [])
    assert_receive {:delivery, ^backend, :app, :nothing, {[], [], [], []}}, 5_000
    :appmon_info.app_ctrl(backend, node, false, [])
    Wait.until("the tree to end", fn -> not :rpc.call(node, :erlang, :is_process_alive, [backend]) end)
  end

  test "the tree ends with the observer", %{node: node} do
    me = self()

    observer =
      spawn(fn ->
        {:ok, backend} = :appmon_info.start_link(node, self(), [])
        send(me, {:backend, backend})
        receive do: (:end -> :ok)
      end)

    assert_receive {:backend, backend}, 5_000
    assert :rpc.call(node, :erlang, :is_process_alive, [backend])
    send(observer, :end)
    Wait.until("the tree to end", fn -> not :rpc.call(node, :erlang, :is_process_alive, [backend]) end)
  end

  test "observers do not keep the agent from its end" do
    Process.flag(:trap_exit, true)
    agent = own_agent!()
    charts = Node.spawn_link(agent.node, :observer_backend, :fetch_stats, [self(), 100])
    assert {:stats, 1, _, _, _} = stats()
    {:ok, tree} = :appmon_info.start_link(agent.node, self(), [])
    watch = Process.monitor(tree)
    stopping = Task.async(fn -> Agent.stop(agent) end)
    assert_receive {:EXIT, ^charts, :normal}, 5_000
    assert_receive {:DOWN, ^watch, :process, ^tree, :normal}, 5_000
    Task.await(stopping, 60_000)
  end

  test "only so many trees are looked at" do
    agent = own_agent!()
    start = fn -> :appmon_info.start_link(agent.node, self(), []) end
    trees = for _ <- 1..64, do: start.()
    assert Enum.all?(trees, &match?({:ok, _}, &1))
    assert {:error, :system_limit} == start.()
    for {:ok, tree} <- trees, do: Process.exit(tree, :kill)
    Wait.until("room for another", fn -> match?({:ok, _}, start.()) end)
  end

  test "what no observer asks for is refused", %{node: node} do
    for {function, args} <- [
          procs_info: [:nobody],
          etop_collect: ["text"],
          fetch_stats: [self(), -1],
          fetch_stats: [1, 1]
        ] do
      assert {:badrpc, {:EXIT, {:badarg, _}}} = :rpc.call(node, :observer_backend, function, args)
    end

    assert {:badrpc, {:EXIT, {:badarg, _}}} =
             :rpc.call(node, :appmon_info, :start_link2, [:nobody, self(), []])
  end

  # As observer_pro_wx gets them: parts, then the end of who sent them.
  defp processes(node, sofar \\ nil) do
    backend = sofar || Node.spawn_link(node, :observer_backend, :procs_info, [self()])

    receive do
      {:procs_info, ^backend, processes} -> {backend, processes ++ elem(processes(node, backend), 1)}
      {:EXIT, ^backend, reason} when reason == :normal -> {backend, []}
    after
      5_000 -> flunk("no processes of #{node}")
    end
  end

  defp etop(node) do
    collector = Node.spawn_link(node, :observer_backend, :etop_collect, [self()])
    assert_receive {^collector, info}, 5_000
    assert_receive {:EXIT, ^collector, :normal}, 5_000
    info
  end

  defp stats do
    receive do
      {:stats, _, _, _, _} = stats -> stats
    after
      5_000 -> flunk("no figures")
    end
  end

  defp find(processes, at, value), do: List.keyfind(processes, value, at)

  defp type(value) do
    cond do
      is_boolean(value) -> :boolean
      is_integer(value) -> :integer
      is_atom(value) -> :atom
      is_list(value) -> :list
      is_pid(value) -> :pid
      is_tuple(value) and is_atom(elem(value, 0)) -> {elem(value, 0) == :etop_proc_info, tuple_size(value)}
      true -> :other
    end
  end

  # Bytes.
  defp resident(pid, what \\ "VmRSS") do
    [_, kib] = Regex.run(~r/^#{what}:\s+(\d+) kB/m, File.read!("/proc/#{pid}/status"))
    String.to_integer(kib) * 1024
  end

  # Milliseconds since the process began.
  defp age(pid) do
    [_, rest] = File.read!("/proc/#{pid}/stat") |> String.split(") ", parts: 2)
    ticks = rest |> String.split() |> Enum.at(19) |> String.to_integer()
    [up | _] = File.read!("/proc/uptime") |> String.split()
    trunc(String.to_float(up) * 1_000) - ticks * 10
  end

  defp threads(pid), do: for(path <- Path.wildcard("/proc/#{pid}/task/*/comm"), do: File.read!(path))
end
