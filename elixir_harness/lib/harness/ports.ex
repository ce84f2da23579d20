defmodule Harness.Ports do
  @moduledoc "Free TCP ports of the loopback."

  @doc """
  A port that nobody listens on, below those that the system gives to outgoing connections: none can take it meanwhile. One
  after the other, so that none is given twice to those who listen on theirs only later.
  """
  def free do
    start = :erlang.phash2(System.pid())
    port = 31_300 + rem(start + System.unique_integer([:positive, :monotonic]), 1_400)

    case :gen_tcp.listen(port, ip: {127, 0, 0, 1}) do
      {:ok, socket} ->
        :gen_tcp.close(socket)
        port

      {:error, _} ->
        free()
    end
  end

  @doc "A range for applications, below the ports that the system hands out by itself."
  def range(size \\ 200) do
    low = Enum.random(10_000..31_000)
    {low, low + size - 1}
  end

  @doc "Whether somebody takes connections there."
  def open?(port) do
    case :gen_tcp.connect({127, 0, 0, 1}, port, [], 1_000) do
      {:ok, socket} -> :gen_tcp.close(socket) == :ok
      {:error, _} -> false
    end
  end
end
