defmodule Harness.Collector do
  @moduledoc "A registered process that keeps all messages: what a process of Mission Control would get."

  @doc "Starts it under a name, linked to nobody."
  def start!(name) do
    me = self()

    spawn(fn ->
      Process.register(self(), name)
      send(me, {:collects, name})
      collect([])
    end)

    receive do
      {:collects, ^name} -> :ok
    end
  end

  @doc "All messages so far, oldest first."
  def messages(name) do
    send(name, {:messages, self()})

    receive do
      {:collected, messages} -> messages
    after
      10_000 -> raise "#{inspect(name)} does not answer"
    end
  end

  defp collect(messages) do
    receive do
      {:messages, asks} ->
        send(asks, {:collected, Enum.reverse(messages)})
        collect(messages)

      message ->
        collect([message | messages])
    end
  end
end
