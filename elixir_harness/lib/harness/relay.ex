defmodule Harness.Relay do
  @moduledoc "A unix socket that leads to another one: an engine that can be taken away without touching the real one."

  defstruct [:path, :pid]

  @doc "Opens the socket; connections to it go to `target`."
  def start!(target) do
    path = Path.join(System.tmp_dir!(), "otturnaut-relay-#{Harness.Agent.unique()}.sock")
    open!(%__MODULE__{path: path}, target)
  end

  @doc "Opens it again after `close/1`."
  def open!(%__MODULE__{path: path} = relay, target) do
    me = self()

    pid =
      spawn(fn ->
        File.rm(path)
        {:ok, listener} = :gen_tcp.listen(0, [:binary, active: false, ifaddr: {:local, path}, backlog: 128])
        send(me, {:listens, path})
        accept(listener, target)
      end)

    receive do
      {:listens, ^path} -> %{relay | pid: pid}
    after
      10_000 -> raise "no socket at #{path}"
    end
  end

  @doc "Ends the socket and all connections through it."
  def close(%__MODULE__{path: path, pid: pid}) do
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^ref, _, _, _} -> File.rm(path)
    end

    :ok
  end

  defp accept(listener, target) do
    {:ok, socket} = :gen_tcp.accept(listener)
    # Linked, so that it ends with the listener.
    pid = spawn_link(fn -> relay(target) end)
    :ok = :gen_tcp.controlling_process(socket, pid)
    send(pid, {:socket, socket})
    accept(listener, target)
  end

  defp relay(target) do
    receive do
      {:socket, here} ->
        case :gen_tcp.connect({:local, target}, 0, [:binary, active: false]) do
          {:ok, there} ->
            back = spawn_link(fn -> pump(there, here) end)
            ref = Process.monitor(back)
            pump(here, there)
            :gen_tcp.shutdown(there, :write)

            receive do
              {:DOWN, ^ref, _, _, _} -> :ok
            end

          {:error, _} ->
            :gen_tcp.close(here)
        end
    end
  end

  defp pump(from, to) do
    case :gen_tcp.recv(from, 0) do
      {:ok, bytes} ->
        :gen_tcp.send(to, bytes)
        pump(from, to)

      {:error, _} ->
        :gen_tcp.shutdown(to, :write)
    end
  end
end
