defmodule Semantics.SpawnsTest do
  @moduledoc "Processes that are spawned on the node, with all that can be asked of the spawn."
  use Harness.Semantics

  @nobody :"nobody_there@127.0.0.1"

  # A function that both have, that ends at once, and one that takes longer than any test.
  @quick [:erlang, :node, []]
  @long [Command, :run, ["sleep", ["60"]]]

  setup do
    Process.flag(:trap_exit, true)
    :ok
  end

  defp spawned(function, node, mfa, opts \\ []), do: apply(function, [node | mfa] ++ opts)

  test "Node.spawn gives a pid of the node", %{node: node} do
    pid = spawned(&Node.spawn/4, node, @quick)
    assert is_pid(pid) and node(pid) == node
    settle(node)
    assert [] == mailbox()
  end

  test "Node.spawn_link and spawn_monitor of what ends normally", %{node: node} do
    pid = spawned(&Node.spawn_link/4, node, @quick)
    assert_receive {:EXIT, ^pid, :normal}, 5_000
    {pid, ref} = spawned(&Node.spawn_monitor/4, node, @quick)
    assert node(pid) == node
    assert_receive {:DOWN, ^ref, :process, ^pid, :normal}, 5_000
    assert [] == mailbox()
  end

  test "the reasons of what ends otherwise", %{node: node} do
    reason = fn m, f, a ->
      {pid, ref} = Node.spawn_monitor(node, m, f, a)
      assert_receive {:DOWN, ^ref, :process, ^pid, reason}, 5_000
      reason
    end

    assert {:undef, [{Nope, :nope, [1], []}]} = reason.(Nope, :nope, [1])
    assert {:undef, [{AppState, :nope, [], []} | _]} = reason.(AppState, :nope, [])
    assert {:badarg, [{:erlang, :whereis, [1], [_ | _]} | _]} = reason.(:erlang, :whereis, [1])

    assert {:noproc, {GenServer, :call, [:nobody_here, :list, 5000]}} ==
             reason.(AppState, :list, [:nobody_here])

    assert :why == reason.(:erlang, :exit, [:why])
    assert {:why, [_ | _]} = reason.(:erlang, :error, [:why])
    assert {{:nocatch, :ball}, [_ | _]} = reason.(:erlang, :throw, [:ball])
  end

  test "spawn_opt with a link and a monitor tells both", %{node: node} do
    {pid, ref} = spawned(&Node.spawn/5, node, @quick, [[:link, :monitor]])
    assert node(pid) == node
    assert_receive {:EXIT, ^pid, :normal}, 5_000
    assert_receive {:DOWN, ^ref, :process, ^pid, :normal}, 5_000
    {pid, ref} = spawned(&Node.spawn/5, node, @long, [[:monitor, :link]])
    Process.exit(pid, :because)
    assert_receive {:EXIT, ^pid, :because}, 5_000
    assert_receive {:DOWN, ^ref, :process, ^pid, :because}, 5_000
    await_idle(node)
    assert [] == mailbox()
  end

  test "the order in which link and monitor tell", %{node: node} do
    orders =
      for _ <- 1..20 do
        {pid, ref} = spawned(&Node.spawn/5, node, @quick, [[:link, :monitor]])
        assert_receive first when elem(first, 0) in [:EXIT, :DOWN], 5_000
        assert_receive second when elem(second, 0) in [:EXIT, :DOWN], 5_000

        assert Enum.sort([first, second]) ==
                 Enum.sort([{:EXIT, pid, :normal}, {:DOWN, ref, :process, pid, :normal}])

        elem(first, 0)
      end

    assert [:EXIT] == Enum.uniq(orders)
  end

  test "options of the heap and of the monitor", %{node: node} do
    opts = [:link, priority: :low, fullsweep_after: 10, min_heap_size: 1_000, message_queue_data: :off_heap]
    pid = spawned(&Node.spawn/5, node, @quick, [opts])
    assert_receive {:EXIT, ^pid, :normal}, 5_000
    {pid, ref} = spawned(&Node.spawn/5, node, @quick, [[monitor: [tag: :mine]]])
    assert_receive {:mine, ^ref, :process, ^pid, :normal}, 5_000
    {pid, ref} = spawned(&Node.spawn/5, node, @quick, [[monitor: [alias: :explicit_unalias]]])
    assert_receive {:DOWN, ^ref, :process, ^pid, :normal}, 5_000
    assert :hello == :rpc.call(node, :erlang, :send, [ref, :hello])
    assert_receive :hello, 5_000
    assert [] == mailbox()
  end

  test "an option that there is none", %{node: node} do
    assert :badarg == catch_error(spawned(&Node.spawn/5, node, @quick, [[:nonsense]]))
    assert :badarg == catch_error(spawned(&Node.spawn/5, node, @quick, [[nonsense: 1]]))
    assert :badarg == catch_error(spawned(&Node.spawn/5, node, @quick, [[priority: :nonsense]]))
    assert [] == mailbox()
  end

  test "a node that is not there" do
    assert pid = spawned(&Node.spawn/4, @nobody, @quick)
    assert is_pid(pid)
    pid = spawned(&Node.spawn_link/4, @nobody, @quick)
    assert_receive {:EXIT, ^pid, :noconnection}, 5_000
    {pid, ref} = spawned(&Node.spawn_monitor/4, @nobody, @quick)
    assert_receive {:DOWN, ^ref, :process, ^pid, :noconnection}, 5_000
  end

  test "a process that was spawned has its parent's group leader", %{node: node} do
    for leader <- [Process.group_leader(), idle()] do
      Process.group_leader(self(), leader)
      assert leader == :rpc.call(node, :erlang, :group_leader, [])
      assert leader == :erpc.call(node, :erlang, :group_leader, [])
      assert leader == :rpc.block_call(node, :erlang, :group_leader, [])
    end
  end

  test "the group leader of a process there can be another", %{node: node} do
    runner = runner!(node)
    assert true == Process.group_leader(runner, self())
    assert {:group_leader, self()} == :rpc.call(node, :erlang, :process_info, [runner, :group_leader])
    Process.exit(runner, :kill)
  end

  test "a linked process ends with its parent", %{node: node} do
    me = self()

    parent =
      spawn(fn ->
        send(me, {:child, spawned(&Node.spawn_link/4, node, @long)})
        Process.sleep(:infinity)
      end)

    assert_receive {:child, child}, 5_000
    ref = Process.monitor(child)
    Process.exit(parent, :because)
    assert_receive {:DOWN, ^ref, :process, ^child, :because}, 5_000
    await_idle(node)
  end

  test "a process that is killed ends what it waits for", %{node: node} do
    {pid, ref} = spawned(&Node.spawn_monitor/4, node, @long)
    Wait.until("the runner", fn -> Task.Supervisor.children({Command.Supervisor, node}) != [] end)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^ref, :process, ^pid, :killed}, 5_000
    await_idle(node)
  end

  describe "spawn_request" do
    defp request(node, opts, mfa \\ @quick), do: apply(:erlang, :spawn_request, [node | mfa] ++ [opts])

    test "answers with the pid", %{node: node} do
      id = request(node, [])
      assert_receive {:spawn_reply, ^id, :ok, pid}, 5_000
      assert node(pid) == node
      id = request(node, reply: :yes)
      assert_receive {:spawn_reply, ^id, :ok, _}, 5_000
      id = request(node, reply: :success_only)
      assert_receive {:spawn_reply, ^id, :ok, _}, 5_000
      id = request(node, reply_tag: {:mine, 1})
      assert_receive {{:mine, 1}, ^id, :ok, _}, 5_000
      assert [] == mailbox()
    end

    test "answers before it tells of the end", %{node: node} do
      for _ <- 1..20 do
        id = request(node, [:monitor])
        assert_receive first when elem(first, 1) == id, 5_000
        assert {:spawn_reply, ^id, :ok, pid} = first
        assert_receive {:DOWN, ^id, :process, ^pid, :normal}, 5_000
      end

      assert [] == mailbox()
    end

    test "does not answer if that is not wanted", %{node: node} do
      for reply <- [:no, :error_only] do
        id = request(node, [:monitor, :link, reply: reply])
        assert_receive {:EXIT, pid, :normal}, 5_000
        assert_receive {:DOWN, ^id, :process, ^pid, :normal}, 5_000
      end

      assert [] == mailbox()
    end

    test "says what is wrong", %{node: node} do
      id = request(node, [:nonsense])
      assert_receive {:spawn_reply, ^id, :error, :badopt}, 5_000
      id = request(node, [:monitor, :link, :nonsense])
      assert_receive {:spawn_reply, ^id, :error, :badopt}, 5_000
      id = request(node, [:nonsense, reply: :error_only, reply_tag: :mine])
      assert_receive {:mine, ^id, :error, :badopt}, 5_000
      request(node, [:nonsense, reply: :no])
      request(node, [:nonsense, reply: :success_only])
      id = request(@nobody, [])
      assert_receive {:spawn_reply, ^id, :error, :noconnection}, 5_000
      settle(node)
      assert [] == mailbox()
    end

    test "that was abandoned says nothing more", %{node: node} do
      for _ <- 1..20 do
        id = request(node, [:monitor], @long)

        unless :erlang.spawn_request_abandon(id) do
          assert_receive {:spawn_reply, ^id, :ok, pid}, 5_000
          Process.exit(pid, :kill)
          assert_receive {:DOWN, ^id, :process, ^pid, :killed}, 5_000
        end
      end

      settle(node)
      assert [] == mailbox()

      # Those that were abandoned run, or are about to.
      Wait.until("the commands to end", fn ->
        runners = Task.Supervisor.children({Command.Supervisor, node})
        Enum.each(runners, &Process.exit(&1, :kill))
        runners == []
      end)
    end

    test "with a link takes its process along when it is abandoned", %{node: node} do
      for _ <- 1..10 do
        id = request(node, [:link], @long)

        unless :erlang.spawn_request_abandon(id) do
          assert_receive {:spawn_reply, ^id, :ok, pid}, 5_000
          Process.exit(pid, :kill)
          assert_receive {:EXIT, ^pid, :killed}, 5_000
        end
      end

      settle(node)
      await_idle(node)
      assert [] == mailbox()
    end
  end
end
