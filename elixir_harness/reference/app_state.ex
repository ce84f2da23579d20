defmodule Otturnaut.AppState do
  @moduledoc "What runs here, by application id."
  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, %{}, name: __MODULE__)

  def put(app_id, app, server \\ __MODULE__), do: GenServer.call(server, {:put, app_id, app})
  def get(app_id, server \\ __MODULE__), do: GenServer.call(server, {:get, app_id})
  def delete(app_id, server \\ __MODULE__), do: GenServer.call(server, {:delete, app_id})
  def list(server \\ __MODULE__), do: GenServer.call(server, :list)

  def update(app_id, field, value, server \\ __MODULE__),
    do: GenServer.call(server, {:update, app_id, field, value})

  def update_status(app_id, status, server \\ __MODULE__), do: update(app_id, :status, status, server)
  def clear(server \\ __MODULE__), do: GenServer.call(server, :clear)

  @impl true
  def init(apps), do: {:ok, apps}

  @impl true
  def handle_call({:put, app_id, app}, _from, apps), do: {:reply, :ok, Map.put(apps, app_id, app)}
  def handle_call({:get, app_id}, _from, apps), do: {:reply, find(apps, app_id), apps}
  def handle_call({:delete, app_id}, _from, apps), do: {:reply, :ok, Map.delete(apps, app_id)}
  def handle_call(:list, _from, apps), do: {:reply, Map.to_list(apps), apps}
  def handle_call(:clear, _from, _apps), do: {:reply, :ok, %{}}

  def handle_call({:update, app_id, field, value}, _from, apps) do
    with {:ok, app} <- find(apps, app_id) do
      {:reply, :ok, Map.put(apps, app_id, Map.put(app, field, value))}
    else
      missing -> {:reply, missing, apps}
    end
  end

  defp find(apps, app_id) do
    with :error <- Map.fetch(apps, app_id), do: {:error, :not_found}
  end
end
