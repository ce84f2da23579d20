defmodule ProcessesTest do
  @moduledoc "Registered servers, monitors, links, exits, sys and the kernel functions."
  use Harness.Case

  alias Otturnaut.{AppState, PortManager}

  test "a name that nobody has is noproc", %{node: node} do
    assert {:noproc, {GenServer, :call, _}} = catch_exit(GenServer.call({Otturnaut.Nobody, node}, :hello))
  end

  test "a request that a server does not know fails that call, the server lives", %{node: node} do
    assert {reason, {GenServer, :call, _}} = catch_exit(GenServer.call({AppState, node}, :what_is_this))
    assert reason != :timeout and reason != :noproc
    assert is_list(GenServer.call({AppState, node}, :list))
  end

  test "casts and stray messages harm nobody", %{node: node} do
    GenServer.cast({AppState, node}, :what_is_this)
    send({AppState, node}, :stray)
    send({Otturnaut.Nobody, node}, :stray)
    assert is_list(GenServer.call({AppState, node}, :list))
  end

  test "GenServer.multi_call reaches the registered server", %{node: node} do
    assert {[{^node, {_low, _high}}], []} = GenServer.multi_call([node], PortManager, :get_range)
  end

  test "a monitor on a name and on a pid", %{node: node} do
    ref = Process.monitor({Otturnaut.Nobody, node})
    assert_receive {:DOWN, ^ref, :process, {Otturnaut.Nobody, ^node}, :noproc}, 30_000

    {:ok, runner} = call(node, Otturnaut.Command, :run_async, ["sleep", ["60"]])
    ref = Process.monitor(runner)
    assert :ok == call(node, Otturnaut.Command, :cancel, [runner])
    assert_receive {:DOWN, ^ref, :process, ^runner, :shutdown}, 30_000

    ref = Process.monitor(runner)
    assert_receive {:DOWN, ^ref, :process, ^runner, :noproc}, 30_000
  end

  test "a monitor that was taken back says nothing", %{node: node} do
    {:ok, runner} = call(node, Otturnaut.Command, :run_async, ["sleep", ["60"]])
    ref = Process.monitor(runner)
    assert true == Process.demonitor(ref, [:flush])
    watch = Process.monitor(runner)
    Process.exit(runner, :kill)
    assert_receive {:DOWN, ^watch, :process, ^runner, :killed}, 30_000
    refute_received {:DOWN, ^ref, _, _, _}
  end

  test "exits end a runner with their reason", %{node: node} do
    for {sent, seen} <- [shutdown: :shutdown, kill: :killed, because: :because] do
      {:ok, runner} = call(node, Otturnaut.Command, :run_async, ["sleep", ["60"]])
      ref = Process.monitor(runner)
      Process.exit(runner, sent)
      assert_receive {:DOWN, ^ref, :process, ^runner, ^seen}, 30_000
    end
  end

  test "a link carries the end of a runner", %{node: node} do
    Process.flag(:trap_exit, true)
    {:ok, runner} = call(node, Otturnaut.Command, :run_async, ["sleep", ["60"]])
    Process.link(runner)
    Process.exit(runner, :because)
    assert_receive {:EXIT, ^runner, :because}, 30_000
  end

  test "the supervisor of commands lists its runners", %{node: node} do
    {:ok, runner} = call(node, Otturnaut.Command, :run_async, ["sleep", ["60"]])
    assert runner in Task.Supervisor.children({Otturnaut.Command.Supervisor, node})
    assert %{active: active} = DynamicSupervisor.count_children({Otturnaut.Command.Supervisor, node})
    assert active >= 1
    call(node, Otturnaut.Command, :cancel, [runner])

    Wait.until("the runner to leave", fn ->
      runner not in Task.Supervisor.children({Otturnaut.Command.Supervisor, node})
    end)
  end

  test "sys shows the state and the status of the servers", %{node: node, app: app} do
    call(node, AppState, :put, [app, %{port: 1}])
    assert %{^app => %{port: 1}} = :sys.get_state({AppState, node})
    assert {:status, _pid, {:module, _}, _items} = :sys.get_status({PortManager, node})
    call(node, AppState, :delete, [app])
  end

  test "a called server can be watched by its pid", %{node: node} do
    pid = call(node, :erlang, :whereis, [AppState])
    assert is_pid(pid) and node(pid) == node
    assert is_list(GenServer.call(pid, :list))
    assert call(node, :erlang, :is_process_alive, [pid])
  end

  test "kernel functions that iex and observers use", %{node: node} do
    assert node == call(node, :erlang, :node, [])
    assert is_pid(call(node, :erlang, :self, []))
    assert AppState in call(node, :erlang, :registered, [])
    assert PortManager in call(node, :erlang, :registered, [])
    assert :undefined == call(node, :erlang, :whereis, [:nobody_at_all])
    assert Enum.all?(call(node, :erlang, :processes, []), &is_pid/1)
    assert call(node, :erlang, :memory, [:total]) > 0
    assert Keyword.keyword?(call(node, :erlang, :memory, []))
    assert {total, _} = call(node, :erlang, :statistics, [:wall_clock])
    assert is_integer(total)
    assert abs(call(node, :erlang, :system_time, [:second]) - System.system_time(:second)) < 60
    assert is_integer(call(node, :erlang, :monotonic_time, []))
    assert {_, _, _} = call(node, :erlang, :date, [])
    assert {_, _, _} = call(node, :erlang, :time, [])
    assert node() in call(node, :erlang, :nodes, [:connected])
    assert is_binary(call(node, System, :version, []))
    assert is_integer(call(node, :erlang, :system_info, [:process_count]))
  end

  test "which functions there are", %{node: node} do
    assert call(node, :erlang, :function_exported, [AppState, :get, 1])
    refute call(node, :erlang, :function_exported, [AppState, :nope, 1])
    assert {:module, AppState} == call(node, :code, :ensure_loaded, [AppState])
    assert {:error, :nofile} == call(node, :code, :ensure_loaded, [Nope])
    assert {:get, 1} in call(node, AppState, :__info__, [:functions])
    assert {:get, 1} in call(node, AppState, :module_info, [:exports])
    assert Enum.any?(call(node, :application, :which_applications, []), &match?({:otturnaut, _, _}, &1))
  end

  test "process_info and group leaders", %{node: node} do
    pid = call(node, :erlang, :whereis, [AppState])
    assert {:registered_name, AppState} == call(node, :erlang, :process_info, [pid, :registered_name])
    assert is_list(call(node, :erlang, :process_info, [pid]))
    assert is_pid(call(node, :erlang, :group_leader, []))
  end

  test "send and exit on behalf of the caller", %{node: node} do
    call(node, :erlang, :send, [self(), :hello])
    assert_receive :hello, 30_000
  end
end
