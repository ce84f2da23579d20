# What a BEAM node serves beside the agent: the same functions, as an Elixir agent would write them.

defmodule Peer.State do
  use GenServer

  def start, do: GenServer.start(__MODULE__, %{}, name: __MODULE__)
  def get(id), do: GenServer.call(__MODULE__, {:get, id})
  def put(id, app), do: GenServer.call(__MODULE__, {:put, id, app})
  def list, do: GenServer.call(__MODULE__, :list)

  @impl true
  def init(state), do: {:ok, state}

  @impl true
  def handle_call({:get, id}, _from, state) do
    answer = with :error <- Map.fetch(state, id), do: {:error, :not_found}
    {:reply, answer, state}
  end

  def handle_call({:put, id, app}, _from, state), do: {:reply, :ok, Map.put(state, id, app)}
  def handle_call(:list, _from, state), do: {:reply, Map.to_list(state), state}
end

defmodule Peer.Command do
  @moduledoc "Runs a command by a port and sends its lines on, one message a line."

  def run(command, args, subscriber) do
    settings = [:binary, :exit_status, :stderr_to_stdout, {:line, 10_240}, args: args]
    port = Port.open({:spawn_executable, System.find_executable(command)}, settings)
    follow(port, subscriber, [])
  end

  defp follow(port, subscriber, output) do
    receive do
      {^port, {:data, {:eol, line}}} ->
        send(subscriber, {:command_output, self(), {:stdout, line}})
        follow(port, subscriber, [output, line, "\n"])

      {^port, {:exit_status, code}} ->
        output = IO.iodata_to_binary(output)
        send(subscriber, {:command_done, self(), %{exit_code: code, bytes: byte_size(output)}})
        :ok
    end
  end
end

{:ok, _} = Peer.State.start()
Process.sleep(:infinity)
