defmodule Harness.BeamNode do
  @moduledoc "An Elixir node as an operating system process of its own: what the benchmarks hold the agent against."
  use GenServer

  alias Harness.OsProcess

  defstruct [:process, :node]

  def launch do
    name = "beam_#{Harness.Agent.unique()}@127.0.0.1"

    args = [
      "--name",
      name,
      "--cookie",
      "#{Node.get_cookie()}",
      "--hidden",
      "-pa",
      ebin(),
      "-e",
      "Harness.BeamNode.serve()"
    ]

    %__MODULE__{process: OsProcess.start("elixir", args: args), node: :"#{name}"}
  end

  def start! do
    beam = launch()
    Harness.Wait.until("the BEAM node", fn -> Node.connect(beam.node) == true and serves?(beam) end, 20_000)
    beam
  end

  def stop(beam), do: OsProcess.stop(beam.process, :KILL)

  # The virtual machine is the process that the name belongs to, whatever shells started it.
  def os_pid(beam), do: beam.node |> :rpc.call(System, :pid, []) |> String.to_integer()

  defp serves?(beam), do: is_pid(:rpc.call(beam.node, Process, :whereis, [__MODULE__]))
  defp ebin, do: __MODULE__ |> :code.which() |> to_string() |> Path.dirname()

  @doc "Runs on that node: serves the application state."
  def serve do
    {:ok, _} = GenServer.start(__MODULE__, %{}, name: __MODULE__)
    Process.sleep(:infinity)
  end

  @doc "As `Otturnaut.AppState.put/2` and `get/1`."
  def put(id, app), do: GenServer.call(__MODULE__, {:put, id, app})
  def get(id), do: GenServer.call(__MODULE__, {:get, id})

  @doc "As `Otturnaut.Command.run_async/3`: the lines of a command by a port, each sent to the subscriber."
  def stream(program, args, subscriber) do
    {:ok, spawn(fn -> run(program, args, subscriber) end)}
  end

  defp run(program, args, subscriber) do
    settings = [:binary, :exit_status, line: 10_240, args: args]
    relay(Port.open({:spawn_executable, System.find_executable(program)}, settings), subscriber)
  end

  defp relay(port, subscriber) do
    receive do
      {^port, {:data, {_, line}}} ->
        send(subscriber, {:command_output, self(), {:stdout, line}})
        relay(port, subscriber)

      {^port, {:exit_status, status}} ->
        send(subscriber, {:command_done, self(), status})
    end
  end

  @impl true
  def init(state), do: {:ok, state}

  @impl true
  def handle_call({:put, id, app}, _from, state), do: {:reply, :ok, Map.put(state, id, app)}
  def handle_call({:get, id}, _from, state), do: {:reply, Map.fetch(state, id), state}
end
