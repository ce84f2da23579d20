defmodule Harness.Semantics do
  @moduledoc "What the tests of BEAM semantics have: the shared target (`target`, `node`), and steps that many of them take."
  use ExUnit.CaseTemplate

  alias Harness.{Peer, Target, Wait}
  alias Otturnaut.Command

  using do
    quote do
      import Harness.Case, only: [mailbox: 0]
      import Harness.Semantics
      alias Harness.{Peer, Target, Wait}
      alias Otturnaut.{AppState, Command, PortManager}
    end
  end

  setup do
    target = :persistent_term.get(:target)
    # Whether a server keeps its state over its end is its own affair: every test begins with nothing.
    assert :ok == :rpc.call(target.node, Otturnaut.AppState, :clear, [])
    {:ok, target: target, node: target.node}
  end

  @doc "Whether the client is a hidden node, as `HARNESS_CLIENT` says."
  def hidden? do
    case System.get_env("HARNESS_CLIENT", "visible") do
      "visible" -> false
      "hidden" -> true
      other -> raise "HARNESS_CLIENT is #{other}: use visible or hidden"
    end
  end

  @doc "A target for one test alone."
  def own_target!(opts \\ []) do
    target = Target.start!(opts)
    ExUnit.Callbacks.on_exit(fn -> Target.dispose(target) end)
    target
  end

  @doc "One more client, of the same kind as this one."
  def peer!(opts \\ []) do
    peer = Peer.start!(Keyword.put_new(opts, :hidden, hidden?()))
    ExUnit.Callbacks.on_exit(fn -> if Process.alive?(peer.pid), do: Peer.stop(peer) end)
    peer
  end

  @doc "The pid of a registered server."
  def whereis!(node, name) do
    pid = :rpc.call(node, :erlang, :whereis, [name])
    assert is_pid(pid) and node(pid) == node
    pid
  end

  @doc "The pid under which a server came back after its process `old` ended."
  def restarted!(node, name, old) do
    new = Wait.until("#{inspect(name)} to come back", fn -> other_pid(node, name, old) end)
    assert new != old
    new
  end

  defp other_pid(node, name, old) do
    pid = :rpc.call(node, :erlang, :whereis, [name])
    is_pid(pid) and pid != old and pid
  end

  @doc "A process that does nothing, and ends with the test."
  def idle, do: spawn_link(fn -> Process.sleep(:infinity) end)

  @doc "A process that does nothing, and does not end with the test unless it is told to."
  def alone, do: spawn(fn -> Process.sleep(:infinity) end)

  @doc "Links itself to a process, and does nothing: for a process of another client."
  def link_and_sleep(pid) do
    Process.link(pid)
    Process.sleep(:infinity)
  end

  @doc "A runner of a command that takes longer than any test."
  def runner!(node, subscriber \\ idle()) do
    assert {:ok, runner} = :rpc.call(node, Command, :run_async, ["sleep", ["60"], [subscriber: subscriber]])
    assert is_pid(runner) and node(runner) == node
    runner
  end

  @doc "A process of the node that ended."
  def dead!(node) do
    runner = runner!(node)
    ref = Process.monitor(runner)
    Process.exit(runner, :kill)
    assert_receive {:DOWN, ^ref, :process, ^runner, :killed}, 5_000
    runner
  end

  @doc "A call that takes that many milliseconds, for `:rpc` and `:erpc`."
  def slow(ms), do: [Command, :run, ["sleep", ["#{ms / 1000}"]]]

  @doc "Keeps what it gets, for `kept/1`: a process of another client."
  def keep(messages) do
    receive do
      {:kept?, from} ->
        send(from, {:kept, Enum.reverse(messages)})
        keep(messages)

      message ->
        keep([message | messages])
    end
  end

  @doc "What that process got so far."
  def kept(pid) do
    send(pid, {:kept?, self()})
    receive do: ({:kept, messages} -> messages)
  end

  @doc "What a call raises that takes longer than `timeout`: for another client."
  def caught(node, [m, f, a], timeout) do
    :erpc.call(node, m, f, a, timeout)
  rescue
    error in ErlangError -> error.original
  end

  @doc "Waits until no command runs on the node."
  def await_idle(node) do
    Wait.until("the commands to end", fn -> Task.Supervisor.children({Command.Supervisor, node}) == [] end)
  end

  @doc "Everything that `node` sent this process is here when this returns."
  def settle(node), do: assert(node == :rpc.call(node, :erlang, :node, []))
end
