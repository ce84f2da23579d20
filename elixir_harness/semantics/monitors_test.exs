defmodule Semantics.MonitorsTest do
  @moduledoc "Monitors and links between processes here and there."
  use Harness.Semantics

  defp assert_down(ref, object, reason) do
    assert_receive {:DOWN, ^ref, :process, ^object, ^reason}, 5_000
  end

  describe "a monitor" do
    test "on a pid, a name, and what is not there", %{node: node} do
      pid = whereis!(node, AppState)
      by_pid = Process.monitor(pid)
      by_name = Process.monitor({AppState, node})
      assert_down(Process.monitor({:nobody_here, node}), {:nobody_here, node}, :noproc)
      dead = dead!(node)
      assert_down(Process.monitor(dead), dead, :noproc)
      Process.exit(pid, :because)
      assert_down(by_pid, pid, :because)
      assert_down(by_name, {AppState, node}, :because)
      restarted!(node, AppState, pid)
      assert [] == mailbox()
    end

    test "several of one process are each told", %{node: node} do
      runner = runner!(node)
      refs = for _ <- 1..5, do: Process.monitor(runner)
      Process.exit(runner, :because)
      for ref <- refs, do: assert_down(ref, runner, :because)
      assert [] == mailbox()
    end

    test "several of many processes are each told", %{node: node} do
      runners = for _ <- 1..20, do: runner!(node)
      refs = for runner <- runners, do: {Process.monitor(runner), runner}
      Enum.each(runners, &Process.exit(&1, :kill))
      for {ref, runner} <- refs, do: assert_down(ref, runner, :killed)
      assert [] == mailbox()
    end

    test "on a name follows the process, not the name", %{node: node} do
      pid = whereis!(node, AppState)
      ref = Process.monitor({AppState, node})
      Process.exit(pid, :kill)
      assert_down(ref, {AppState, node}, :killed)
      new = restarted!(node, AppState, pid)
      Process.exit(new, :kill)
      restarted!(node, AppState, new)
      assert [] == mailbox()
    end

    test "that was taken back says nothing", %{node: node} do
      runner = runner!(node)
      ref = Process.monitor(runner)
      watch = Process.monitor(runner)
      assert true == Process.demonitor(ref)
      Process.exit(runner, :kill)
      assert_down(watch, runner, :killed)
      assert [] == mailbox()
    end

    test "that was taken back with its message says nothing", %{node: node} do
      runner = runner!(node)
      ref = Process.monitor(runner)
      watch = Process.monitor(runner)
      Process.exit(runner, :kill)
      assert_down(watch, runner, :killed)
      settle(node)
      assert true == Process.demonitor(ref, [:flush])
      assert [] == mailbox()
    end

    test "says whether it was there when it is taken back", %{node: node} do
      runner = runner!(node)
      ref = Process.monitor(runner)
      assert true == Process.demonitor(ref, [:info])
      assert false == Process.demonitor(ref, [:info])
      ref = Process.monitor({:nobody_here, node})
      assert_down(ref, {:nobody_here, node}, :noproc)
      assert false == Process.demonitor(ref, [:info, :flush])
    end

    test "with a tag of its own", %{node: node} do
      runner = runner!(node)
      ref = :erlang.monitor(:process, runner, tag: {:mine, 1})
      Process.exit(runner, :because)
      assert_receive {{:mine, 1}, ^ref, :process, ^runner, :because}, 5_000
      ref = :erlang.monitor(:process, {:nobody_here, node}, tag: :mine)
      assert_receive {:mine, ^ref, :process, {:nobody_here, ^node}, :noproc}, 5_000
    end

    test "whose owner ends is forgotten", %{node: node} do
      runner = runner!(node)

      {owner, ref} =
        spawn_monitor(fn ->
          Process.monitor(runner)
          settle(node)
        end)

      assert_down(ref, owner, :normal)
      Wait.until("no monitor", fn -> monitored_by(node, runner) -- [owner] == monitored_by(node, runner) end)
      Process.exit(runner, :kill)
    end

    defp monitored_by(node, pid) do
      {:monitored_by, pids} = :rpc.call(node, :erlang, :process_info, [pid, :monitored_by])
      pids
    end
  end

  describe "an alias" do
    test "of a monitor takes the answer of the server", %{node: node} do
      pid = whereis!(node, AppState)

      for mode <- [:reply_demonitor, :demonitor, :explicit_unalias] do
        ref = :erlang.monitor(:process, pid, alias: mode)
        send(pid, {:"$gen_call", {self(), [:alias | ref]}, :list})
        assert_receive {[:alias | ^ref], list}, 5_000
        assert is_list(list)
        Process.demonitor(ref, [:flush])
        :erlang.unalias(ref)
      end

      assert [] == mailbox()
    end

    test "that takes one answer takes no second one, and its monitor is gone", %{node: node} do
      pid = whereis!(node, AppState)
      ref = :erlang.monitor(:process, pid, alias: :reply_demonitor)
      send(pid, {:"$gen_call", {self(), [:alias | ref]}, :list})
      send(pid, {:"$gen_call", {self(), [:alias | ref]}, :list})
      assert_receive {[:alias | ^ref], _}, 5_000
      assert is_list(GenServer.call(pid, :list))
      Process.exit(pid, :kill)
      restarted!(node, AppState, pid)
      assert [] == mailbox()
    end

    test "takes what the node's functions send, until it is taken back", %{node: node} do
      alias = :erlang.alias()
      assert :hello == :rpc.call(node, :erlang, :send, [alias, :hello])
      assert_receive :hello, 5_000
      assert true == :erlang.unalias(alias)
      assert :hello == :rpc.call(node, :erlang, :send, [alias, :hello])
      settle(node)

      alias = :erlang.alias([:reply])
      for n <- 1..3, do: :rpc.call(node, :erlang, :send, [alias, n])
      assert_receive 1, 5_000
      settle(node)
      assert [] == mailbox()
    end

    test "that timed out drops the late answer of a server", %{node: node} do
      server = {AppState, node}
      :ok = :sys.suspend(server)
      for _ <- 1..3, do: assert({:timeout, _} = catch_exit(GenServer.call(server, :list, 20)))
      :ok = :sys.resume(server)
      assert is_list(GenServer.call(server, :list))
      assert [] == mailbox()
    end
  end

  describe "a link" do
    test "tells a process here that traps exits of the end there", %{node: node} do
      Process.flag(:trap_exit, true)

      for {sent, seen} <- [{:because, :because}, {:kill, :killed}, {:shutdown, :shutdown}] do
        runner = runner!(node, alone())
        assert true == Process.link(runner)
        Process.exit(runner, sent)
        assert_receive {:EXIT, ^runner, ^seen}, 5_000
      end

      assert [] == mailbox()
    end

    test "takes a process here along that does not trap exits", %{node: node} do
      runner = runner!(node)

      {pid, ref} =
        spawn_monitor(fn ->
          Process.link(runner)
          Process.sleep(:infinity)
        end)

      Wait.until("the link", fn -> pid in links(node, runner) end)
      Process.exit(runner, :because)
      assert_down(ref, pid, :because)
    end

    test "takes a runner along when the process here ends", %{node: node} do
      for {sent, seen} <- [{:because, :because}, {:kill, :killed}, {:shutdown, :shutdown}] do
        runner = runner!(node)
        ref = Process.monitor(runner)
        linked!(node, runner) |> Process.exit(sent)
        assert_down(ref, runner, seen)
      end
    end

    test "takes a server along when the process here ends; it comes back", %{node: node} do
      pid = whereis!(node, AppState)
      ref = Process.monitor(pid)
      linked!(node, pid) |> Process.exit(:because)
      assert_down(ref, pid, :because)
      restarted!(node, AppState, pid)
    end

    test "carries no normal end", %{node: node} do
      runner = runner!(node)

      {pid, ref} =
        spawn_monitor(fn ->
          Process.link(runner)
          settle(node)
        end)

      assert_down(ref, pid, :normal)
      settle(node)
      assert :rpc.call(node, :erlang, :is_process_alive, [runner])
      refute pid in links(node, runner)
      Process.exit(runner, :kill)
    end

    test "that was taken back tells nothing, neither way", %{node: node} do
      Process.flag(:trap_exit, true)
      runner = runner!(node, alone())
      ref = Process.monitor(runner)
      assert true == Process.link(runner)
      assert true == Process.unlink(runner)
      Process.exit(runner, :because)
      assert_down(ref, runner, :because)
      settle(node)
      assert [] == mailbox()

      runner = runner!(node, alone())
      pid = linked!(node, runner, fn -> Process.unlink(runner) end)
      send(pid, :go)
      Wait.until("the unlink", fn -> pid not in links(node, runner) end)
      Process.exit(pid, :kill)
      settle(node)
      assert :rpc.call(node, :erlang, :is_process_alive, [runner])
      Process.exit(runner, :kill)
    end

    test "made and taken back many times, is there or is not", %{node: node} do
      Process.flag(:trap_exit, true)
      runner = runner!(node, alone())

      for _ <- 1..50 do
        Process.link(runner)
        Process.unlink(runner)
      end

      Process.link(runner)
      Process.link(runner)
      Process.exit(runner, :because)
      assert_receive {:EXIT, ^runner, :because}, 5_000
      assert [] == mailbox()
    end

    test "to a process that ended is noproc", %{node: node} do
      Process.flag(:trap_exit, true)
      dead = dead!(node)
      assert true == Process.link(dead)
      assert_receive {:EXIT, ^dead, :noproc}, 5_000
      assert true == Process.unlink(dead)
      assert [] == mailbox()
    end

    test "and a monitor of one process both tell", %{node: node} do
      Process.flag(:trap_exit, true)
      runner = runner!(node, alone())
      Process.link(runner)
      ref = Process.monitor(runner)
      Process.exit(runner, :because)
      assert_receive {:EXIT, ^runner, :because}, 5_000
      assert_down(ref, runner, :because)
      assert [] == mailbox()
    end

    defp linked!(node, there, and_then \\ fn -> :ok end) do
      pid =
        spawn(fn ->
          Process.link(there)
          receive do: (:go -> and_then.())
          Process.sleep(:infinity)
        end)

      Wait.until("the link", fn -> pid in links(node, there) end)
      pid
    end

    defp links(node, pid) do
      {:links, links} = :rpc.call(node, :erlang, :process_info, [pid, :links])
      links
    end
  end
end
