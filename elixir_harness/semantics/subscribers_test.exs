defmodule Semantics.SubscribersTest do
  @moduledoc "A runner works for its subscriber, and ends with it; what it says comes in order."
  use Harness.Semantics

  # A command that tells its process id first, so that its end can be seen from outside.
  defp telling!(node, subscriber) do
    args = ["sh", ["-c", "echo $$; sleep 60; true"], [subscriber: subscriber]]
    assert {:ok, runner} = :rpc.call(node, Command, :run_async, args)
    {runner, Process.monitor(runner)}
  end

  defp os_pid!(runner) do
    assert_receive {:command_output, ^runner, {:stdout, os_pid}}, 5_000
    os_pid
  end

  # Passes on what it gets.
  defp relay do
    me = self()
    spawn(fn -> relay(me) end)
  end

  defp relay(to) do
    receive do: (message -> send(to, message))
    relay(to)
  end

  defp await_gone(os_pid) do
    Wait.until("process #{os_pid} to be gone", fn -> not File.exists?("/proc/#{os_pid}") end, 5_000)
  end

  test "output and end come to the subscriber, in order", %{node: node} do
    script = "for n in $(seq 1 500); do echo $n; done; exit 3"
    {:ok, runner} = :rpc.call(node, Command, :run_async, ["sh", ["-c", script], [subscriber: self()]])
    ref = Process.monitor(runner)

    for n <- 1..500 do
      line = "#{n}"
      assert_receive {:command_output, ^runner, {:stdout, ^line}}, 5_000
    end

    assert_receive {:command_done, ^runner, result}, 5_000
    assert %Command.Result{status: :error, exit_code: 3, error: {:exit, 3}} = result
    assert result.output == Enum.map_join(1..500, &"#{&1}\n")
    assert_receive {:DOWN, ^ref, :process, ^runner, reason} when reason in [:normal, :noproc], 5_000
    assert [] == mailbox()
  end

  test "run tells a subscriber, too, and answers", %{node: node} do
    args = ["echo", ["hi"], [subscriber: self()]]
    assert %Command.Result{status: :ok, exit_code: 0, output: "hi\n"} = :rpc.call(node, Command, :run, args)
    assert_receive {:command_output, runner, {:stdout, "hi"}}, 5_000
    assert_receive {:command_done, ^runner, %Command.Result{status: :ok, output: "hi\n"}}, 5_000
    assert node(runner) == node
    assert [] == mailbox()
  end

  test "the runner ends when its subscriber is killed, and with it what it runs", %{node: node} do
    for reason <- [:kill, :because] do
      subscriber = relay()
      {runner, ref} = telling!(node, subscriber)
      os_pid = os_pid!(runner)
      assert File.exists?("/proc/#{os_pid}")
      Process.exit(subscriber, reason)
      assert_receive {:DOWN, ^ref, :process, ^runner, :shutdown}, 5_000
      await_gone(os_pid)
    end
  end

  test "the runner ends when its subscriber ends normally", %{node: node} do
    me = self()

    # Ends when it is told, not with the first line: the runner could be gone before it is watched.
    subscriber =
      spawn(fn ->
        receive do: ({:command_output, _, _} = line -> send(me, line))
        receive do: (:end -> :ok)
      end)

    {runner, ref} = telling!(node, subscriber)
    os_pid = os_pid!(runner)
    send(subscriber, :end)
    assert_receive {:DOWN, ^ref, :process, ^runner, :shutdown}, 5_000
    await_gone(os_pid)
  end

  test "a subscriber that is dead already gets no runner", %{node: node} do
    subscriber = alone()
    Process.exit(subscriber, :kill)
    {runner, ref} = telling!(node, subscriber)
    assert_receive {:DOWN, ^ref, :process, ^runner, reason} when reason in [:shutdown, :noproc], 1_000
  end

  test "the runner ends when its subscriber's node is lost", %{node: node} do
    for lose <- [&Peer.stop/1, &Peer.call(&1, Node, :disconnect, [node])] do
      peer = peer!()
      assert true == Peer.call(peer, Node, :connect, [node])
      subscriber = Peer.call(peer, :erlang, :spawn, [:timer, :sleep, [:infinity]])
      runner = runner!(node, subscriber)
      ref = Process.monitor(runner)
      # Nothing orders what comes over two connections.
      settle(node)
      lose.(peer)
      assert_receive {:DOWN, ^ref, :process, ^runner, :shutdown}, 5_000
    end

    await_idle(node)
  end

  test "the runner of another subscriber goes on", %{node: node} do
    runner = runner!(node)
    subscriber = relay()
    {other, ref} = telling!(node, subscriber)
    os_pid!(other)
    Process.exit(subscriber, :kill)
    assert_receive {:DOWN, ^ref, :process, ^other, :shutdown}, 5_000
    assert :rpc.call(node, :erlang, :is_process_alive, [runner])
    assert runner in Task.Supervisor.children({Command.Supervisor, node})
  end

  test "what a runner runs is gone when the runner is ended", %{node: node} do
    ends = [
      fn runner -> Process.exit(runner, :kill) end,
      fn runner -> Process.exit(runner, :because) end,
      fn runner -> :rpc.call(node, Command, :cancel, [runner]) end,
      fn runner -> DynamicSupervisor.terminate_child({Command.Supervisor, node}, runner) end
    ]

    for stop <- ends do
      {runner, ref} = telling!(node, self())
      os_pid = os_pid!(runner)
      assert File.exists?("/proc/#{os_pid}")
      stop.(runner)
      assert_receive {:DOWN, ^ref, :process, ^runner, _}, 5_000
      await_gone(os_pid)
    end

    settle(node)
    assert [] == mailbox()
  end

  test "a command that is run, not streamed, ends with its caller's process", %{node: node} do
    args = ["sh", ["-c", "echo started; sleep 60; true"], [subscriber: self()]]
    {worker, ref} = Node.spawn_monitor(node, Command, :run, args)
    assert_receive {:command_output, runner, {:stdout, "started"}}, 5_000
    watch = Process.monitor(runner)
    Process.exit(worker, :kill)
    assert_receive {:DOWN, ^ref, :process, ^worker, :killed}, 5_000
    assert_receive {:DOWN, ^watch, :process, ^runner, :shutdown}, 5_000
  end
end
