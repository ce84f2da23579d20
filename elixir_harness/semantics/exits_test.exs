defmodule Semantics.ExitsTest do
  @moduledoc "Exit signals to registered servers and to runners."
  use Harness.Semantics

  @reasons [
    {:kill, :killed},
    {:shutdown, :shutdown},
    {{:shutdown, 1}, {:shutdown, 1}},
    {:because, :because},
    {{:complex, %{"reason" => [1, 2 | 3]}, "text"}, {:complex, %{"reason" => [1, 2 | 3]}, "text"}},
    {:killed, :killed},
    {:noconnection, :noconnection}
  ]

  for name <- [AppState, PortManager] do
    test "#{inspect(name)} ends with the reason, and comes back", %{node: node} do
      name = unquote(name)

      for {sent, seen} <- @reasons do
        pid = whereis!(node, name)
        by_pid = Process.monitor(pid)
        by_name = Process.monitor({name, node})
        assert true == Process.exit(pid, sent)
        assert_receive {:DOWN, ^by_pid, :process, ^pid, ^seen}, 5_000
        assert_receive {:DOWN, ^by_name, :process, {^name, ^node}, ^seen}, 5_000
        new = restarted!(node, name, pid)
        refute :rpc.call(node, :erlang, :is_process_alive, [pid])
        assert :rpc.call(node, :erlang, :is_process_alive, [new])
        assert name in :rpc.call(node, :erlang, :registered, [])
      end

      assert [] == mailbox()
    end
  end

  test "a server that came back serves as before", %{node: node} do
    pid = whereis!(node, AppState)
    Process.exit(pid, :kill)
    new = restarted!(node, AppState, pid)
    assert :ok == GenServer.call({AppState, node}, {:put, "a", %{port: 1}})
    assert {:ok, %{port: 1}} == GenServer.call(new, {:get, "a"})
    assert {:ok, %{port: 1}} == :rpc.call(node, AppState, :get, ["a"])
    assert {:registered_name, AppState} == :rpc.call(node, :erlang, :process_info, [new, :registered_name])
    assert :undefined == :rpc.call(node, :erlang, :process_info, [pid, :registered_name])
    assert {:noproc, _} = catch_exit(GenServer.call(pid, :list))
  end

  test "only the server that was ended comes back anew", %{node: node} do
    ports = whereis!(node, PortManager)
    commands = whereis!(node, Command.Supervisor)
    pid = whereis!(node, AppState)
    Process.exit(pid, :kill)
    restarted!(node, AppState, pid)
    assert ports == whereis!(node, PortManager)
    assert commands == whereis!(node, Command.Supervisor)
  end

  test "normal is passed over", %{node: node} do
    runner = runner!(node)

    for pid <- [whereis!(node, AppState), whereis!(node, PortManager), runner] do
      assert true == Process.exit(pid, :normal)
      assert :rpc.call(node, :erlang, :is_process_alive, [pid])
    end

    Process.exit(runner, :kill)
  end

  test "many ends in a row harm nobody", %{node: node} do
    for _ <- 1..20 do
      pid = whereis!(node, AppState)
      Process.exit(pid, :kill)
      restarted!(node, AppState, pid)
    end

    assert [] == GenServer.call({AppState, node}, :list)
  end

  test "a runner ends with the reason, and does not come back", %{node: node} do
    for {sent, seen} <- @reasons do
      runner = runner!(node)
      ref = Process.monitor(runner)
      assert true == Process.exit(runner, sent)
      assert_receive {:DOWN, ^ref, :process, ^runner, ^seen}, 5_000
      refute :rpc.call(node, :erlang, :is_process_alive, [runner])

      Wait.until("the runner to leave", fn ->
        runner not in Task.Supervisor.children({Command.Supervisor, node})
      end)
    end

    assert [] == mailbox()
  end

  test "the exit of a process there by a call of the node", %{node: node} do
    runner = runner!(node)
    ref = Process.monitor(runner)
    assert true == :rpc.call(node, :erlang, :exit, [runner, :because])
    assert_receive {:DOWN, ^ref, :process, ^runner, :because}, 5_000
    assert true == :rpc.call(node, :erlang, :exit, [runner, :because])
    assert {:badrpc, {:EXIT, {:badarg, _}}} = :rpc.call(node, :erlang, :exit, [:no_pid, :because])
  end

  test "the exit of a process here by a call of the node", %{node: node} do
    pid = alone()
    ref = Process.monitor(pid)
    assert true == :rpc.call(node, :erlang, :exit, [pid, :normal])
    settle(node)
    assert Process.alive?(pid)
    assert true == :rpc.call(node, :erlang, :exit, [pid, {:because, 1}])
    assert_receive {:DOWN, ^ref, :process, ^pid, {:because, 1}}, 5_000

    pid = alone()
    ref = Process.monitor(pid)
    assert true == :rpc.call(node, :erlang, :exit, [pid, :kill])
    assert_receive {:DOWN, ^ref, :process, ^pid, :killed}, 5_000
  end

  test "an exit signal names the process it comes from", %{node: node} do
    Process.flag(:trap_exit, true)
    assert true == :rpc.call(node, :erlang, :exit, [self(), :because])
    assert_receive {:EXIT, from, :because}, 5_000
    assert node(from) == node
    assert [] == mailbox()
  end

  test "an exit signal to a process that ended is passed over", %{node: node} do
    pid = dead!(node)
    assert true == Process.exit(pid, :kill)
    settle(node)
    assert [] == mailbox()
  end
end
