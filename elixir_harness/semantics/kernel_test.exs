defmodule Semantics.KernelTest do
  @moduledoc "The kernel functions that shells, observers and Elixir's own modules ask a node for."
  use Harness.Semantics

  defp call(node, m, f, a), do: :rpc.call(node, m, f, a)

  test "the node and its names", %{node: node} do
    server = whereis!(node, AppState)
    assert node == call(node, :erlang, :node, [])
    assert node == call(node, :erlang, :node, [server])
    assert node() == call(node, :erlang, :node, [self()])
    assert node() == call(node, :erlang, :node, [make_ref()])

    registered = call(node, :erlang, :registered, [])
    for name <- [AppState, PortManager, Command.Supervisor, :net_kernel, :rex], do: assert(name in registered)
    assert Enum.uniq(registered) == registered
    for name <- [:net_kernel, :rex], do: assert(is_pid(call(node, :erlang, :whereis, [name])))
    assert :undefined == call(node, :erlang, :whereis, [:nobody_here])
  end

  # The frame of a function of the emulator holds the arguments.
  test "what is wrong for a function of the emulator is badarg, with the arguments", %{node: node} do
    server = whereis!(node, AppState)

    wrong = [
      node: [:no_pid],
      whereis: ["text"],
      nodes: [:nonsense],
      is_process_alive: [self()],
      is_process_alive: [:no_pid],
      process_info: [self(), :status],
      process_info: [server, :nonsense],
      process_info: [server, [:nonsense]],
      process_info: [:no_pid],
      system_time: [:nonsense],
      system_time: [0],
      monotonic_time: [-1],
      memory: [:nonsense],
      statistics: [:nonsense],
      system_info: [:nonsense],
      function_exported: ["text", :get, 1],
      function_exported: [AppState, "get", 1],
      module_loaded: ["text"],
      send: [:nobody_here, :hello],
      send: ["text", :hello],
      send: [self(), :hello, [:nonsense]],
      exit: [:no_pid, :because]
    ]

    for {f, a} <- wrong do
      assert {:badrpc, {:EXIT, {:badarg, [{:erlang, ^f, ^a, info} | _]}}} = call(node, :erlang, f, a)
      assert Keyword.keyword?(info)
    end
  end

  test "processes", %{node: node} do
    server = whereis!(node, AppState)
    processes = call(node, :erlang, :processes, [])
    assert server in processes
    assert Enum.all?(processes, &(is_pid(&1) and node(&1) == node))
    assert true == call(node, :erlang, :is_process_alive, [server])
    assert false == call(node, :erlang, :is_process_alive, [dead!(node)])
    [one, other] = for _ <- 1..2, do: call(node, :erlang, :self, [])
    assert node(one) == node
    assert one != other
    refute one in call(node, :erlang, :processes, [])
  end

  test "items of a process", %{node: node} do
    server = whereis!(node, AppState)
    runner = runner!(node)
    item = fn pid, name -> call(node, :erlang, :process_info, [pid, name]) end
    assert {:registered_name, AppState} == item.(server, :registered_name)
    assert [] == item.(runner, :registered_name)
    assert [registered_name: []] == item.(runner, [:registered_name])
    assert [registered_name: AppState, status: :waiting] == item.(server, [:registered_name, :status])
    assert [] == item.(server, [])
    assert {:status, :waiting} == item.(server, :status)
    assert {:message_queue_len, 0} == item.(server, :message_queue_len)
    assert {:messages, []} == item.(server, :messages)
    assert {:trap_exit, false} == item.(server, :trap_exit)
    assert {:trap_exit, true} == item.(whereis!(node, Command.Supervisor), :trap_exit)
    assert {:priority, :normal} == item.(server, :priority)
    assert {:monitors, []} == item.(server, :monitors)
    assert {:initial_call, {:proc_lib, :init_p, 5}} == item.(server, :initial_call)
    assert {:current_function, {:gen_server, :loop, arity}} = item.(server, :current_function)
    assert is_integer(arity)
    assert {:current_stacktrace, [{:gen_server, :loop, ^arity, _} | _]} = item.(server, :current_stacktrace)
    assert {:memory, memory} = item.(server, :memory)
    assert memory > 0
    assert {:reductions, reductions} = item.(server, :reductions)
    assert reductions > 0
    assert {:links, [supervisor]} = item.(server, :links)
    assert node(supervisor) == node
    assert {:group_leader, leader} = item.(server, :group_leader)
    assert node(leader) == node
    assert {:dictionary, dictionary} = item.(server, :dictionary)
    assert {AppState, :init, 1} == dictionary[:"$initial_call"]
    assert [_ | _] = dictionary[:"$ancestors"]
    assert :undefined == item.(dead!(node), :status)
  end

  test "all of a process", %{node: node} do
    server = whereis!(node, AppState)

    keys = [
      :registered_name,
      :current_function,
      :initial_call,
      :status,
      :message_queue_len,
      :links,
      :dictionary,
      :trap_exit,
      :error_handler,
      :priority,
      :group_leader,
      :total_heap_size,
      :heap_size,
      :stack_size,
      :reductions,
      :garbage_collection,
      :suspending
    ]

    assert keys == Keyword.keys(call(node, :erlang, :process_info, [server]))
    assert tl(keys) == Keyword.keys(call(node, :erlang, :process_info, [runner!(node)]))
    assert :undefined == call(node, :erlang, :process_info, [dead!(node)])
  end

  test "the process of a call knows its client", %{node: node} do
    assert Process.group_leader() == call(node, :erlang, :group_leader, [])
    assert Process.group_leader() == :erpc.call(node, :erlang, :group_leader, [])
  end

  test "time", %{node: node} do
    for {unit, parts} <- [second: 1, millisecond: 1_000, microsecond: 1_000_000, nanosecond: 1_000_000_000] do
      here = System.system_time(unit)
      there = call(node, :erlang, :system_time, [unit])
      assert abs(there - here) < 5 * parts
      assert is_integer(call(node, :erlang, :monotonic_time, [unit]))
    end

    assert is_integer(call(node, :erlang, :system_time, []))
    assert is_integer(call(node, :erlang, :system_time, [10]))
    [one, other] = for _ <- 1..2, do: call(node, :erlang, :monotonic_time, [])
    assert one <= other
    {year, month, day} = call(node, :erlang, :date, [])
    assert {:ok, _} = Date.new(year, month, day)
    {hour, minute, second} = call(node, :erlang, :time, [])
    assert {:ok, _} = Time.new(hour, minute, second)
  end

  test "memory and statistics", %{node: node} do
    kinds = [:total, :processes, :processes_used, :system, :atom, :atom_used, :binary, :code, :ets]
    memory = call(node, :erlang, :memory, [])
    assert kinds == Keyword.keys(memory)
    assert Enum.all?(memory, fn {_, bytes} -> is_integer(bytes) and bytes >= 0 end)
    assert memory[:total] > 0
    assert memory[:total] >= memory[:system]
    assert call(node, :erlang, :memory, [:total]) > 0
    assert [:ets, :total] == Keyword.keys(call(node, :erlang, :memory, [[:ets, :total]]))

    assert {total, since} = call(node, :erlang, :statistics, [:wall_clock])
    assert is_integer(total) and is_integer(since) and total > 0
    assert {runtime, since} = call(node, :erlang, :statistics, [:runtime])
    assert is_integer(runtime) and is_integer(since)
    assert {{:input, input}, {:output, output}} = call(node, :erlang, :statistics, [:io])
    assert input > 0 and output > 0
  end

  test "the system", %{node: node} do
    info = fn key -> call(node, :erlang, :system_info, [key]) end
    assert info.(:otp_release) |> List.to_integer() >= 25
    assert [_ | _] = info.(:version)
    assert info.(:system_version) |> List.last() == ?\n
    assert 8 == info.(:wordsize)
    assert info.(:process_count) > 0
    assert info.(:process_limit) > info.(:process_count)
    assert info.(:schedulers) > 0
    assert info.(:schedulers_online) > 0
    assert {:unix, :linux} == info.(:os_type)
    assert [_ | _] = info.(:system_architecture)
    assert is_integer(info.(:creation))
  end

  test "which functions there are", %{node: node} do
    exported = fn m, f, a -> call(node, :erlang, :function_exported, [m, f, a]) end
    assert true == exported.(AppState, :get, 1)
    assert true == exported.(AppState, :get, 2)
    assert true == exported.(AppState, :module_info, 0)
    assert false == exported.(AppState, :get, 3)
    assert false == exported.(AppState, :nope, 0)
    assert false == exported.(Nope, :nope, 0)
    assert true == call(node, :erlang, :module_loaded, [AppState])
    assert false == call(node, :erlang, :module_loaded, [Nope])
  end

  test "modules", %{node: node} do
    assert {:module, AppState} == call(node, :code, :ensure_loaded, [AppState])
    assert {:module, :erlang} == call(node, :code, :ensure_loaded, [:erlang])
    assert {:error, :nofile} == call(node, :code, :ensure_loaded, [Nope])
    assert {:file, [_ | _]} = call(node, :code, :is_loaded, [AppState])
    assert false == call(node, :code, :is_loaded, [Nope])
    assert [_ | _] = call(node, :code, :which, [AppState])
    assert :non_existing == call(node, :code, :which, [Nope])
    assert {:badrpc, {:EXIT, {:function_clause, _}}} = call(node, :code, :ensure_loaded, ["text"])
  end

  test "what a module tells of itself", %{node: node} do
    info = fn args -> call(node, AppState, :module_info, args) end
    assert AppState == info.([:module])
    assert [:module, :exports, :attributes, :compile, :md5] == info.([]) |> Keyword.keys()
    exports = info.([:exports])
    for export <- [get: 1, get: 2, module_info: 0, module_info: 1, __info__: 1], do: assert(export in exports)
    assert [] == exports -- info.([:functions])
    assert Keyword.keyword?(info.([:attributes]))
    assert Keyword.keyword?(info.([:compile]))
    assert <<_::128>> = info.([:md5])
    assert {:badrpc, {:EXIT, {:badarg, _}}} = info.([:nonsense])

    info = fn key -> call(node, AppState, :__info__, [key]) end
    assert AppState == info.(:module)
    functions = info.(:functions)
    for function <- [get: 1, get: 2, list: 0, list: 1], do: assert(function in functions)
    assert functions == Enum.sort(functions)
    refute Keyword.has_key?(functions, :module_info)
    refute Keyword.has_key?(functions, :__info__)
    assert [] == info.(:macros)
    assert nil == info.(:struct)
    assert [] == info.(:deprecated)
    assert Keyword.keyword?(info.(:attributes))
    assert <<_::128>> = info.(:md5)
    assert {:badrpc, {:EXIT, {:function_clause, [{AppState, _, [:nonsense], _} | _]}}} = info.(:nonsense)
  end

  test "applications, ticks and versions", %{node: node} do
    assert :undefined == call(node, :application, :get_env, [:nothing, :nothing])
    assert :default == call(node, :application, :get_env, [:nothing, :nothing, :default])
    applications = call(node, :application, :which_applications, [])
    assert [_ | _] = applications

    for {name, description, version} <- applications do
      assert is_atom(name) and is_list(description) and is_list(version)
    end

    assert 60 == call(node, :net_kernel, :get_net_ticktime, [])
    assert {:ok, _} = Version.parse(call(node, System, :version, []))
    assert is_binary(call(node, System, :otp_release, []))
    assert is_integer(call(node, System, :system_time, [:second]))
    assert is_binary(call(node, System, :pid, []))
  end

  test "messages that the node's functions send", %{node: node} do
    me = self()
    assert :hello == call(node, :erlang, :send, [me, :hello])
    assert_receive :hello, 5_000
    assert :ok == call(node, :erlang, :send, [me, :hello, []])
    assert_receive :hello, 5_000
    assert :ok == call(node, :erlang, :send, [me, :hello, [:noconnect, :nosuspend]])
    assert_receive :hello, 5_000
    Process.register(me, :semantics_receiver)
    assert :hello == call(node, :erlang, :send, [{:semantics_receiver, node()}, :hello])
    assert_receive :hello, 5_000
    assert :hello == call(node, :erlang, :send, [{:nobody_here, node()}, :hello])
    assert :hello == call(node, :erlang, :send, [{:nobody_here, node}, :hello])
    assert :hello == call(node, :erlang, :send, [AppState, :hello])
    assert :hello == call(node, :erlang, :send, [dead!(node), :hello])

    ref = make_ref()
    request = {:"$gen_call", {me, ref}, :get_range}

    for to <- [PortManager, {PortManager, node}, whereis!(node, PortManager)] do
      assert request == call(node, :erlang, :send, [to, request])
      assert_receive {^ref, {_low, _high}}, 5_000
    end

    assert [] == mailbox()
  end

  test "states and statuses through functions", %{node: node} do
    assert is_map(call(node, :sys, :get_state, [AppState]))
    assert is_map(call(node, :sys, :get_state, [AppState, 5_000]))
    assert {:status, _, {:module, :gen_server}, _} = call(node, :sys, :get_status, [AppState])

    for {f, a} <- [get_state: [:nobody_here], get_state: [:nobody_here, 100], get_status: [:nobody_here]] do
      assert {:badrpc, {:EXIT, {:noproc, {:sys, f, a}}}} == call(node, :sys, f, a)
    end
  end
end
