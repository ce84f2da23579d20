defmodule Semantics.SupervisorTest do
  @moduledoc "The supervisor of commands, asked by `Task.Supervisor`, `DynamicSupervisor` and `Supervisor`."
  use Harness.Semantics

  setup %{node: node} do
    await_idle(node)
    {:ok, supervisor: {Command.Supervisor, node}}
  end

  test "lists and counts its runners", %{node: node, supervisor: supervisor} do
    assert [] == Task.Supervisor.children(supervisor)
    assert %{active: 0, specs: 0, supervisors: 0, workers: 0} == DynamicSupervisor.count_children(supervisor)
    assert [] == DynamicSupervisor.which_children(supervisor)
    runners = for _ <- 1..3, do: runner!(node)
    assert Enum.sort(runners) == Enum.sort(Task.Supervisor.children(supervisor))
    assert %{active: 3, specs: 3, supervisors: 0, workers: 3} == DynamicSupervisor.count_children(supervisor)
    children = for runner <- runners, do: {:undefined, runner, :worker, [Task.Supervised]}
    assert Enum.sort(children) == Enum.sort(DynamicSupervisor.which_children(supervisor))
    assert Enum.sort(children) == Enum.sort(Supervisor.which_children(supervisor))
    assert Enum.sort(children) == Enum.sort(:supervisor.which_children(supervisor))
    assert Enum.sort(runners) == Enum.sort(Task.Supervisor.children(whereis!(node, Command.Supervisor)))
    Enum.each(runners, &Process.exit(&1, :kill))
    await_idle(node)
    assert %{active: 0, specs: 0, supervisors: 0, workers: 0} == DynamicSupervisor.count_children(supervisor)
    assert [] == mailbox()
  end

  test "ends a runner before it answers", %{node: node, supervisor: supervisor} do
    runner = runner!(node)
    other = runner!(node)
    ref = Process.monitor(runner)
    assert :ok == DynamicSupervisor.terminate_child(supervisor, runner)
    refute :rpc.call(node, :erlang, :is_process_alive, [runner])
    assert_receive {:DOWN, ^ref, :process, ^runner, :shutdown}, 5_000
    assert [other] == Task.Supervisor.children(supervisor)
    assert {:error, :not_found} == DynamicSupervisor.terminate_child(supervisor, runner)
    assert {:error, :not_found} == DynamicSupervisor.terminate_child(supervisor, self())
    assert :ok == Task.Supervisor.terminate_child(supervisor, other)
    assert [] == Task.Supervisor.children(supervisor)
  end

  test "cancel ends a runner before it answers", %{node: node, supervisor: supervisor} do
    runner = runner!(node)
    ref = Process.monitor(runner)
    assert :ok == :rpc.call(node, Command, :cancel, [runner])
    refute :rpc.call(node, :erlang, :is_process_alive, [runner])
    assert_receive {:DOWN, ^ref, :process, ^runner, :shutdown}, 5_000
    assert [] == Task.Supervisor.children(supervisor)
    assert :ok == :rpc.call(node, Command, :cancel, [runner])
  end

  test "is a process like others", %{node: node, supervisor: supervisor} do
    pid = whereis!(node, Command.Supervisor)
    assert {:status, ^pid, {:module, :gen_server}, [_, :running, parent, [], _]} = :sys.get_status(supervisor)
    assert node(parent) == node
    runner = runner!(node)
    assert {:links, links} = :rpc.call(node, :erlang, :process_info, [pid, :links])
    assert runner in links
    assert {:links, links} = :rpc.call(node, :erlang, :process_info, [runner, :links])
    assert pid in links
  end

  test "that is killed takes its runners along, and comes back", %{node: node, supervisor: supervisor} do
    pid = whereis!(node, Command.Supervisor)
    runner = runner!(node)
    ref = Process.monitor(runner)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^ref, :process, ^runner, :killed}, 5_000
    restarted!(node, Command.Supervisor, pid)
    assert [] == Task.Supervisor.children(supervisor)
    assert runner!(node) in Task.Supervisor.children(supervisor)
  end

  test "a name that nobody has is noproc", %{node: node} do
    assert {:noproc, _} = catch_exit(Task.Supervisor.children({:nobody_here, node}))
    assert {:noproc, _} = catch_exit(DynamicSupervisor.count_children({:nobody_here, node}))
  end
end
