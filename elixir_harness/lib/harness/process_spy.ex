defmodule Harness.ProcessSpy do
  @moduledoc """
  Looks without a pause at a process and all that it starts, as `ps` does: their command lines and their environments; and at
  files of a directory that come and go.
  """

  @doc "Begins to look at the processes below `os_pid`, and at the files that `globs` name."
  def start(os_pid, globs) do
    pid =
      spawn(fn ->
        loop(os_pid, globs, %{cmdlines: MapSet.new(), environs: MapSet.new(), files: MapSet.new(), rounds: 0})
      end)

    pid
  end

  @doc "What it has seen: sets of `{program, bytes}`, how often it looked. The environment of `os_pid` itself is not among them."
  def stop(spy) do
    send(spy, {:stop, self()})

    receive do
      {:spied, seen} -> seen
    after
      30_000 -> raise "the spy does not answer"
    end
  end

  defp loop(os_pid, globs, seen) do
    receive do
      {:stop, asks} -> send(asks, {:spied, seen})
    after
      1 -> loop(os_pid, globs, look(os_pid, globs, seen))
    end
  end

  defp look(os_pid, globs, seen) do
    children = os_pid |> below(parents())
    cmdlines = for pid <- [os_pid | children], text = read(pid, "cmdline"), do: {program(text), text}

    # The program first: what is read after that is its own, not that of the one that became it.
    environs =
      for pid <- children, line = read(pid, "cmdline"), text = read(pid, "environ"), do: {program(line), text}

    files =
      for path <- Enum.flat_map(globs, &Path.wildcard(&1, match_dot: true)),
          {:ok, text} <- [File.read(path)],
          do: {Path.basename(path), text}

    %{
      cmdlines: MapSet.union(seen.cmdlines, MapSet.new(cmdlines)),
      environs: MapSet.union(seen.environs, MapSet.new(environs)),
      files: MapSet.union(seen.files, MapSet.new(files)),
      rounds: seen.rounds + 1
    }
  end

  defp program(cmdline), do: cmdline |> String.split(<<0>>) |> hd() |> Path.basename()

  defp read(pid, what) do
    case File.read("/proc/#{pid}/#{what}") do
      {:ok, text} when text != "" -> text
      _ -> nil
    end
  end

  defp parents do
    for entry <- File.ls!("/proc"),
        {pid, ""} <- [Integer.parse(entry)],
        {:ok, stat} <- [File.read("/proc/#{pid}/stat")],
        # Behind the name, which may hold anything.
        [_, parent | _] <- [stat |> String.split(")") |> List.last() |> String.split()],
        do: {pid, String.to_integer(parent)}
  end

  defp below(pid, parents) do
    children = for {child, ^pid} <- parents, do: child
    children ++ Enum.flat_map(children, &below(&1, parents))
  end
end
