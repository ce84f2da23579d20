defmodule Harness.Target do
  @moduledoc """
  The node that the suite of BEAM semantics looks at: the BEAM reference or the real agent, as `HARNESS_TARGET` says. Both
  are started and ended by the same functions, and the suite uses nothing else of either.
  """

  alias Harness.{Agent, OsProcess, Reference, Wait}

  @doc "`:reference` or `:agent`."
  def kind do
    case System.get_env("HARNESS_TARGET", "agent") do
      "reference" -> :reference
      "agent" -> :agent
      other -> raise "HARNESS_TARGET is #{other}: use reference or agent"
    end
  end

  @doc """
  Starts one and waits until it answers. Options: `short` (a short name: its host has no dot, so this node cannot reach it),
  `await` (`false`: waits for nothing).
  """
  def start!(opts \\ []) do
    case kind() do
      :reference -> Reference.start!(opts)
      :agent -> agent!(opts)
    end
  end

  defp agent!(opts) do
    name = if opts[:short], do: "otturnaut_#{Agent.unique()}@localhost"
    agent = Agent.describe(env: if(name, do: %{"RELEASE_NODE" => name}, else: %{}))
    if Keyword.get(opts, :await, true), do: Agent.run!(agent), else: Agent.launch(agent)
  end

  @doc "Starts the same one again, under the same name."
  def restart!(%Reference{} = target), do: Reference.restart!(target)
  def restart!(%Agent{} = target), do: Agent.restart!(target)

  @doc "Sends it a signal and waits for its end; gives the exit status."
  def stop(target, signal \\ :TERM), do: OsProcess.stop(target.process, signal)

  @doc "Waits until it ended by itself; gives the exit status."
  def await_exit(target), do: OsProcess.await_exit(target.process, 15_000)

  def log(target), do: OsProcess.log(target.process)

  @doc "Ends it, and removes what it kept."
  def dispose(target) do
    stop(target, :KILL)
    if data_dir = Map.get(target, :data_dir), do: File.rm_rf!(data_dir)
    Wait.until("the link to #{target.node} to end", fn -> target.node not in Node.list(:connected) end)
  end
end
