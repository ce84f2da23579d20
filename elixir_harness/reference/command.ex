defmodule Otturnaut.Command.Result do
  @moduledoc "How a command ended."
  defstruct [:status, :exit_code, :output, :error, :duration_ms]

  def success(output, ms), do: %__MODULE__{status: :ok, exit_code: 0, output: output, duration_ms: ms}

  def failure(code, output, ms),
    do: %__MODULE__{status: :error, exit_code: code, error: {:exit, code}, output: output, duration_ms: ms}

  def error(reason, output, ms),
    do: %__MODULE__{status: :error, error: reason, output: output, duration_ms: ms}

  def ok?(result), do: result.status == :ok
end

defmodule Otturnaut.Command do
  @moduledoc "Commands of the host: each has a runner, a task of the supervisor."

  alias Otturnaut.Command.{Result, Runner, Supervisor}

  def run(command, args, opts \\ []) do
    caller = self()
    task = Task.Supervisor.async_nolink(Supervisor, fn -> Runner.run(command, args, opts, [caller]) end)

    case Task.yield(task, :infinity) do
      {:ok, result} -> result
      {:exit, _reason} -> Result.error(:runner_crashed, "", 0)
    end
  end

  def run_async(command, args, opts \\ []) do
    Task.Supervisor.start_child(Supervisor, fn -> Runner.run(command, args, opts, []) end)
  end

  def cancel(runner) do
    _ = DynamicSupervisor.terminate_child(Supervisor, runner)
    :ok
  end
end

defmodule Otturnaut.Command.Runner do
  @moduledoc "Runs one command in a process group of its own, and tells its subscriber; ends when a process it works for does."

  alias Otturnaut.Command.Result

  def run(command, args, opts, callers) do
    subscriber = opts[:subscriber]
    Enum.each(callers ++ List.wrap(subscriber), &Process.monitor/1)
    started = now()

    result =
      case System.find_executable(command) do
        nil -> Result.error(:command_not_found, "", 0)
        program -> program |> open(args) |> follow({subscriber, deadline(opts), started}, [])
      end

    if subscriber, do: send(subscriber, {:command_done, self(), result})
    result
  end

  defp open(program, args) do
    settings = [:binary, :exit_status, :stderr_to_stdout, line: 10_240, args: args]
    port = Port.open({:spawn_executable, program}, settings)
    # A port without one ended already, and its messages are here.
    with {:os_pid, group} <- Port.info(port, :os_pid), do: reap(self(), group)
    port
  end

  # The group leads no longer than its runner: a port's program is the leader of a process group.
  defp reap(runner, group) do
    spawn(fn ->
      ref = Process.monitor(runner)
      receive do: ({:DOWN, ^ref, _, _, _} -> kill(group))
    end)
  end

  defp kill(group), do: System.cmd("kill", ["-KILL", "--", "-#{group}"], stderr_to_stdout: true)

  defp follow(port, {subscriber, deadline, started} = job, lines) do
    receive do
      {^port, {:data, {_, line}}} ->
        if subscriber, do: send(subscriber, {:command_output, self(), {:stdout, line}})
        follow(port, job, [lines, line, "\n"])

      {^port, {:exit_status, 0}} ->
        Result.success(IO.iodata_to_binary(lines), now() - started)

      {^port, {:exit_status, code}} ->
        Result.failure(code, IO.iodata_to_binary(lines), now() - started)

      {:DOWN, _ref, :process, _pid, _reason} ->
        exit(:shutdown)
    after
      max(deadline - now(), 0) -> Result.error(:timeout, IO.iodata_to_binary(lines), now() - started)
    end
  end

  defp deadline(opts), do: now() + Keyword.get(opts, :timeout, 300_000)
  defp now, do: System.monotonic_time(:millisecond)
end
