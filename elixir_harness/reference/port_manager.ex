defmodule Otturnaut.PortManager do
  @moduledoc "Host ports for applications."
  use GenServer

  def start_link(range), do: GenServer.start_link(__MODULE__, range, name: __MODULE__)

  def allocate(server \\ __MODULE__), do: GenServer.call(server, :allocate)
  def release(port, server \\ __MODULE__), do: GenServer.call(server, {:release, port})
  def in_use?(port, server \\ __MODULE__), do: GenServer.call(server, {:in_use?, port})
  def list_allocated(server \\ __MODULE__), do: GenServer.call(server, :list_allocated)
  def get_range(server \\ __MODULE__), do: GenServer.call(server, :get_range)

  @impl true
  def init(range), do: {:ok, %{range: range, allocated: []}}

  @impl true
  def handle_call(:allocate, _from, %{range: {low, high}, allocated: allocated} = state) do
    case Enum.to_list(low..high) -- allocated do
      [] ->
        {:reply, {:error, :exhausted}, state}

      free ->
        port = Enum.random(free)
        {:reply, {:ok, port}, %{state | allocated: [port | allocated]}}
    end
  end

  def handle_call({:release, port}, _from, state),
    do: {:reply, :ok, %{state | allocated: List.delete(state.allocated, port)}}

  def handle_call({:in_use?, port}, _from, state), do: {:reply, port in state.allocated, state}
  def handle_call(:list_allocated, _from, state), do: {:reply, state.allocated, state}
  def handle_call(:get_range, _from, state), do: {:reply, state.range, state}
end
