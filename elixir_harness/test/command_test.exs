defmodule CommandTest do
  @moduledoc "Otturnaut.Command: results, streams, the end of processes."
  use Harness.Case

  alias Otturnaut.Command
  alias Otturnaut.Command.Result

  defp sh(node, script, opts \\ []), do: call(node, Command, :run, ["sh", ["-c", script], opts])

  defp stream(runner, lines \\ []) do
    receive do
      {:command_output, ^runner, line} -> stream(runner, [line | lines])
      {:command_done, ^runner, result} -> {Enum.reverse(lines), result}
    after
      30_000 -> flunk("the command said nothing more: #{inspect(Enum.take(lines, 3))}")
    end
  end

  test "a command that succeeds", %{node: node} do
    assert %Result{status: :ok, exit_code: 0, error: nil, output: "hi\n", duration_ms: ms} =
             call(node, Command, :run, ["echo", ["hi"]])

    assert is_integer(ms) and ms >= 0
  end

  test "commands that fail", %{node: node} do
    assert %Result{status: :error, exit_code: nil, error: :command_not_found, output: ""} =
             call(node, Command, :run, ["no-such-program", []])

    assert %Result{status: :error, exit_code: 3, error: {:exit, 3}, output: "out\n"} =
             sh(node, "echo out; exit 3")

    assert %Result{status: :error, exit_code: 137, error: {:exit, 137}} = sh(node, "kill -KILL $$")

    assert %Result{status: :error, exit_code: nil, error: :timeout, output: "so far\n"} =
             sh(node, "echo so far; sleep 60", timeout: 1_500)
  end

  test "both streams are merged, an unterminated last line is there", %{node: node} do
    assert %Result{output: "a\nb\n"} = sh(node, "echo a; sleep 0.1; echo b >&2")
    assert %Result{output: "a\nlast\n"} = sh(node, "echo a; printf last")
  end

  test "working directory and environment", %{node: node} do
    assert %Result{output: "/\n"} = sh(node, "pwd", working_dir: "/")
    assert %Result{output: "b c\n"} = sh(node, "echo $A", env: [{"A", "b c"}])
  end

  test "output is bounded and says what is left out", %{node: node} do
    result = sh(node, "yes 0123456789 | head -n 400000")
    assert result.status == :ok
    assert byte_size(result.output) < 1_200_000
    assert result.output =~ ~r/\d+ bytes/
  end

  test "lines are streamed to the caller, the streams told apart", %{node: node} do
    assert {:ok, runner} =
             call(node, Command, :run_async, [
               "sh",
               ["-c", "echo out; sleep 0.1; echo err >&2; sleep 0.1; printf end"]
             ])

    assert {lines, %Result{status: :ok}} = stream(runner)
    assert lines == [stdout: "out", stderr: "err", stdout: "end"]
  end

  test "a subscriber of run and of run_async", %{node: node} do
    assert %Result{status: :ok} = sh(node, "echo hi", subscriber: self())
    assert_receive {:command_output, runner, {:stdout, "hi"}}, 30_000
    assert_receive {:command_done, ^runner, %Result{output: "hi\n"}}, 30_000

    me = self()
    spawn(fn -> call(node, Command, :run_async, ["echo", ["you"], [subscriber: me]]) end)
    assert_receive {:command_output, _, {:stdout, "you"}}, 30_000
  end

  test "a very long line comes in pieces", %{node: node} do
    {:ok, runner} =
      call(node, Command, :run_async, ["sh", ["-c", "head -c 25000 /dev/zero | tr '\\0' x; echo"]])

    {lines, _} = stream(runner)
    assert Enum.all?(lines, fn {:stdout, piece} -> byte_size(piece) <= 10_240 end)
    assert Enum.map_join(lines, fn {:stdout, piece} -> piece end) == String.duplicate("x", 25_000)
  end

  test "two hundred thousand lines arrive whole and in order", %{node: node} do
    {:ok, runner} = call(node, Command, :run_async, ["seq", ["200000"]])
    {lines, result} = stream(runner)
    assert result.status == :ok
    assert lines == for(n <- 1..200_000, do: {:stdout, "#{n}"})
  end

  test "cancel: the runner ends with :shutdown, the process and its children are gone", %{node: node} do
    mark = "#{System.unique_integer([:positive])}"
    script = "sleep 1#{mark} & sh -c 'sleep 2#{mark}; true' & wait"
    {:ok, runner} = call(node, Command, :run_async, ["sh", ["-c", script]])
    ref = Process.monitor(runner)
    Wait.until("the children", fn -> sleeping("1#{mark}") and sleeping("2#{mark}") end)
    assert :ok == call(node, Command, :cancel, [runner])
    assert_receive {:DOWN, ^ref, :process, ^runner, :shutdown}, 30_000
    Wait.until("the children's end", fn -> not sleeping("1#{mark}") and not sleeping("2#{mark}") end)
    assert :ok == call(node, Command, :cancel, [runner])
  end

  test "a timeout ends the children too", %{node: node} do
    mark = "#{System.unique_integer([:positive])}"
    assert %Result{error: :timeout} = sh(node, "sleep 3#{mark} & wait", timeout: 1_500)
    Wait.until("the child's end", fn -> not sleeping("3#{mark}") end)
  end

  test "the subscriber's death does not stop the command; killing the runner does", %{node: node} do
    mark = "#{System.unique_integer([:positive])}"
    {:ok, runner} = call(node, Command, :run_async, ["sleep", ["4#{mark}"], [timeout: :infinity]])
    Wait.until("the process", fn -> sleeping("4#{mark}") end)
    Process.exit(runner, :kill)
    Wait.until("its end", fn -> not sleeping("4#{mark}") end)
  end

  test "results can be made and asked", %{node: node} do
    ok = call(node, Result, :success, ["out", 5])
    assert ok == %Result{status: :ok, exit_code: 0, error: nil, output: "out", duration_ms: 5}
    failed = call(node, Result, :failure, [2, "out", 5])
    assert failed == %Result{status: :error, exit_code: 2, error: {:exit, 2}, output: "out", duration_ms: 5}
    error = call(node, Result, :error, [:timeout, "out", 5])
    assert error == %Result{status: :error, exit_code: nil, error: :timeout, output: "out", duration_ms: 5}
    assert call(node, Result, :ok?, [ok])
    refute call(node, Result, :ok?, [failed])
  end

  # Asked of the kernel, not of the agent.
  defp sleeping(seconds) do
    wanted = {:ok, "sleep\0" <> seconds <> "\0"}
    "/proc/[0-9]*/cmdline" |> Path.wildcard() |> Enum.any?(&(File.read(&1) == wanted))
  end
end
