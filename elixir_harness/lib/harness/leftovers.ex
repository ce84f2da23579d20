defmodule Harness.Leftovers do
  @moduledoc "The processes that the harness started and the directories that it made: whatever happens, they are gone at the end."

  @table __MODULE__

  def start do
    if :ets.whereis(@table) == :undefined do
      # Owned by a process that lives as long as the node does.
      owner = self()

      spawn(fn ->
        :ets.new(@table, [:named_table, :public])
        send(owner, :ready)
        Process.sleep(:infinity)
      end)

      receive do: (:ready -> :ok)
      System.at_exit(fn _ -> kill_all() end)
    end

    :ok
  end

  def add(os_pid) do
    start()
    :ets.insert(@table, {os_pid})
  end

  @doc "A directory to be removed at the end."
  def add_dir(dir) do
    start()
    :ets.insert(@table, {dir})
  end

  def remove(os_pid), do: :ets.delete(@table, os_pid)

  def kill_all do
    {processes, dirs} = @table |> :ets.tab2list() |> Enum.split_with(fn {what} -> is_integer(what) end)
    for {os_pid} <- processes, do: System.cmd("kill", ["-KILL", "#{os_pid}"], stderr_to_stdout: true)
    for {dir} <- dirs, do: File.rm_rf!(dir)
    :ok
  end
end
